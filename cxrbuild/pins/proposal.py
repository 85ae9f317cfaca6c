"""Propose the pin of another version of a source: a declaration, a listing, and a table of what changed."""

from __future__ import annotations

import json
import re
import shutil
import tarfile
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxrbuild.artifact.names import CHANGES, METADATA
from cxrbuild.artifact.published import published_manifest, published_names
from cxrbuild.catalog import Source, read_source
from cxrbuild.catalog.source import Listed
from cxrbuild.comparison import read_version
from cxrbuild.errors import CxrbuildError, count_of
from cxrbuild.fetching.pinning import with_pin
from cxrbuild.fetching.record import TreeFile, format_listing, git_tree_of, read_record
from cxrbuild.fetching.sources import fetch
from cxrbuild.files import write_bytes
from cxrbuild.ingest import ingest, take_inventory
from cxrbuild.lockfile import source_folder
from cxrbuild.notebook import result_html
from cxrbuild.parsing import parse_toml
from cxrbuild.pins.changes import PinDiff, compare_versions
from cxrbuild.pins.listing import read_listing
from cxrbuild.pins.rows import NamingRow, find_naming_rows
from cxrbuild.pins.version import (
    SourceVersion,
    open_version,
    read_source_version,
    reads_headers,
)
from cxrbuild.progress import Progress, silent
from cxrbuild.spreadsheets import safe_csv

if TYPE_CHECKING:
    import pandas as pd

_COMMIT = re.compile(r"[0-9a-f]{40}", re.ASCII)


@dataclass(frozen=True)
class PinProposal:
    """A proposed pin, as it was written.

    Attributes
    ----------
    folder
        Its folder: the declaration, the listing, the metadata, and ``changes.csv``.
    declaration
        The declaration with the new pin.
    tree
        The git tree hash of the new version.
    diff
        What changed since the old version.
    problems
        What of the declaration does not fit the new version: a person has to decide.
    naming_rows
        The rows of reviews, links, corrections and withdrawals that name images which the new version lacks.
    """

    folder: Path
    declaration: Path
    tree: str
    diff: PinDiff
    problems: list[str]
    naming_rows: list[NamingRow]

    def to_dict(self) -> dict[str, Any]:
        """Return the proposal as JSON has it."""
        return {
            "folder": str(self.folder),
            "declaration": str(self.declaration),
            "tree": self.tree,
            "problems": self.problems,
            "naming_rows": [asdict(row) for row in self.naming_rows],
            "diff": self.diff.to_dict(),
        }

    def _repr_html_(self) -> str:
        rows = count_of(len(self.naming_rows), "row")
        named = f"{rows} of reviews, links, corrections or withdrawals to change." if self.naming_rows else ""
        return (
            result_html(f"Proposed pin: {self.declaration}", [*self.problems, named])
            + self.diff._repr_html_()
        )


def propose_pin(
    name: str,
    data: Path,
    out: Path | None = None,
    *,
    origin: str | None = None,
    commit: str | None = None,
    listing: Path | None = None,
    released: Sequence[str | Path] = (),
    progress: Progress = silent,
) -> PinProposal:
    """Write the pin of another version of a source next to the old one, and what changed.

    Parameters
    ----------
    name
        The source: a shipped one, or the path of a declaration. Its pin is the old version, whose metadata
        ``fetch`` has put into the data folder.
    data
        The data folder. Its files of the source stay as they are.
    out
        The parent folder of the new pin; default the folder of the declaration, and the current one
        for a shipped source.
    origin
        The new version: a folder, an archive or an address; default the declared address.
    commit
        The new version's commit, instead of the pin's in the declared address.
    listing
        All files of the new version, as ``git ls-tree -r`` or a pin lists them; ``origin`` is then a folder
        that has at least its metadata.
    released
        Releases or manifests, in addition to the published ones, whose images are marked.
    progress
        Opens progress bars.

    Raises
    ------
    CxrbuildError
        The old version's metadata is not there, the new version's files are not there, or are the pin's.
    """
    if commit is not None and not _COMMIT.fullmatch(commit):
        raise CxrbuildError(
            "this is no commit", expected="the 40 hexadecimal digits of a commit", found=commit,
            todo="Write the commit in full",
        )  # fmt: skip
    source = read_source(name)
    old = read_source_version(name, data)
    known = find_released(source.name, released)
    place = out if out is not None else _folder_of(source)
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".proposed-", dir=place) as temporary:
        if listing is not None:
            root, files = _read_listed(origin, listing), read_listing(listing)
        else:
            root, files, commit = _fetch_new(source, Path(temporary), origin, commit, progress)
        tree = git_tree_of(files)
        if tree == source.pin.tree:
            raise CxrbuildError(
                "nothing to propose: these files are the pinned version", where=name,
                found=f"git tree {tree}",
                todo=f"Name the new version with --from {source.name}=FOLDER|ARCHIVE|URL"
                + (", or its commit with --commit" if _has_commit(source) else ""),
            )  # fmt: skip
        if commit is not None and commit == source.pin.commit:
            # A commit has one tree: these files are of another commit, or were changed.
            raise CxrbuildError(
                "these files are not those of the commit", where=name,
                expected=f"git tree {source.pin.tree}, which the pin has for {commit}",
                found=f"git tree {tree}", todo="Name the commit that the files are of, or none",
            )  # fmt: skip
        listed = {path: Listed(file.mode, file.blob) for path, file in files.items()}
        folder = place / f"{source.name}-{tree[:8]}"
        new = open_version(str(folder / f"{source.name}.toml"), source, listed, root)
        diff = compare_versions(old, new, known)
        rows = find_naming_rows(source, diff)
        declaration = _write(folder, source, new, root, files, _pin(source, tree, commit), diff)
        problems = _find_problems(declaration, source, root)
    return PinProposal(folder, declaration, tree, diff, problems, rows)


