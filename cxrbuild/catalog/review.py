"""What people saw on single images."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.catalog.csv_table import CsvTable, require_none
from cxrbuild.errors import suggest

if TYPE_CHECKING:
    import pandas as pd

MARKS = {
    "arrow": "an arrow or arrowhead drawn on the image",
    "clean": "nothing but the radiograph",
    "edge-glyph": "a stray sign at the image's edge",
    "identifier": "a readable name or birth date",
    "letter": "a figure's panel letter or caption",
    "marker": "the radiographer's own markers (side, posture, time)",
    "overlay": "a viewer's text or scale over the image",
    "redacted": "an area that is blacked or whited out",
    "scout": "a scout view of a CT",
    "screen-photo": "a photograph of a screen",
    "shape": "a box or circle drawn on the image",
    "symbol": "a drawn sign of another kind",
    "tint": "a coloured cast",
    "unseen": "nobody has seen the image",
}
# An image with this mark is never shown: not on a page, and not in a figure.
IDENTIFIER = "identifier"
REVIEWS = CsvTable("reviews", ("source", "path", "mark", "marks_finding", "note"), optional=("reader",))


@dataclass(frozen=True)
class Review:
    """What a person saw on one image.

    ``marks_finding`` is whether a mark is drawn at a finding, ``None`` where nobody has seen the image.
    ``reader`` is the name of the person, empty where the file does not state. ``file`` is where the review is
    written, and ``line`` its line there, for messages.
    """

    source: str
    path: str
    mark: str
    marks_finding: bool | None
    note: str
    reader: str = ""
    # No part of the review: the inputs of a build do not depend on it.
    file: Path | None = field(default=None, repr=False, compare=False)
    line: int | None = field(default=None, repr=False, compare=False)


def shows_identity(marks: pd.Series) -> pd.Series:
    """Return which images show a readable name or birth date, and must not be shown.

    Parameters
    ----------
    marks
        The column ``review`` of the images: a mark, null for an image without a review.
    """
    return marks.eq(IDENTIFIER).fillna(value=False).astype(bool)


def read_reviews(name: str, base: Path) -> list[Review]:
    """Read a review file, with the header of `REVIEWS`; see `CsvTable`."""
    path = REVIEWS.find(name, base)
    reviews = []
    problems: list[str] = []
    lines: dict[tuple[str, str], int] = {}
    for line, (source, image, mark, marks_finding, note, reader) in REVIEWS.rows(path, problems):
        if mark not in MARKS:
            problems.append(f"line {line}: unknown mark {mark!r}; {suggest(mark, MARKS, 'mark')}")
        if marks_finding not in ("yes", "no", ""):
            problems.append(f"line {line}: marks_finding is {marks_finding!r}, not yes, no or blank")
        if (first := lines.setdefault((source, image), line)) != line:
            problems.append(f"line {line}: {source} {image} is in line {first} already")
        answer = {"yes": True, "no": False}.get(marks_finding)
        reviews.append(Review(source, image, mark, answer, note, reader, path, line))
    require_none(path, problems)
    return reviews


def format_reviews(reviews: Sequence[Review]) -> bytes:
    """Return a review file; it has the column ``reader`` where a review has one.

    Parameters
    ----------
    reviews
        The reviews, in the order of the file.
    """
    header = REVIEWS.header + ("reader",) * any(review.reader for review in reviews)
    stream = StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    for review in reviews:
        answer = {True: "yes", False: "no", None: ""}[review.marks_finding]
        row = (review.source, review.path, review.mark, answer, review.note, review.reader)
        writer.writerow(row[: len(header)])
    return stream.getvalue().encode()
