"""Find rows of reviews, links, corrections and withdrawals that name images which a new version lacks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cxrbuild.catalog import CATALOG, Source, recipes_in
from cxrbuild.catalog.correction import CORRECTIONS
from cxrbuild.catalog.csv_table import SHIPPED, CsvTable
from cxrbuild.catalog.link import LINKS
from cxrbuild.catalog.review import REVIEWS
from cxrbuild.catalog.withdrawal import WITHDRAWALS
from cxrbuild.pins.changes import PinDiff


@dataclass(frozen=True)
class NamingRow:
    """A row of a file that names an image which the new version does not have under this path.

    Attributes
    ----------
    file, line
        The file, and the number of the line in it.
    content
        What the file holds: ``reviews``, ``links``, ``corrections`` or ``withdrawals``.
    path
        The image.
    new
        The path of the same bytes in the new version; empty where it has none.
    """

    file: str
    line: int
    content: str
    path: str
    new: str


def find_naming_rows(source: Source, diff: PinDiff) -> list[NamingRow]:
    """Return the rows that name images which left, or are under another path.

    Looked at are the reviews, links and corrections next to the declaration and in the current folder, the
    source's own withdrawals, and the shipped files that a recipe with the source names: a recipe in one of
    these folders, or a shipped one where they have none.

    Parameters
    ----------
    source
        The source as it was.
    diff
        What changed since.

    Raises
    ------
    DeclarationError
        One of the files is damaged.
    """
    removed = diff.rows[diff.rows["change"].isin(["removed", "moved"])]
    moved = removed["change"] == "moved"
    now = dict(zip(removed["path"], removed["new"].where(moved, ""), strict=True))
    return [
        NamingRow(str(file), line, table.content, path, now[path])
        for table, file in _files(source)
        for line, path in _named(table, file, source.name)
        # A withdrawn image keeps its row in the ledger, so that the other files can still name it.
        if path in now and (table is WITHDRAWALS or path not in source.withdrawals)
    ]


def _files(source: Source) -> Iterator[tuple[CsvTable, Path]]:
    folders = [Path()]
    if source.file.parent != CATALOG / "sources":
        folders.append(source.file.parent)
    used = _names_in_recipes(source, folders)
    files = [file for file in sorted(SHIPPED.glob("*.csv")) if file.stem in used]
    files += [file for folder in folders for file in sorted(folder.glob("*.csv"))]
    for file in {one.resolve(): one for one in files}.values():
        for table in (REVIEWS, LINKS, CORRECTIONS):
            if table.matches(file):
                yield table, file
    if source.withdrawn is not None:
        yield WITHDRAWALS, source.file.parent / source.withdrawn


def _names_in_recipes(source: Source, folders: Sequence[Path]) -> set[str]:
    """Return the files of reviews, links and corrections that recipes with the source name.

    The recipes are those in some folders; the shipped ones where these have none.
    """
    own = [names for folder in folders for names in _names_by_recipe(folder, source)]
    return set().union(*(own or _names_by_recipe(CATALOG / "recipes", source)))


def _names_by_recipe(folder: Path, source: Source) -> list[set[str]]:
    """Return the files of images that each recipe in a folder names, of the recipes with the source."""
    found = []
    for file, recipe in recipes_in(folder).items():
        try:
            links = recipe["split"].get("links", ())
            names = {*recipe.get("reviews", ()), *recipe.get("corrections", ()), *links}
            places = {(file.parent / name).resolve() for name in recipe["sources"]}
        except (KeyError, TypeError):
            continue  # `plan` reports such a recipe
        if source.name in recipe["sources"] or source.file.resolve() in places:
            found.append(names)
    return found


def _named(table: CsvTable, file: Path, source: str) -> Iterator[tuple[int, str]]:
    """Yield the images of a source that the rows of a file name, each with the number of its line."""
    for line, cells in table.rows(file, []):
        if table is WITHDRAWALS:
            yield line, cells[0]
            continue
        ends = [cells[0:2], cells[2:4]] if table is LINKS else [cells[0:2]]
        yield from ((line, path) for name, path in ends if name == source)
