"""Whether facts of the file and the patient, one at a time, tell the class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cxrbuild.auditing.check import Finding, Subject

if TYPE_CHECKING:
    import pandas as pd

UNKNOWN = "not known"
# Where a group begins, and what it is called.
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


def check_confounding(subject: Subject) -> Finding:
    """Hold each fact of the files and the patients against the class.

    For each class it is asked what a fact tells of whether a film is of that class or another. The value is
    the greatest share of what there is to know of that (its entropy) which a fact tells.
    """
    rows = subject.rows
    if rows["label"].nunique() < 2:
        return Finding(None, "there is one class alone")
    named = sorted(
        (_measured(name, fact, rows["label"], subject.recipe.classes) for name, fact in facts(rows).items()),
        key=lambda entry: (-entry["share"], entry["fact"]),
    )
    words = "; ".join(f"{entry['fact']} tells {entry['share']:.0%} of {entry['of']}" for entry in named[:3])
    return Finding(named[0]["share"], words, named)


def facts(rows: pd.DataFrame) -> dict[str, pd.Series]:
    """Return each fact in groups, by its name.

    Parameters
    ----------
    rows
        A build's manifest.
    """
    format_words = rows["source_format"].str.split(n=1, expand=True).reindex(columns=[0, 1])
    found = {
        "source": rows["source"],
        "age group": _grouped(rows["patient_age"], _AGES),
        "sex": rows["patient_sex"],
        "view": rows["view_position"],
        "longer side": _grouped(rows[["width", "height"]].max(axis=1), _SIDES),
        "width to height": _grouped(rows["width"] / rows["height"], _ASPECTS),
        "file format": format_words[0],
        "samples": format_words[1],
    }
    return {name: fact.astype("str").fillna(UNKNOWN) for name, fact in found.items()}


def mutual_information(counts: Sequence[Sequence[int]]) -> tuple[float, float]:
    """Return what two facts tell of each other in bits, and the share that is of the second one's entropy.

    What chance alone would be expected to tell in so small a table, ``(r - 1)(c - 1) / 2n`` nats (Miller
    1955), is taken off.

    Parameters
    ----------
    counts
        How often they fall together: a row for each value of the first, a column for each of the second.
    """
    total = sum(map(sum, counts))
    rows = [sum(row) for row in counts]
    columns = [sum(column) for column in zip(*counts, strict=True)]
    told = sum(
        n / total * math.log(n * total / (rows[i] * columns[j]))
        for i, row in enumerate(counts)
        for j, n in enumerate(row)
        if n
    )
    entropy = -sum(n / total * math.log(n / total) for n in columns if n)
    chance = (sum(n > 0 for n in rows) - 1) * (sum(n > 0 for n in columns) - 1) / (2 * total)
    told = max(0.0, told - chance)
    return told / math.log(2), min(1.0, told / entropy) if entropy else 0.0


def _measured(name: str, fact: pd.Series, label: pd.Series, classes: Sequence[str]) -> dict[str, Any]:
    import pandas as pd

    table = pd.crosstab(fact, label)
    table = table.loc[sorted(table.index, key=_place), [word for word in classes if word in table.columns]]
    bits, _ = mutual_information(table.to_numpy().tolist())
    # The first class of those of which equally much is told.
    share, of = max(
        (
            (mutual_information([[row[n], sum(row) - row[n]] for row in table.to_numpy().tolist()])[1], word)
            for n, word in enumerate(table.columns)
        ),
        key=lambda told: told[0],
    )
    return {
        "fact": name,
        "of": of,
        "share": round(share, 4),
        "bits": round(bits, 4),
        "counts": {
            str(value): {str(word): int(n) for word, n in row.items()} for value, row in table.iterrows()
        },
    }


def _place(value: str) -> tuple[bool, int, str]:
    """Return where a value stands in its table: groups in their order, what is not known last."""
    order = [word for starts in (_AGES, _SIDES, _ASPECTS) for _, word in starts]
    return value == UNKNOWN, order.index(value) if value in order else 0, value


def _grouped(numbers: pd.Series, starts: Sequence[tuple[float, str]]) -> pd.Series:
    import pandas as pd

    edges = [start for start, _ in starts] + [float("inf")]
    return pd.cut(
        numbers.astype("Float64").astype("float"), edges, right=False, labels=[word for _, word in starts]
    ).astype("object")
