"""A version of a source: its listing, and upstream's metadata of each image, without a pixel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.artifact.names import CHANGES, METADATA
from cxrbuild.catalog import Source, read_source, source_names
from cxrbuild.catalog.column import FindingColumn
from cxrbuild.catalog.reader import Inventory
from cxrbuild.catalog.source import Listed
from cxrbuild.errors import CxrbuildError, name_some
from cxrbuild.files import is_desktop_file
from cxrbuild.ingest.header import KEYWORDS, find_dicom, read_headers
from cxrbuild.ingest.mapping import join_findings
from cxrbuild.ingest.repeated_rows import join_texts
from cxrbuild.lockfile import fetch_command, source_folder
from cxrbuild.parsing import parse_toml
from cxrbuild.progress import silent

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class SourceVersion:
    """A version of a source.

    Attributes
    ----------
    name
        How it was named: a shipped source, or a declaration's path.
    source
        The declaration.
    listing
        The files of the version.
    images
        The paths of those that are images, sorted.
    values
        Upstream's text for each of our columns, by the path of the image; the first row of each image.
        Without columns if the metadata is in the images.
    absent
        Our columns whose upstream column this version does not have, each with that column.
    """

    name: str
    source: Source
    listing: Mapping[str, Listed]
    images: list[str]
    values: pd.DataFrame
    absent: Mapping[str, str]


def reads_headers(source: Source) -> bool:
    """Return whether some of a source's metadata are in the headers of its images, next to a table."""
    columns = (getattr(source.columns, field) for field in type(source.columns).model_fields)
    origins = {origin for column in columns if column is not None for origin in column.origins}
    listed = getattr(source.reader, "header", None) or ()
    return source.reader.reads_images or bool(origins & set(KEYWORDS) - set(listed))


def is_source(name: str) -> bool:
    """Return whether a text names a source: a shipped one, or the declaration of one."""
    if not name.endswith(".toml"):
        return name in source_names()
    try:
        return "reader" in parse_toml(Path(name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False


def read_source_version(name: str, data: Path) -> SourceVersion:
    """Read a version of a source from its declaration, listing and metadata.

    Parameters
    ----------
    name
        A shipped source, or the path of a declaration.
    data
        The folder that ``fetch`` filled; the metadata of a proposed pin is next to its declaration.

    Raises
    ------
    CxrbuildError
        There is no such source, it lists no files, its metadata is not there, or is of another version.
    """
    source = read_source(name)
    if source.listing is None:
        raise CxrbuildError(
            "the source lists no files to compare", where=name, expected="pin.listing in its declaration",
            todo="Copy its declaration if it is a shipped one, and pin that with `cxrbuild fetch FILE --pin`",
        )  # fmt: skip
    metadata = source.file.parent / METADATA
    # A folder of that name next to any other declaration is the user's own.
    proposed = metadata.is_dir() and metadata.with_name(CHANGES).is_file()
    root = metadata if proposed else source_folder(data, source.name)
    return open_version(name, source, source.listing, root)


def open_version(name: str, source: Source, listing: Mapping[str, Listed], root: Path) -> SourceVersion:
    """Read a version of a source whose metadata is in a folder.

    Parameters
    ----------
    name
        How the user named it.
    source
        The declaration; its header may be that of another version.
    listing
        The files of the version.
    root
        The folder of its metadata, under upstream's paths.

    Raises
    ------
    CxrbuildError
        The metadata is not there, is of another version, or cannot be read at all.
    """
    import pandas as pd

    reader = source.reader
    blobs = {path: listed.blob for path, listed in listing.items()}
    images = sorted(
        path
        for path in listing
        if reader.matches(path, reader.images)
        and not reader.matches(path, reader.ignore)
        and not is_desktop_file(path.rpartition("/")[2])
    )
    if reader.images_are_dicom:
        return SourceVersion(name, source, listing, images, pd.DataFrame(index=images), {})
    needed = reader.metadata_files(blobs)
    if missing := [path for path in needed if not (root / path).is_file()]:
        raise CxrbuildError(
            f"the metadata of {name} is not there", where=root, expected=name_some(missing),
            todo="Name the data folder that has it with --data, or run `"
            + fetch_command(
                [source.address], Path("data"), bring=[] if source.download.url else [source.name]
            )
            + "`",
        )  # fmt: skip
    for path, blob, found in reader.changed_metadata(root, blobs):
        raise CxrbuildError(
            "the metadata is of another version", where=root / path,
            expected=f"git blob {blob}" if blob else "no such file", found=f"git blob {found}",
            todo=f"Name the data folder that has this version with --data, fetch {name} again, or name the "
            "version that this metadata is of",
        )  # fmt: skip
    if hasattr(reader, "header"):
        # Another version may have other columns: they are compared, not refused.
        reader = reader.model_copy(update={"header": None})
    headers = _read_headers(source, root, images)
    if reader.reads_images and not headers:
        # Without the images no row is found: the metadata of a proposed pin is its table alone.
        absent = {"finding": "the headers of the images"}
        return SourceVersion(name, source, listing, images, pd.DataFrame(index=images), absent)
    rows = reader.read(Inventory(root, frozenset(listing), blobs, headers), images, silent)
    for keyword in KEYWORDS if headers else ():
        if keyword not in rows:
            elements = [
                headers.get(path, {}).get(keyword, "") for path in rows.index.get_level_values("path")
            ]
            rows[keyword] = pd.Series(elements, index=rows.index, dtype="str")
    values, absent = {}, {}
    for field in type(source.columns).model_fields:
        column = getattr(source.columns, field)
        known = [] if column is None else [origin for origin in column.origins if origin in rows]
        in_headers = column is not None and set(column.origins) <= set(KEYWORDS)
        if column is not None and column.origins and not known and not in_headers:
            absent[field] = " or ".join(column.origins)
        if known and isinstance(column, FindingColumn) and column.columns is not None:
            if lacking := [origin for origin in column.columns if origin not in rows]:
                absent[field] = ", ".join(lacking)
            columns = {origin: rows[origin].str.strip() for origin in known}
            values[field] = join_findings(column, columns, source.finding_separator)
        elif known:
            text = rows[known[0]].str.strip()
            for origin in known[1:]:
                text = text.where(~text.isin(column.blank), rows[origin].str.strip())
            values[field] = text.where(~text.isin(column.blank), "")
    table = pd.DataFrame(values, index=rows.index, dtype="str")
    if reader.differing_rows == "join" and "finding" in table:
        findings = table["finding"].groupby(level="path", sort=False)
        table["finding"] = findings.transform(lambda each: join_texts(each, str(source.finding_separator)))
    table = table[~table.index.get_level_values("path").duplicated()].droplevel("place")
    return SourceVersion(name, source, listing, images, table, absent)


def _read_headers(source: Source, root: Path, images: list[str]) -> Mapping[str, Mapping[str, str]]:
    """Return the headers of images where they have metadata, and the folder has the images themselves."""
    if not reads_headers(source):
        return {}
    there = [path for path in images if (root / path).is_file()]
    return read_headers(root, find_dicom(root, there), silent).elements
