"""Find pairs of duplicates in a manifest, and in what the images of each pair differ."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.artifact.audit import Crossing, DuplicateSearch, ImagePair
from cxrbuild.auditing.descriptors import ImageDescriptors
from cxrbuild.auditing.duplicates import Match, find_matches
from cxrbuild.progress import Progress

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS: dict[Crossing, str] = {
    "split": "split", "label": "label", "source": "source", "patient": "patient_id",
}  # fmt: skip


def find_pairs(
    rows: pd.DataFrame,
    images: Sequence[ImageDescriptors],
    folder: Path,
    executor: Executor,
    *,
    workers: int,
    progress: Progress,
) -> tuple[list[ImagePair], DuplicateSearch]:
    """Find duplicates and similar pairs of a manifest, the most important first.

    Images with the same bytes have the same hash. Each is paired with the first of them, and only the first
    is compared with other images.

    Parameters
    ----------
    rows
        The manifest.
    images
        The images' descriptors, in the order of the rows.
    folder
        The build's folder.
    executor, workers
        The executor, and the number of its workers.
    progress
        Opens progress bars.
    """
    digests = rows["source_sha256"].fillna(rows["jpeg_sha256"]).tolist()
    first: dict[str, int] = {}
    matches, distinct = [], []
    for number, digest in enumerate(digests):
        if first.setdefault(digest, number) == number:
            distinct.append(number)
        else:
            matches.append(Match(first[digest], number, "same bytes", 1.0))
    paths = [folder / path for path in rows["jpeg_path"]]
    found, search = find_matches(
        [images[number] for number in distinct], [paths[number] for number in distinct], executor,
        workers=workers, progress=progress,
    )  # fmt: skip
    matches += [replace(match, a=distinct[match.a], b=distinct[match.b]) for match in found]
    pairs = [_describe(rows, match) for match in matches]
    return sorted(pairs, key=_importance), search


def _importance(pair: ImagePair) -> tuple[bool, bool, int, float, str, str]:
    crosses = pair.crosses
    return not pair.is_duplicate, "split" not in crosses, -len(crosses), -pair.similarity, pair.a, pair.b


def _describe(rows: pd.DataFrame, match: Match) -> ImagePair:
    a, b = rows.iloc[match.a], rows.iloc[match.b]
    unknown = a["patient_id"] != a["patient_id"] or b["patient_id"] != b["patient_id"]
    crosses: list[Crossing] = [
        name
        for name, column in _COLUMNS.items()
        # Patient ids are unique within a source. An unknown patient may be another one.
        if (name == "patient" and (unknown or a["source"] != b["source"])) or a[column] != b[column]
    ]
    return ImagePair(
        a=a["image_id"], b=b["image_id"], kind=match.kind, similarity=round(match.similarity, 3),
        changes=list(match.changes), crosses=crosses, linked=bool(a["group"] == b["group"]),
    )  # fmt: skip
