"""Measure confounding: how much single properties of the file and the patient predict the class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cxrbuild.artifact.audit_finding import AssociationFinding
from cxrbuild.auditing.context import Context, record
from cxrbuild.checks import Measurement, NotApplicable

if TYPE_CHECKING:
    import pandas as pd

UNKNOWN = "unknown"
# The associations in the message.
_LISTED = 3
# The start and the name of each group.
_AGES = ((0, "under 18"), (18, "18 to 39"), (40, "40 to 59"), (60, "60 to 79"), (80, "80 and over"))
_SIDES = (
    (0, "under 256"),
    (256, "256 to 511"),
    (512, "512 to 1023"),
    (1024, "1024 to 2047"),
    (2048, "2048 up"),
)
_ASPECTS = (
    (0.0, "under 0.9"),
    (0.9, "0.9 to 1.1"),
    (1.1, "1.1 to 1.3"),
    (1.3, "1.3 to 1.5"),
    (1.5, "1.5 up"),
)


def check_confounding(context: Context) -> Measurement:
    """Measure how much each property of the files and patients predicts a class.

    For each class, the images of that class are compared with all other images. The value is the largest
    share of the entropy of this comparison that one property explains (uncertainty coefficient).
    """
    labels = context.rows["label"]
    if labels.nunique() < 2:
        raise NotApplicable("there is only one class")
    associations = sorted(
        (
            _measure(name, values, labels, context.recipe.classes)
            for name, values in list_properties(context.rows).items()
        ),
        key=lambda one: (-one.share, one.property),
    )
    listed = [one.message for one in associations[:_LISTED] if f"{one.share:.0%}" != "0%"]
    message = "; ".join(listed) or "each property explains less than 1% of each class"
    return Measurement(associations[0].share, message, [record(one) for one in associations])


def list_properties(rows: pd.DataFrame) -> dict[str, pd.Series]:
    """Return the values of each property, in groups, by the property's name.

    Parameters
    ----------
    rows
        A build's manifest.
    """
    format_and_samples = rows["source_format"].str.split(n=1, expand=True).reindex(columns=[0, 1])
    properties = {
        "source": rows["source"],
        "age group": _grouped(rows["patient_age"], _AGES),
        "sex": rows["patient_sex"],
        "view": rows["view_position"],
        "longer side": _grouped(rows[["width", "height"]].max(axis=1), _SIDES),
        "aspect ratio": _grouped(rows["width"] / rows["height"], _ASPECTS),
        "file format": format_and_samples[0],
        "samples": format_and_samples[1],
    }
    return {name: values.astype("str").fillna(UNKNOWN) for name, values in properties.items()}


def mutual_information(counts: Sequence[Sequence[int]]) -> tuple[float, float]:
    """Return the mutual information of two variables in bits, and its share of the second one's entropy.

    The expectation by chance in a small table, ``(r - 1)(c - 1) / 2n`` nats (Miller 1955), is subtracted.

    Parameters
    ----------
    counts
        The contingency table: a row for each value of the first variable, a column for each of the second.
    """
    import numpy as np
    from scipy.stats import entropy
    from sklearn.metrics import mutual_info_score

    table = np.asarray(counts)
    rows, columns = table.sum(1), table.sum(0)
    nats = mutual_info_score(None, None, contingency=table)
    chance = (np.count_nonzero(rows) - 1) * (np.count_nonzero(columns) - 1) / (2 * table.sum())
    nats = max(0.0, float(nats - chance))
    most = float(entropy(columns))
    return nats / math.log(2), min(1.0, nats / most) if most else 0.0


def _measure(name: str, values: pd.Series, labels: pd.Series, classes: Sequence[str]) -> AssociationFinding:
    import pandas as pd

    table = pd.crosstab(values, labels)
    table = table.loc[sorted(table.index, key=_position), [name for name in classes if name in table.columns]]
    counts = table.to_numpy()
    bits, _ = mutual_information(counts.tolist())
    shares = {
        label: mutual_information([[row[n], row.sum() - row[n]] for row in counts])[1]
        for n, label in enumerate(table.columns)
    }
    # The first of several classes with the same share.
    label = max(shares, key=lambda name: shares[name])
    share = round(shares[label], 4)
    return AssociationFinding(
        message=f"{name} explains {share:.0%} of {label}",
        property=name,
        label=label,
        share=share,
        bits=round(bits, 4),
        counts={
            str(value): {str(label): int(n) for label, n in row.items()} for value, row in table.iterrows()
        },
    )


def _position(value: str) -> tuple[bool, int, str]:
    """Return the position of a value in its table: groups in their order, unknown values last."""
    order = [name for groups in (_AGES, _SIDES, _ASPECTS) for _, name in groups]
    return value == UNKNOWN, order.index(value) if value in order else 0, value


def _grouped(numbers: pd.Series, groups: Sequence[tuple[float, str]]) -> pd.Series:
    import pandas as pd

    edges = [start for start, _ in groups] + [float("inf")]
    return pd.cut(
        numbers.astype("Float64").astype("float"), edges, right=False, labels=[name for _, name in groups]
    ).astype("object")