def _folder_of(source: Source) -> Path:
    return Path() if source.address == source.name else source.file.parent


def find_released(source: str, more: Sequence[str | Path] = ()) -> dict[str, list[str]]:
    """Return for ids of a source's images the published versions that have them.

    Parameters
    ----------
    source
        The source's name.
    more
        Releases, builds or manifests in addition to the published ones.

    Raises
    ------
    CxrbuildError
        One of them is none.
    """
    found: dict[str, list[str]] = {}
    published = [(name, str(published_manifest(name))) for name in published_names()]
    for name, place in [*published, *((str(one), str(one)) for one in more)]:
        manifest: pd.DataFrame = read_version(place).manifest
        for image in manifest.loc[manifest["source"] == source, "image_id"]:
            found.setdefault(image, []).append(name)
    return found


def _read_listed(origin: str | None, listing: Path) -> Path:
    root = None if origin is None else Path(origin).expanduser()
    if root is None or not root.is_dir():
        raise CxrbuildError(
            "a listing needs a folder with the metadata", where=listing, found=origin or "no --from",
            todo="Name the folder with --from SOURCE=FOLDER",
        )  # fmt: skip
    return root


def _fetch_new(
    source: Source, data: Path, origin: str | None, commit: str | None, progress: Progress
) -> tuple[Path, dict[str, TreeFile], str | None]:
    """Fetch the new version into a folder; return its root, its files and its commit if that is known."""
    if origin is None:
        url, known = source.download.url, _declared_commit(source)
        if commit is None or url is None or known is None or known not in url:
            raise CxrbuildError(
                "the place of the new version is not given", where=source.name,
                found=None if commit is None else "--commit, but no address with a commit in it",
                todo=f"Name it with --from {source.name}=FOLDER|ARCHIVE|URL"
                + (", or its commit with --commit" if _has_commit(source) else ""),
            )  # fmt: skip
        origin = url.replace(known, commit)
    fetch([source], data, origins={source.name: origin}, allow_unpinned=True, progress=progress)
    target = source_folder(data, source.name)
    if commit is None and Path(origin).is_file():
        commit = _commit_of(Path(origin))
    return target, read_record(target), commit if commit and _COMMIT.fullmatch(commit) else None


def _declared_commit(source: Source) -> str | None:
    """Return the commit of the declared version: the pin's, or that in the address where the pin has none."""
    if source.pin.commit is not None:
        return source.pin.commit
    # `fetch --pin` from a folder leaves the address of the version before.
    found = _COMMIT.search(source.download.url or "")
    return None if found is None else found[0]


def _has_commit(source: Source) -> bool:
    """Return whether the declared address has the commit of its version, so that --commit names another."""
    commit = _declared_commit(source)
    return commit is not None and commit in (source.download.url or "")


def _commit_of(archive: Path) -> str | None:
    """Return the commit that git wrote into an archive, as its global comment."""
    try:
        with tarfile.open(archive) as opened:
            opened.next()
            return opened.pax_headers.get("comment")
    except (tarfile.TarError, OSError):
        return None


