"""What people saw on single films, and which films are the same film or patient."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from cxrbuild.catalog.source import CATALOG
from cxrbuild.errors import DeclarationError
from cxrbuild.grouping import UnionFind

MARKS = {
    "arrow": "an arrow or arrowhead drawn on the film",
    "clean": "nothing but the film",
    "edge-glyph": "a stray sign at the film's edge",
    "identifier": "a readable name or birth date",
    "letter": "a figure's panel letter or caption",
    "marker": "the radiographer's own markers (side, posture, time)",
    "overlay": "a viewer's text or scale over the film",
    "redacted": "a part blacked or whited out",
    "scout": "a scout view of a CT",
    "screen-photo": "a photograph of a screen",
    "shape": "a box or circle drawn on the film",
    "symbol": "a drawn sign of another kind",
    "tint": "a coloured cast",
    "unseen": "nobody has seen the film",
}
_REVIEW_HEADER = ["source", "path", "mark", "marks_finding", "note"]
_LINK_HEADER = ["source_a", "path_a", "source_b", "path_b", "kind", "note"]
_LINK_KINDS = ("duplicate", "same patient")


@dataclass(frozen=True)
class Review:
    """What a person saw on one film.

    ``marks_finding`` is whether a mark is drawn at a finding, ``None`` where nobody has seen the film.
    """

    source: str
    path: str
    mark: str
    marks_finding: bool | None
    note: str


@dataclass(frozen=True)
class Link:
    """Two films known to be the same film or of the same patient, each as source and path."""

    a: tuple[str, str]
    b: tuple[str, str]
    kind: str
    note: str


def read_reviews(name: str, beside: Path) -> list[Review]:
    """Read a review file: ``source,path,mark,marks_finding,note``.

    Parameters
    ----------
    name
        The name of a shipped file without its suffix, or the path of a CSV file.
    beside
        The folder that a relative path starts from.

    Raises
    ------
    DeclarationError
        There is no such file, or lines of it do not fit; every fault is named with its line.
    """
    path = _review_path(name, beside, _REVIEW_HEADER)
    reviews, faults, seen = [], [], set[tuple[str, str]]()
    for line, row in _rows(path, _REVIEW_HEADER):
        if len(row) != len(_REVIEW_HEADER):
            faults.append(_miscounted(line, row, _REVIEW_HEADER))
            continue
        source, film, mark, marks_finding, note = row
        if mark not in MARKS:
            faults.append(f"line {line}: unknown mark {mark!r}; known: {', '.join(MARKS)}")
        if marks_finding not in ("yes", "no", ""):
            faults.append(f"line {line}: marks_finding is {marks_finding!r}, not yes, no or blank")
        if (source, film) in seen:
            faults.append(f"line {line}: {source} {film} stands here a second time")
        seen.add((source, film))
        judged = {"yes": True, "no": False}.get(marks_finding)
        reviews.append(Review(source, film, mark, judged, note))
    _refuse(path, faults)
    return reviews


def read_links(name: str, beside: Path) -> list[Link]:
    """Read a file of links: ``source_a,path_a,source_b,path_b,kind,note``.

    Parameters
    ----------
    name
        The name of a shipped file without its suffix, or the path of a CSV file.
    beside
        The folder that a relative path starts from.

    Raises
    ------
    DeclarationError
        There is no such file, or lines of it do not fit; every fault is named with its line.
    """
    path = _review_path(name, beside, _LINK_HEADER)
    links, faults = [], []
    seen: dict[frozenset[tuple[str, str]], tuple[int, str]] = {}
    for line, row in _rows(path, _LINK_HEADER):
        if len(row) != len(_LINK_HEADER):
            faults.append(_miscounted(line, row, _LINK_HEADER))
            continue
        source_a, path_a, source_b, path_b, kind, note = row
        if kind not in _LINK_KINDS:
            faults.append(f"line {line}: kind is {kind!r}, not {' or '.join(_LINK_KINDS)}")
        if (source_a, path_a) == (source_b, path_b):
            faults.append(f"line {line}: links {path_a} with itself")
        link = Link((source_a, path_a), (source_b, path_b), kind, note)
        pair = frozenset((link.a, link.b))
        if pair in seen:
            before, said = seen[pair]
            but = "again" if said == kind else f"{kind!r}, but line {before} says {said!r}"
            faults.append(f"line {line}: links {path_a} and {path_b}, as line {before} does: {but}")
        if kind in _LINK_KINDS:
            seen.setdefault(pair, (line, kind))
        links.append(link)
    _refuse(path, faults + contradictions(links))
    return links


def contradictions(links: list[Link]) -> list[str]:
    """Return a sentence for each link of one patient's two films that other links make one film."""
    duplicates = UnionFind[tuple[str, str]]()
    for link in links:
        if link.kind == "duplicate":
            duplicates.union(link.a, link.b)
    return [
        f"{link.a[1]} and {link.b[1]} are of the same patient by one link and duplicates by others"
        for link in links
        if link.kind == "same patient" and duplicates.connected(link.a, link.b)
    ]


