"""Find pairs of duplicates in a manifest, and in what the images of each pair differ."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cxrbuild.artifact.audit import DuplicateSearch, ImagePair
from cxrbuild.artifact.audit_finding import Crossing
from cxrbuild.auditing.duplicates import Match, find_matches
from cxrbuild.auditing.match_record import read_matches, record_matches
from cxrbuild.auditing.store import DescriptorTable
from cxrbuild.errors import count_of
from cxrbuild.patients import is_one_patient
from cxrbuild.progress import Progress

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS: dict[Crossing, str] = {
    "split": "split", "label": "label", "source": "source", "patient": "patient_id",
}  # fmt: skip


def find_pairs(
    rows: pd.DataFrame,
    images: DescriptorTable,
    folder: Path,
    state: Path,
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
    state
        A folder for temporary files, and for the matches: another audit of the same images takes them.
    executor, workers
        The executor, and the number of its workers.
    progress
        Opens progress bars.
    """
    import pandas as pd

    codes, _ = pd.factorize(rows["source_sha256"].fillna(rows["jpeg_sha256"]))
    _, distinct = np.unique(codes, return_index=True)
    first = distinct[codes]
    copies = np.flatnonzero(first != np.arange(len(rows))).tolist()
    matches = [Match(int(first[copy]), copy, "same bytes", 1.0) for copy in copies]
    compared = rows["jpeg_sha256"].iloc[distinct].tolist()
    if copies:
        progress.note(f"Of {count_of(len(rows), 'image')}, {len(compared):,} are compared: equal files once.")
    if (recorded := read_matches(state, compared)) is not None:
        found, search = recorded
        progress.note(f"Compared already: {count_of(len(compared), 'image')}, by the same program.")
    else:
        paths = [folder / path for path in rows["jpeg_path"].iloc[distinct]]
        found, search = find_matches(
            images.select(distinct), paths, state, executor, workers=workers, progress=progress
        )
        record_matches(state, compared, found, search)
    matches += [replace(match, a=int(distinct[match.a]), b=int(distinct[match.b])) for match in found]
    numbers = sorted({number for match in matches for number in (match.a, match.b)})
    columns = ["image_id", "group", *_COLUMNS.values()]
    used = dict(zip(numbers, rows.iloc[numbers][columns].to_dict("records"), strict=True))
    pairs = [_describe(used[match.a], used[match.b], match) for match in matches]
    return sorted(pairs, key=_importance), search


def _importance(pair: ImagePair) -> tuple[bool, bool, int, float, str, str]:
    crosses = pair.crosses
    return not pair.is_duplicate, "split" not in crosses, -len(crosses), -pair.similarity, pair.a, pair.b


def _describe(a: Mapping[Hashable, Any], b: Mapping[Hashable, Any], match: Match) -> ImagePair:
    crosses: list[Crossing] = [
        name
        for name, column in _COLUMNS.items()
        if (not is_one_patient(a, b) if name == "patient" else a[column] != b[column])
    ]
    return ImagePair(
        a=a["image_id"], b=b["image_id"], kind=match.kind, similarity=round(match.similarity, 3),
        changes=list(match.changes), crosses=crosses, linked=bool(a["group"] == b["group"]),
    )  # fmt: skip
