"""Pairs of images that show the same film, and what each pair crosses."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxrbuild.auditing.descriptors import Film
from cxrbuild.auditing.duplicates import Match, find_matches
from cxrbuild.progress import Progress

if TYPE_CHECKING:
    import pandas as pd

_CROSSED = {"split": "split", "label": "label", "source": "source", "patient": "patient_id"}


@dataclass(frozen=True)
class Pair:
    """Two images that show the same film, or are alike.

    Attributes
    ----------
    a, b
        Their image ids.
    kind
        ``same bytes``, ``same pixels``, ``near`` or ``alike``, as ``duplicates.Match`` says it.
    similarity
        From 0 to 1.
    changes
        How one was made of the other: ``mirrored``, ``cut``, ``turned``.
    crosses
        Of split, label, source and patient those in which they differ.
    linked
        Whether the build never parts them: one patient, or patients that are linked.
    """

    a: str
    b: str
    kind: str
    similarity: float
    changes: tuple[str, ...]
    crosses: tuple[str, ...]
    linked: bool

    @property
    def same(self) -> bool:
        """Whether they are the same film, not merely alike."""
        return self.kind != "alike"

    def document(self) -> dict[str, Any]:
        """Return it as it stands in ``audit.json``."""
        return asdict(self) | {"similarity": round(self.similarity, 3)}


def find_pairs(
    rows: pd.DataFrame,
    films: Sequence[Film],
    build: Path,
    executor: Executor,
    *,
    workers: int,
    progress: Progress,
) -> list[Pair]:
    """Find the images that show the same film, the weightiest first.

    Images of the same bytes are told from their hashes and stand for each other from then on: each is paired
    with the first of them alone.

    Parameters
    ----------
    rows
        The manifest.
    films
        Its images in few numbers, in the order of the rows.
    build
        The build's folder.
    executor, workers
        Where to compare, and how many work there.
    progress
        Told how far it is.
    """
    digest = rows["source_sha256"].fillna(rows["jpeg_sha256"])
    first = digest.groupby(digest).transform(lambda same: same.index[0]) if len(rows) else digest
    at = {index: n for n, index in enumerate(rows.index)}
    matches = [
        Match(at[index], at[other], "same bytes", 1.0, ()) for other, index in first.items() if index != other
    ]
    single = [at[index] for index in rows.index if first[index] == index]
    paths = [build / path for path in rows["jpeg_path"]]
    near = find_matches(
        [films[n] for n in single], [paths[n] for n in single], executor, workers=workers, progress=progress
    )
    matches += [replace(match, a=single[match.a], b=single[match.b]) for match in near]
    table = rows.to_dict("records")
    pairs = [_pair(table[match.a], table[match.b], match) for match in matches]
    return sorted(
        pairs, key=lambda p: (not p.same, "split" not in p.crosses, -len(p.crosses), -p.similarity, p.a, p.b)
    )


def _pair(a: dict[Hashable, Any], b: dict[Hashable, Any], match: Match) -> Pair:
    unknown = a["patient_id"] != a["patient_id"] or b["patient_id"] != b["patient_id"]
    crosses = [
        word
        for word, column in _CROSSED.items()
        # Patients are numbered within a source; where one is not known the two are not known to be one.
        if a[column] != b[column] or (word == "patient" and (unknown or a["source"] != b["source"]))
    ]
    return Pair(
        a["image_id"], b["image_id"], match.kind, match.similarity, match.changes, tuple(crosses),
        a["group"] == b["group"],
    )  # fmt: skip