def _review_path(name: str, beside: Path, header: list[str]) -> Path:
    path = beside / name if name.endswith(".csv") else CATALOG / "reviews" / f"{name}.csv"
    if not path.is_file():
        # Reviews and links lie side by side; their first lines tell them apart.
        shipped = sorted(
            path.stem
            for path in (CATALOG / "reviews").glob("*.csv")
            if path.read_text(encoding="utf-8").startswith(",".join(header) + "\n")
        )
        raise DeclarationError(
            f"no such file of {'reviews' if header is _REVIEW_HEADER else 'links'}",
            where=path,
            expected=f"one of {', '.join(shipped)}, or the path of a .csv file",
        )
    return path


def _rows(path: Path, header: list[str]) -> list[tuple[int, list[str]]]:
    """Return the rows below the header, each with the number of its line."""
    rows: list[tuple[int, list[str]]] = []
    faults: list[str] = []
    begun = 1
    try:
        # A spreadsheet writes a byte order mark before UTF-8.
        with path.open(encoding="utf-8-sig", newline="") as stream:
            # Otherwise a quote that is never closed swallows the lines to the end without a word.
            reader = csv.reader(stream, strict=True)
            found = next(reader, [])
            begun = reader.line_num + 1
            for row in reader:
                rows.append((reader.line_num, row))
                faults += [f"line {begun}: holds a NUL byte"] * any("\0" in cell for cell in row)
                begun = reader.line_num + 1
    except csv.Error as error:
        raise DeclarationError(
            "not CSV", where=path, found=f"line {begun}: {error}",
            todo="A quote that opens a cell closes it too; one within a cell is written twice",
        ) from error  # fmt: skip
    except UnicodeDecodeError as error:
        raise DeclarationError(
            "not UTF-8 text", where=path, found=error,
            todo="Save it as CSV in UTF-8; a spreadsheet asks for the encoding, or calls it 'CSV UTF-8'",
        ) from error  # fmt: skip
    if found == header:
        _refuse(path, faults)
        return [(line, row) for line, row in rows if row]
    if found == [";".join(header)]:
        raise DeclarationError(
            "the cells of this file are parted by semicolons", where=path, expected="commas",
            todo="Save it again with commas: LibreOffice asks for the field separator; Excel takes the list "
            "separator of the system's regional settings",
        )  # fmt: skip
    raise DeclarationError(
        "not a file of this kind", where=path, expected=",".join(header), found=",".join(found)
    )


def _miscounted(line: int, row: list[str], header: list[str]) -> str:
    return f"line {line}: {len(row)} cells, not {len(header)}"


def _refuse(path: Path, faults: list[str]) -> None:
    if faults:
        raise DeclarationError("faults in this file\n  " + "\n  ".join(faults), where=path)
