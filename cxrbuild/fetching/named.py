"""Fetch what a user names: sources, published lists, or all that a recipe needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from cxrbuild.catalog import (
    ImageList,
    Source,
    list_names,
    read_image_list,
    read_recipe,
    read_source,
    read_source_or_list,
    source_names,
)
from cxrbuild.catalog.reader import Inventory
from cxrbuild.catalog.withdrawal import require_known
from cxrbuild.errors import CxrbuildError, DeclarationError, nearest
from cxrbuild.fetching.lists import FetchedList, fetch_lists
from cxrbuild.fetching.pinning import describe_old_addresses, require_own, write_pin
from cxrbuild.fetching.record import read_record
from cxrbuild.fetching.sources import FetchResult, fetch
from cxrbuild.lockfile import source_folder
from cxrbuild.progress import Progress, silent


def read_named(names: Iterable[str], recipe: str | None, origins: Iterable[str]) -> list[Source | ImageList]:
    """Read the sources and lists to fetch.

    Parameters
    ----------
    names
        Shipped sources and lists by name, own ones by path.
    recipe
        A recipe whose sources and list are fetched too.
    origins
        Names that an origin is given for; those that are not named otherwise are shipped sources or lists.

    Raises
    ------
    DeclarationError
        There is no such source, list or recipe, or its declaration has problems.
    """
    named: list[Source | ImageList] = [read_source_or_list(name) for name in names]
    if recipe is not None:
        read = read_recipe(recipe)
        named += [read_source(name, read.folder) for name in read.sources]
        if read.split.published is not None:
            named.append(read_image_list(read.split.published.list, read.folder))
    known = {one.name for one in named}
    others = [name for name in origins if name not in known]
    for name in others:
        if not name.endswith(".toml") and name not in [*source_names(), *list_names()] and known:
            near = nearest(name, known)
            raise DeclarationError(
                f"--from names {name!r}, which is not fetched", expected=f"one of {', '.join(sorted(known))}",
                todo=f"Write {near}, the nearest name" if near else "Correct the name",
            )  # fmt: skip
    return named + [read_source_or_list(name) for name in others]


def fetch_named(
    named: Sequence[Source | ImageList],
    data: Path,
    *,
    origins: Mapping[str, str],
    allow_unpinned: bool,
    jobs: int,
    progress: Progress,
    skip_unknown: bool = False,
) -> FetchResult:
    """Fetch sources and lists. If one of them fails, the others are still fetched.

    Parameters
    ----------
    named
        The sources and lists.
    data, allow_unpinned, jobs, progress
        As for `cxrbuild.fetching.sources.fetch`.
    origins
        By name the origin to use instead of the declared address.
    skip_unknown
        Whether to report a source that declares no address, instead of failing.

    Raises
    ------
    CxrbuildError
        Some of them could not be fetched; the error has every reason.
    """
    sources = [one for one in named if isinstance(one, Source)]
    lists = [one for one in named if isinstance(one, ImageList)]
    to_bring = [
        source.name
        for source in sources
        if source.download.url is None
        and source.name not in origins
        and not source_folder(data, source.name).is_dir()
    ]
    if not skip_unknown:
        to_bring = []
    sources = [source for source in sources if source.name not in to_bring]
    fetched: dict[str, FetchedList] = {}
    errors = []
    try:
        fetched = fetch_lists(lists, data, origins=origins, progress=progress) if lists else {}
    except CxrbuildError as error:
        errors.append(error)
    result = FetchResult(data, {})
    try:
        if sources:
            # A list's origin is not a source's; any other name that no source has is refused there.
            of_lists = {one.name for one in lists} - {source.name for source in sources}
            given = {name: origin for name, origin in origins.items() if name not in of_lists}
            result = fetch(
                sources, data, origins=given, allow_unpinned=allow_unpinned, jobs=jobs, progress=progress
            )
    except CxrbuildError as error:
        errors.append(error)
    for one in errors:
        if isinstance(one.partial, FetchResult):
            result = one.partial
    result = replace(result, lists=fetched, to_bring=tuple(to_bring))
    if not errors:
        return result
    refused = errors[0]
    if len(errors) > 1:
        refused = CxrbuildError("neither lists nor sources were fetched\n" + "\n".join(map(str, errors)))
    refused.partial = result
    raise refused


def fetch_and_pin(
    named: Sequence[Source | ImageList],
    data: Path,
    *,
    origins: Mapping[str, str],
    allow_unpinned: bool,
    jobs: int,
    progress: Progress,
) -> tuple[FetchResult, list[Path]]:
    """Fetch a user's own sources and lists, and pin the sources to the files that came.

    Parameters
    ----------
    named, data, origins, allow_unpinned, jobs, progress
        As for `fetch_named`.

    Returns
    -------
    FetchResult
        What was fetched, compared with the new pins.
    list of Path
        The declarations and listings that were written.

    Raises
    ------
    CxrbuildError
        Some of them could not be fetched, or a source is shipped or cannot be pinned.
    """
    own = [one for one in named if isinstance(one, Source)]
    for source in own:
        require_own(source)
    fetched = fetch_named(
        named, data, origins=origins, allow_unpinned=allow_unpinned, jobs=jobs, progress=progress
    )
    for source in own:
        _require_known_withdrawals(source, data)
    written: list[Path] = []
    notes = {source.name: list(fetched.sources[source.name].notes) for source in own}
    for source in own:
        locked = fetched.sources[source.name].locked
        if files := write_pin(source, data, locked):
            written += files
            notes[source.name] += describe_old_addresses(source, locked)
    # Fetched again: the files are there, and the lock records that they were compared with the pin.
    pinned = [read_source(str(source.file)) for source in own]
    again = fetch(pinned, data, jobs=jobs, progress=progress)
    sources = {
        name: replace(one, notes=list(dict.fromkeys([*notes[name], *one.notes])))
        for name, one in again.sources.items()
    }
    return replace(fetched, sources=fetched.sources | sources), written


def _require_known_withdrawals(source: Source, data: Path) -> None:
    """Refuse to pin a source of which a misspelt image is withdrawn: `plan` would refuse it too."""
    if not source.withdrawals:
        return
    root = source_folder(data, source.name)
    record = read_record(root)
    known = record.keys() | (source.listing or {}).keys() | source.former.keys()
    if not source.reader.reads_images and not known.issuperset(source.withdrawals):
        # A row can name an image whose file was deleted before the first pin.
        inventory = Inventory(root, frozenset(record), {path: file.blob for path, file in record.items()})
        images = sorted(path for path in record if source.reader.matches(path, source.reader.images))
        rows = source.reader.read(inventory, images, silent)
        known |= set(rows.index.get_level_values("path"))
    require_known(source.withdrawals_place, source.withdrawals, known)