def _pin(source: Source, tree: str, commit: str | None) -> dict[str, str]:
    known = {"commit": commit} if commit is not None else {}
    return known | {"tree": tree, "listing": f"{source.name}.tsv"}


def _write(
    folder: Path,
    source: Source,
    new: SourceVersion,
    root: Path,
    files: Mapping[str, TreeFile],
    pin: Mapping[str, str],
    diff: PinDiff,
) -> Path:
    """Write the files of a proposal; the declaration comes last."""
    write_bytes(folder / pin["listing"], format_listing(files, source).encode())
    for path in source.reader.metadata_files(files):
        place = folder / METADATA / path
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / path, place)
    if source.withdrawn is not None:
        shutil.copyfile(source.file.parent / source.withdrawn, folder / Path(source.withdrawn).name)
    write_bytes(folder / CHANGES, safe_csv(diff.rows).encode())
    declaration = folder / f"{source.name}.toml"
    write_bytes(declaration, _declare(source, new, root, pin).encode())
    return declaration


def _declare(source: Source, new: SourceVersion, root: Path, pin: Mapping[str, str]) -> str:
    """Return the text of the declaration with another pin, and what follows from it."""
    text = source.file.read_text(encoding="utf-8")
    wanted = parse_toml(text)
    wanted["pin"] = dict(pin)
    text = with_pin(text, pin)
    old = _declared_commit(source)
    if old is not None and "commit" in pin:
        addresses = wanted.get("download", {})
        for places, key in [
            (addresses, "url"),
            *((addresses.get("mirrors", {}), one) for one in source.download.mirrors),
        ]:
            if old in (url := places.get(key, "")):
                places[key] = url.replace(old, pin["commit"])
                text = text.replace(json.dumps(url), json.dumps(places[key]))
    header = _header(new, root)
    if header is not None and header != wanted["reader"].get("header"):
        wanted["reader"]["header"] = header
        shown = "".join(f"    {json.dumps(name, ensure_ascii=False)},\n" for name in header)
        text = re.sub(r"^header = \[[^\]]*\]$", lambda _: f"header = [\n{shown}]", text, flags=re.MULTILINE)
    if source.withdrawn is not None:
        wanted["withdrawn"] = Path(source.withdrawn).name
        text = text.replace(json.dumps(source.withdrawn), json.dumps(wanted["withdrawn"]))
    if parse_toml(text) != wanted:
        # The file is written in another style than the edits above expect: its comments are lost.
        import tomli_w

        text = tomli_w.dumps(wanted)
    return text


def _header(new: SourceVersion, root: Path) -> list[str] | None:
    """Return the columns of the new metadata, if the declaration lists those of the old."""
    if not getattr(new.source.reader, "header", None):
        return None
    import csv

    reader = new.source.reader
    path = root / getattr(reader, "file")  # noqa: B009
    with path.open(encoding=getattr(reader, "encoding"), newline="") as stream:  # noqa: B009
        first = next(csv.reader(stream, delimiter=getattr(reader, "delimiter")), [])  # noqa: B009
    return [name.removeprefix("\ufeff") for name in first]


def _find_problems(declaration: Path, old: Source, files: Path) -> list[str]:
    """Return why the new version cannot be fetched or read as it is declared.

    Parameters
    ----------
    declaration
        The declaration with the new pin.
    old
        The source as it was.
    files
        The folder of the new version: all its files, or its metadata alone.
    """
    source, problems = read_source(str(declaration)), []
    commit = _declared_commit(old)
    addresses = {"download.url": source.download.url or ""}
    addresses |= {f"download.mirrors.{name}": url for name, url in source.download.mirrors.items()}
    problems += [
        f"{declaration}: {key} is the address of the old version. Name the commit of the new one with "
        "--commit if it has one; if not, write its address there, or remove the line"
        for key, url in addresses.items()
        if commit is not None and commit in url
    ]
    if not source.reader.images_are_dicom:
        root = declaration.parent / METADATA
        root.mkdir(exist_ok=True)
        # No secret is needed to see whether the values fit.
        kept = source.reader.model_copy(update={"patient_id": "keep"})
        source = source.model_copy(update={"reader": kept})
        try:
            if not reads_headers(source):
                ingest(source, replace(take_inventory(source, root, as_pinned=True), available=frozenset()))
            else:
                inventory = take_inventory(source, files)
                # With --listing there may be the table alone, whose rows find no header.
                if inventory.available - set(source.reader.metadata_files(inventory.blobs)):
                    ingest(source, inventory)
        except CxrbuildError as error:
            problems.append(str(error))
    return problems
