"""``explain.parquet``: a row for each explained image."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cxrbuild.artifact.explanation import TESTS
from cxrbuild.explanation.attribution import probabilities_of
from cxrbuild.explanation.explained import Explained
from cxrbuild.files import replacing

_PARTS = ("lungs", "border", "elsewhere")


def write_table(path: Path, explained: Explained, classes: list[str]) -> None:
    """Write a row for each image: its prediction, its shares, and the true class in each blackout test.

    Parameters
    ----------
    path
        The Parquet file.
    explained
        The images.
    classes
        The classes in the order of their numbers.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    table, labels = explained.selection.table, explained.selection.labels
    rows = np.arange(len(labels))
    predicted = explained.predicted
    known = not np.isnan(explained.areas[:, 0]).any()
    columns = {name: pa.array(table[name], pa.string()) for name in ("image_id", "source", "split", "label")}
    columns["predicted"] = pa.array([classes[number] for number in predicted], pa.string())
    columns["probability"] = pa.array(probabilities_of(explained.logits["whole"])[rows, predicted])
    for test in TESTS:
        if test in explained.logits:
            columns[f"true_class_{test}"] = pa.array(probabilities_of(explained.logits[test])[rows, labels])
    columns["lungs_from"] = pa.array(
        ["mask" if own else "region" if known else None for own in explained.own], pa.string()
    )
    for what, shares in {"area": explained.areas, **explained.shares}.items():
        for number, part in enumerate(_PARTS):
            columns[f"{what}_{part}"] = pa.array(shares[:, number], from_pandas=True)
    with replacing(path) as temporary:
        pq.write_table(pa.table(columns).replace_schema_metadata(None), temporary, compression="zstd")
