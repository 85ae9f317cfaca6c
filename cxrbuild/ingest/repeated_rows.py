"""Join or refuse several rows of one image that differ in a mapped value: only the first would count."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from cxrbuild.catalog.source import Source
from cxrbuild.errors import CxrbuildError, count_of, name_some

if TYPE_CHECKING:
    import pandas as pd

SEPARATOR = "|"
"""What separates joined findings of a source that declares no ``finding_separator``."""

_LISTED = 5
_FINDING = "finding"


@dataclass(frozen=True)
class DifferingValue:
    """A column in which rows of one image differ.

    Attributes
    ----------
    source, path
        The image.
    column
        The column.
    values
        The different values, in the order of the rows; empty where a row gives none.
    places
        Where the first row with each value is.
    """

    source: str
    path: str
    column: str
    values: tuple[str, ...]
    places: tuple[str, ...]

    def describe(self) -> str:
        """Return the column with its values and their places."""
        shown = [
            f"{value!r} ({place})" if value else f"blank ({place})"
            for value, place in zip(self.values, self.places, strict=True)
        ]
        return f"{self.column} {name_some(shown, _LISTED)}"


class DifferingRowsError(CxrbuildError):
    """Rows of images differ; the message names some of the images, and ``differing`` has all."""

    def __init__(self, source: Source, differing: Sequence[DifferingValue]) -> None:
        by_path: dict[str, list[str]] = {}
        for one in differing:
            by_path.setdefault(one.path, []).append(one.describe())
        lines = [f"  {path}: {'; '.join(columns)}" for path, columns in by_path.items()]
        if len(lines) > _LISTED:
            lines[_LISTED:] = [f"  and {len(lines) - _LISTED:,} more"]
        separator = source.finding_separator or SEPARATOR
        declare = "" if source.finding_separator else f', and `finding_separator = "{separator}"`'
        advice = "Correct the metadata, or declare in [reader] of the source what is right:\n"
        advice += '  `differing_rows = "first"`: the first; the others are excluded as `listed_twice`\n'
        if any(one.column == _FINDING for one in differing):
            advice += (
                f'  `differing_rows = "join"`{declare}, for readers who disagree: the image has the findings '
                f"of all, such as `Normal{separator}Pneumonia`, until a correction states what a third "
                "reader decided. Without one it is excluded as `ambiguous_finding` if its findings have two "
                "classes, and by the rule of kind `labelled`, with `every_finding = true`, if one has none\n"
                "`cxrbuild plan --differing-rows FILE.csv` writes all images with different findings as "
                "corrections to fill in, and `cxrbuild plan --json` lists all images with their rows"
            )
        else:
            advice += "`cxrbuild plan --json` lists all of these images"
        super().__init__(
            f"{count_of(len(by_path), 'image')} with rows of metadata that differ\n" + "\n".join(lines),
            where=f"source {source.name}",
            expected="one row for each image, or rows with equal values in all mapped columns",
            todo=advice,
        )
        self.differing = tuple(differing)
        self._separator = separator

    def findings(self) -> list[tuple[str, str, str]]:
        """Return source, path and joined findings of each image whose rows have different findings.

        A blank cell is no finding: joining settles it.
        """
        return [
            (one.source, one.path, join_texts(one.values, self._separator))
            for one in self.differing
            if one.column == _FINDING and len(list(filter(None, one.values))) > 1
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return the error as JSON has it, with every image and column under ``differing_rows``."""
        return super().to_dict() | {
            "differing_rows": [
                asdict(one) | {"values": list(one.values), "places": list(one.places)}
                for one in self.differing
            ]
        }


def join_rows(source: Source, records: pd.DataFrame, places: pd.Index, files: Container[str]) -> pd.DataFrame:
    """Return rows of which the first of each image decides: it has the findings of all where they are joined.

    Parameters
    ----------
    source
        The source, whose reader declares ``differing_rows``.
    records
        The rows, with mapped values; patients are hashed where the source hashes them.
    places
        Where each row is, for messages.
    files
        The paths of the source's files. Rows without a file, and those of withdrawn images, decide nothing.

    Raises
    ------
    DifferingRowsError
        Rows of an image differ, and the source neither takes the first nor joins them.
    """
    import pandas as pd

    paths = records["source_path"]
    repeated = paths[paths.duplicated(keep=False)]
    if source.reader.differing_rows == "first" or repeated.empty:
        return records
    columns = list(type(source.columns).model_fields)
    values = records.loc[repeated.index, columns].astype("str").fillna("")
    differing = []
    joined: dict[Any, str] = {}
    for path, rows in repeated.groupby(repeated, sort=False):
        if path not in files or path in source.withdrawals:
            continue
        for name in columns:
            first = values.loc[rows.index, name].drop_duplicates()
            if len(first) == 1:
                continue
            if name == _FINDING and source.reader.differing_rows == "join":
                joined[rows.index[0]] = join_texts(first, str(source.finding_separator))
            else:
                where = places[first.index.to_numpy()]
                differing.append(DifferingValue(source.name, str(path), name, tuple(first), tuple(where)))
    if differing:
        raise DifferingRowsError(source, differing)
    if joined:
        new_values = pd.Series(joined, dtype=records[_FINDING].dtype)
        records = records.copy(deep=False)
        records.loc[new_values.index, _FINDING] = new_values
    return records


def join_texts(values: Sequence[str] | pd.Series, separator: str) -> str:
    """Return the different findings of some rows as one text, in the order of the rows.

    Examples
    --------
    >>> join_texts(["Normal", "", "Edema| Normal"], "|")
    'Normal|Edema'
    """
    parts = (part.strip() for value in values for part in value.split(separator))
    return separator.join(dict.fromkeys(part for part in parts if part))
