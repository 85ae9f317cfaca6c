"""Explain why files are not the pinned version, and what to do: name other files, or accept these."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from cxrbuild.catalog.source import Source, read_source, source_names
from cxrbuild.errors import CxrbuildError, count_of
from cxrbuild.fetching.extraction import ArchiveError
from cxrbuild.fetching.origin import Origin
from cxrbuild.fetching.pin import Comparison
from cxrbuild.fetching.record import TreeFile
from cxrbuild.image_files import has_image_suffix
from cxrbuild.lockfile import fetch_command, source_folder
from cxrbuild.shell import join

# Files that have fewer of a pin's names are not those of its source; files of another that have more are.
_FEW, _MOST = 0.05, 0.5


class RefusedError(ArchiveError):
    """Report files that are not those of the pin.

    Attributes
    ----------
    source
        The source.
    origin
        The folder or archive of a user that has the files; ``None`` for an address.
    acceptable
        Whether they can be another version of the source, and not something else.
    """

    source: Source
    origin: Path | None = None
    acceptable = True


def refusal_of(
    source: Source, origin: Origin, comparison: Comparison, files: Mapping[str, TreeFile], data: Path
) -> RefusedError:
    """Return the error for files that are not those of the pin.

    Parameters
    ----------
    source
        The source.
    origin
        Where the files come from.
    comparison
        How they differ from the pin.
    files
        The files.
    data
        The data folder, which a command names.
    """
    found, todo = comparison.found, _ways_to_accept(source, origin, data)
    listed = _names(source)
    acceptable = False
    if other := _other_source(source, comparison.tree, files):
        found = f"git tree {comparison.tree}: the files of the source {other}"
        todo = f"Name the files of {source.name}. Those of {other} are fetched by `--from {other}={origin}`"
    elif listed and _share(listed, files) < _FEW:
        common = len(listed & files.keys())
        found = (
            f"{count_of(len(files), 'file')}, {common:,} of them with a name of its {len(listed):,} images"
        )
        todo = f"Name a folder or archive that has files such as `{min(listed)}`"
    else:
        acceptable = True
    error = RefusedError(
        "the files are not the pinned version",
        where=f"{source.name} from {origin}",
        expected=comparison.expected,
        found=found,
        todo=todo,
    )
    error.source, error.origin, error.acceptable = source, origin.path, acceptable
    return error


def accept_together(errors: Iterable[CxrbuildError], data: Path) -> str | None:
    """Return how to accept the files of several sources with one command; ``None`` for fewer than two.

    Parameters
    ----------
    errors
        Why sources were not fetched.
    data
        The data folder.
    """
    refused = [error for error in errors if isinstance(error, RefusedError) and error.acceptable]
    if not refused[1:]:
        return None
    origins = [(error.source.name, error.kept or error.origin) for error in refused]
    options = [word for name, at in origins if at for word in ("--from", f"{name}={at}")]
    command = fetch_command(
        [error.source.address for error in refused], data, options=["--allow-unpinned", *options]
    )
    return (
        f"To accept the files of {', '.join(name for name, _ in origins)} without a pin, marked as unpinned "
        f"in everything built from them, run `{command}`"
    )


def _ways_to_accept(source: Source, origin: Origin, data: Path) -> str:
    origins = ["--from", f"{source.name}={origin}"] if origin.path else []
    again = join([*origins, "--allow-unpinned"])
    pin = ""
    if source.address != source.name:
        command = fetch_command([source.address], data, options=[*origins, "--allow-unpinned", "--pin"])
        pin = f"If they are a new version, pin it: `{command}` writes their hashes into {source.file.name}. "
        # The version of before is in the data folder, or in the default one.
        places = [place for place in (data, Path("data")) if source_folder(place, source.name).is_dir()]
        if places and source.listing is not None:
            compare = fetch_command([], places[0], options=["--propose-pin", source.address, *origins])
            pin = f"`{compare}` lists what changed. {pin}"
    return (
        f"{pin}To accept them without a pin, marked as unpinned in everything built from them, add `{again}`"
    )


def _other_source(source: Source, tree: str, files: Collection[str]) -> str | None:
    """Return the other shipped source whose pin the files are, or most of whose images they have."""
    own = _share(_names(source), files)
    for name in source_names():
        if name == source.name:
            continue
        other = read_source(name)
        names = _names(other)
        # Another source's layout may drop the folder at the top.
        share = max(_share(names, files), _share([name.partition("/")[2] for name in names], files))
        if other.pin.tree == tree or (share > _MOST and own < _FEW):
            return name
    return None


def _names(source: Source) -> frozenset[str]:
    """Return the names of the images that a pin lists; many sources have a `README.md`."""
    return frozenset(filter(has_image_suffix, source.listing or {}))


def _share(names: Collection[str], files: Collection[str]) -> float:
    return sum(name in files for name in names) / len(names) if names else 0.0
