"""Which images are duplicates, or of one patient, although their sources do not state this."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cxrbuild.catalog.csv_table import CsvTable, require_none
from cxrbuild.errors import suggest
from cxrbuild.grouping import UnionFind

KINDS = ("duplicate", "same patient")
LINKS = CsvTable("links", ("source_a", "path_a", "source_b", "path_b", "kind", "note"))


@dataclass(frozen=True)
class Link:
    """Two images that are duplicates or of one patient, each as source and path.

    ``file`` is where the link is written, for messages.
    """

    a: tuple[str, str]
    b: tuple[str, str]
    kind: str
    note: str
    # No part of the link: the inputs of a build do not depend on it.
    file: Path | None = field(default=None, repr=False, compare=False)


def read_links(name: str, base: Path) -> list[Link]:
    """Read a file of links, with the header of `LINKS`; see `CsvTable`."""
    path = LINKS.find(name, base)
    links = []
    problems: list[str] = []
    pairs: dict[frozenset[tuple[str, str]], tuple[int, str]] = {}
    for line, (source_a, path_a, source_b, path_b, kind, note) in LINKS.rows(path, problems):
        if kind not in KINDS:
            problems.append(f"line {line}: kind is {kind!r}; {suggest(kind, KINDS, 'kind')}")
        if (source_a, path_a) == (source_b, path_b):
            problems.append(f"line {line}: links {path_a} with itself")
        link = Link((source_a, path_a), (source_b, path_b), kind, note, path)
        pair = frozenset((link.a, link.b))
        if pair in pairs:
            first, other = pairs[pair]
            links_as = "again" if other == kind else f"as {kind!r}"
            problems.append(
                f"line {line}: links {path_a} and {path_b} {links_as}; line {first} links them as {other!r}"
            )
        if kind in KINDS:
            pairs.setdefault(pair, (line, kind))
        links.append(link)
    require_none(path, problems + find_contradictions(links))
    return links


def find_contradictions(links: Sequence[Link]) -> list[str]:
    """Return a message for each ``same patient`` link of two images that other links call duplicates."""
    duplicates = UnionFind[tuple[str, str]]()
    for link in links:
        if link.kind == "duplicate":
            duplicates.union(link.a, link.b)
    return [
        f"{link.a[1]} and {link.b[1]} are of the same patient by one link and duplicates by others"
        for link in links
        if link.kind == "same patient" and duplicates.connected(link.a, link.b)
    ]
