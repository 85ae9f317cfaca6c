"""Find the images that two datasets share, under other names and changed, from their fingerprints."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cxrbuild.artifact.audit import DuplicateSearch
from cxrbuild.artifact.audit_finding import Change, PairKind
from cxrbuild.auditing import stages
from cxrbuild.auditing.duplicates import Match, find_matches
from cxrbuild.auditing.keypoint_matches import find_keypoint_matches
from cxrbuild.auditing.keypoints import Sides
from cxrbuild.auditing.store import DescriptorTable
from cxrbuild.errors import count_of
from cxrbuild.executors import open_executor
from cxrbuild.notebook import result_html
from cxrbuild.overlapping.fingerprint import Fingerprint, FingerprintDocument, Level
from cxrbuild.progress import Progress, silent

if TYPE_CHECKING:
    import pandas as pd

_DIGITS = 3
_READING = "reading fingerprints"
# Pixels are compared within a build alone.
STAGES = (_READING, stages.FINDING, stages.COMPARING)
"""The stages of a comparison of two fingerprints, as a person sees them."""


@dataclass(frozen=True)
class SharedImage:
    """An image of the first dataset and one of the second that are the same, or similar.

    Attributes
    ----------
    a, b
        Their ids.
    split_a, split_b
        Their splits.
    kind
        ``same bytes``, ``near-duplicate``, or ``similar`` (often one patient on two days).
    similarity
        1 for the same bytes. With thumbnails, the median correlation of fine detail; else the share of
        keypoints that agree.
    changes
        How one differs from the other.
    """

    a: str
    b: str
    split_a: str
    split_b: str
    kind: PairKind
    similarity: float
    changes: tuple[Change, ...] = ()

    @property
    def is_duplicate(self) -> bool:
        """Whether both are one radiograph."""
        return self.kind != "similar"

    def to_dict(self) -> dict[str, Any]:
        """Return the pair as JSON has it."""
        return {
            "a": self.a, "b": self.b, "split_a": self.split_a, "split_b": self.split_b, "kind": self.kind,
            "similarity": self.similarity, "changes": list(self.changes),
        }  # fmt: skip


@dataclass(frozen=True, eq=False)
class OverlapResult:
    """The images that two datasets share.

    Attributes
    ----------
    a, b
        What was compared.
    level
        What was compared of each image: ``keypoints`` or ``thumbnails``.
    pairs
        The pairs, duplicates first.
    search
        How completely duplicates were searched.
    rows_a, rows_b
        The rows of both fingerprints.
    """

    a: FingerprintDocument
    b: FingerprintDocument
    level: Level
    pairs: Sequence[SharedImage]
    search: DuplicateSearch
    rows_a: pd.DataFrame
    rows_b: pd.DataFrame

    @property
    def duplicates(self) -> list[SharedImage]:
        """The pairs that are one radiograph."""
        return [pair for pair in self.pairs if pair.is_duplicate]

    def count_shared(self) -> dict[str, dict[str, int]]:
        """Return how many images of A are in B, by split in A and split in B."""
        counts: dict[str, dict[str, int]] = {}
        for split_a, split_b, _ in sorted({(pair.split_a, pair.split_b, pair.a) for pair in self.duplicates}):
            of_split = counts.setdefault(split_a, {})
            of_split[split_b] = of_split.get(split_b, 0) + 1
        return counts

    def leak_free(self, side: str, against: Sequence[str] = ()) -> pd.DataFrame:
        """Return the rows of a dataset without patients who also appear in the other dataset.

        Parameters
        ----------
        side
            ``a`` or ``b``.
        against
            The splits of the other dataset that count; all if empty.
        """
        rows, other = (self.rows_a, "b") if side == "a" else (self.rows_b, "a")
        shared = {
            getattr(pair, side)
            for pair in self.duplicates
            if not against or getattr(pair, f"split_{other}") in against
        }
        groups = set(rows.loc[rows["image_id"].isin(shared), "group"])
        return rows[~rows["group"].isin(groups)].reset_index(drop=True)

    def to_dict(self, against: Sequence[str] = ()) -> dict[str, Any]:
        """Return what was compared, the counts and the pairs as JSON has them.

        Parameters
        ----------
        against
            See `leak_free`.
        """
        return {
            "a": self.a.to_dict(),
            "b": self.b.to_dict(),
            "level": self.level,
            "shared": self.count_shared(),
            "leak_free": {
                side: self.leak_free(side, against).groupby("split").size().to_dict() for side in ("a", "b")
            },
            "pairs": [pair.to_dict() for pair in self.pairs],
            "search": self.search.model_dump(),
        }

    def _repr_html_(self) -> str:
        a, b = (f"{one.dataset.name} {one.dataset.version}" for one in (self.a, self.b))
        shared = [
            [in_a, in_b, n] for in_a, counts in self.count_shared().items() for in_b, n in counts.items()
        ]
        return result_html(
            f"{a} and {b}: {count_of(len(self.duplicates), 'pair')} of one radiograph",
            [f"{count_of(len(self.pairs) - len(self.duplicates), 'similar pair')}."],
            [f"split in {a}", f"split in {b}", "images"],
            shared,
        )


def find_overlap(
    a: Fingerprint, b: Fingerprint, *, workers: int = 1, progress: Progress = silent
) -> OverlapResult:
    """Find the images that two datasets share.

    If both fingerprints have thumbnails, images are registered as the audit does; else their keypoints are
    compared alone. Images of a release whose pixels are withheld are compared by the hashes of their files.

    Parameters
    ----------
    a, b
        The fingerprints.
    workers
        The number of processes that register images.
    progress
        Opens progress bars.

    Raises
    ------
    CxrbuildError
        A fingerprint has values that are not those of descriptors, or there are too many images.
    """
    levels: set[Level] = {a.document.level, b.document.level}
    level: Level = "thumbnails" if levels == {"thumbnails"} else "keypoints"
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        with progress(_READING, None, ""):
            table, records = _gather(a, b, level, folder)
        sides = _sides(len(table), *records)
        if level == "thumbnails":
            with open_executor("local", workers) as pool:
                found, search = find_matches(
                    table, None, folder, pool, workers=workers, progress=progress, sides=sides
                )
        else:
            found, search = find_keypoint_matches(table, folder, sides=sides, progress=progress)
    pairs: dict[tuple[str, str], SharedImage] = {}
    for pair in [*_equal(a.rows, b.rows), *_expand(found, a.rows, b.rows, *records)]:
        pairs.setdefault((pair.a, pair.b), pair)
    ordered = sorted(
        pairs.values(), key=lambda pair: (not pair.is_duplicate, -pair.similarity, pair.a, pair.b)
    )
    return OverlapResult(a.document, b.document, level, ordered, search, a.rows, b.rows)


def _gather(
    a: Fingerprint, b: Fingerprint, level: Level, folder: Path
) -> tuple[DescriptorTable, tuple[dict[str, int], dict[str, int]]]:
    """Write the descriptors of the distinct images of both datasets to one table.

    Returns
    -------
    DescriptorTable
        The table.
    tuple of dict
        For each dataset the number of each JPEG in the table, by its digest.
    """
    numbers: dict[str, int] = {}
    of_sides: list[dict[str, int]] = []
    for side in (a, b):
        of_side: dict[str, int] = {}
        for rows, values in side.read_descriptors(level):
            digests = rows["jpeg_sha256"].tolist()
            first = []
            for i, digest in enumerate(digests):
                if digest not in numbers:
                    numbers[digest] = len(numbers)
                    first.append(i)
            of_side |= {digest: numbers[digest] for digest in digests}
            for name, column in values.items():
                with (folder / name).open("ab") as stream:
                    stream.write(column[first].tobytes())
        of_sides.append(of_side)
    return DescriptorTable(folder, np.arange(len(numbers))), (of_sides[0], of_sides[1])


def _sides(images: int, of_a: dict[str, int], of_b: dict[str, int]) -> Sides:
    sides = np.zeros(images, np.uint8)
    sides[list(of_a.values())] |= 1
    sides[list(of_b.values())] |= 2
    return sides


def _equal(a: pd.DataFrame, b: pd.DataFrame) -> Iterator[SharedImage]:
    """Yield the pairs of images whose upstream file or JPEG has the same bytes."""
    for column in ("source_sha256", "jpeg_sha256"):
        left, right = (rows.loc[rows[column].notna(), [column, "image_id", "split"]] for rows in (a, b))
        both = left.merge(right, on=column, suffixes=("_a", "_b"))
        columns = [both[name].tolist() for name in ("image_id_a", "image_id_b", "split_a", "split_b")]
        for id_a, id_b, split_a, split_b in zip(*columns, strict=True):
            yield SharedImage(id_a, id_b, split_a, split_b, "same bytes", 1.0)


def _expand(
    matches: Sequence[Match], a: pd.DataFrame, b: pd.DataFrame, of_a: dict[str, int], of_b: dict[str, int]
) -> Iterator[SharedImage]:
    """Yield the pairs of rows that have the JPEGs of a match."""
    rows_a, rows_b = _rows_by_number(a, of_a), _rows_by_number(b, of_b)
    for match in matches:
        # An image can be in both datasets.
        for first, second in ((match.a, match.b), (match.b, match.a)):
            for id_a, split_a in rows_a.get(first, ()):
                for id_b, split_b in rows_b.get(second, ()):
                    similarity = round(match.similarity, _DIGITS)
                    yield SharedImage(id_a, id_b, split_a, split_b, match.kind, similarity, match.changes)


def _rows_by_number(rows: pd.DataFrame, numbers: dict[str, int]) -> dict[int, list[tuple[str, str]]]:
    found: dict[int, list[tuple[str, str]]] = {}
    columns = rows[["jpeg_sha256", "image_id", "split"]]
    for digest, image_id, split in columns.itertuples(index=False):
        if digest in numbers:
            found.setdefault(numbers[digest], []).append((image_id, split))
    return found
