"""Count rows of withdrawn images in metadata, and their lines in the files that a recipe names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.catalog import Source
from cxrbuild.catalog.declarations import CATALOG
from cxrbuild.catalog.reader import Inventory
from cxrbuild.curation.declared import Declared
from cxrbuild.curation.holder import WithdrawnHolder
from cxrbuild.errors import CxrbuildError, count_of
from cxrbuild.progress import silent

if TYPE_CHECKING:
    import pandas as pd


def count_rows(source: Source, folder: Path, paths: set[str]) -> int:
    """Return how many rows of the metadata in a folder name some withdrawn images.

    A row that finds its image by an identifier of the header is known by the identifier that the withdrawal
    has, as the file was deleted.

    Parameters
    ----------
    source
        The source.
    folder
        The folder with its metadata; 0 where there is none, or it cannot be read.
    paths
        The paths of the images.
    """
    reader = source.reader.model_copy(update={"patient_id": "keep"})
    if not any((folder / file).is_file() for file in reader.metadata_files(paths)):
        return 0
    if hasattr(reader, "header"):
        # Another version may have other columns.
        reader = reader.model_copy(update={"header": None})
    try:
        rows = reader.read(Inventory(folder, frozenset(paths), dict.fromkeys(paths)), sorted(paths), silent)
    except (CxrbuildError, OSError):
        return 0
    withdrawn = (source.withdrawals[path] for path in paths if path in source.withdrawals)
    identifiers = {reader.path_without_image(one.identifier) for one in withdrawn if one.identifier}
    return int(rows.index.get_level_values("path").isin([*paths, *identifiers]).sum())


def has_unknown_rows(source: Source, paths: set[str]) -> bool:
    """Return whether rows of some withdrawn images cannot be known: only the headers said whose they are."""
    withdrawn = (source.withdrawals[path] for path in paths if path in source.withdrawals)
    return source.reader.reads_images and any(not one.identifier for one in withdrawn)


def differing_metadata(source: Source, folder: Path, other: Path) -> list[str]:
    """Return the metadata files of a folder that another one has with other bytes."""
    files = [file for file in source.reader.metadata_files(()) if (folder / file).is_file()]
    return [
        file
        for file in files
        if not (other / file).is_file() or (folder / file).read_bytes() != (other / file).read_bytes()
    ]


def find_lines(withdrawn: pd.DataFrame, declared: Declared) -> list[WithdrawnHolder]:
    """Return the files that a recipe names, with lines of withdrawn images.

    Parameters
    ----------
    withdrawn
        The rows of the withdrawn images.
    declared
        The recipe with what it names. Shipped files are not the user's.
    """
    return [
        WithdrawnHolder(place, "declaration", 0, n, count_of(n, "line"))
        for place, n in _lines(withdrawn, declared)
    ]


def _lines(withdrawn: pd.DataFrame, declared: Declared) -> Iterator[tuple[Path, int]]:
    images = set(zip(withdrawn["source"], withdrawn["source_path"], strict=True))
    places = [one.place for one in declared.corrections if one.image in images]
    places += [one.file for one in declared.links if one.file and images & {one.a, one.b}]
    places += [one.file for one in declared.reviews if one.file and (one.source, one.path) in images]
    counts = Counter(place for place in places if not place.is_relative_to(CATALOG))
    if (previous := declared.previous) is not None and previous.place.is_file():
        named = previous.rows["image_id"].isin(set(withdrawn["image_id"]))
        named |= previous.rows["image"].isin(["/".join(image) for image in images])
        counts[previous.place] += int(named.sum())
    yield from ((place, n) for place, n in counts.items() if n)
