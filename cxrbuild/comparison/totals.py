"""Count the images of two versions before and after: all, by class and split, by source, by exclusion."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from cxrbuild.comparison.diff import Total, TotalOf
from cxrbuild.comparison.excluded import listed_ledgers
from cxrbuild.comparison.version import DatasetVersion
from cxrbuild.curation.findings import findings_without_class
from cxrbuild.exactness import MEANINGS
from cxrbuild.exclusions import exclusion_reasons
from cxrbuild.records import SPLITS

if TYPE_CHECKING:
    import pandas as pd


def count_totals(old: DatasetVersion, new: DatasetVersion) -> list[Total]:
    """Count the images of two versions.

    Upstream images and exclusions are counted where a version has a flow chart or a ledger: the ledger of a
    public release may not list all of them.
    """
    a, b = old.manifest, new.manifest
    return [
        *_counts(_upstream(old), _upstream(new), "upstream", [""]),
        Total("dataset", "", None, len(a), len(b)),
        *_class_counts(a, b, [*(new.classes or ()), *(old.classes or ())]),
        *_counts(_numbers(a["source"]), _numbers(b["source"]), "source"),
        *_counts(_exclusions(old), _exclusions(new), "exclusion", _exclusion_order(old, new)),
        *_new_findings(old, new),
        *_exactness_counts(old, new),
    ]


def _new_findings(old: DatasetVersion, new: DatasetVersion) -> list[Total]:
    """Count the findings without a class that one version alone has, most images first.

    Among the images of a rule nobody would notice a word that upstream writes from now on. Images that a
    public release does not list are not counted.
    """
    ledgers = listed_ledgers(old, new) or ()
    recipes = [one.recipe for one in (old, new) if one.recipe is not None]
    if not ledgers or len(recipes) < 2 or any(one.split.published is not None for one in recipes):
        return []
    if any("finding" not in one for one in ledgers):
        return []
    a, b = (findings_without_class(*one) for one in zip(ledgers, recipes, strict=True))
    # A finding that has a class in the other version is no new word.
    known = [set(one["finding"].dropna()) for one in ledgers]
    found = [Total("finding", name, None, a.get(name, 0), b.get(name, 0)) for name in {**b, **a}]
    return [one for one in found if (one.name in known[0]) != (one.name in known[1])]


def _exactness_counts(old: DatasetVersion, new: DatasetVersion) -> Iterator[Total]:
    """Yield the images by how exact they are, unless every image of both versions is verified."""
    sides = [
        {state: sum(one.counts[state] for one in side.exactness.values()) for state in MEANINGS}
        if side.exactness
        else None
        for side in (old, new)
    ]
    states = [state for state in MEANINGS if any(side and side[state] for side in sides)]
    if states != ["verified"]:
        old_counts, new_counts = (side and {state: side[state] for state in states} for side in sides)
        yield from _counts(old_counts, new_counts, "exactness", states)


def _class_counts(old: pd.DataFrame, new: pd.DataFrame, classes: Iterable[str]) -> Iterator[Total]:
    a, b = (_numbers(side["label"].astype("str") + "\0" + side["split"].astype("str")) for side in (old, new))
    labels = dict.fromkeys([*classes, *sorted(key.partition("\0")[0] for key in a | b)])
    for label in labels:
        for split in SPLITS:
            counts = a.get(f"{label}\0{split}", 0), b.get(f"{label}\0{split}", 0)
            if any(counts):
                yield Total("class", label, split, *counts)


def _counts(
    old: Mapping[str, int] | None, new: Mapping[str, int] | None, of: TotalOf, order: Iterable[str] = ()
) -> Iterator[Total]:
    """Yield a total for each name that a version counts; ``None`` is a version that does not say."""
    for name in dict.fromkeys([*order, *sorted((old or {}).keys() | (new or {}).keys())]):
        if name in (old or {}) or name in (new or {}):
            yield Total(of, name, None, *(None if side is None else side.get(name, 0) for side in (old, new)))


def _numbers(values: pd.Series) -> dict[str, int]:
    return {str(name): int(count) for name, count in values.value_counts().items()}


def _upstream(version: DatasetVersion) -> dict[str, int] | None:
    if version.funnel is not None:
        return {"": version.funnel["upstream"]}
    return None if version.ledger is None else {"": len(version.ledger)}


def _exclusions(version: DatasetVersion) -> dict[str, int] | None:
    if version.funnel is not None:
        return {step: n for step, n in version.funnel.items() if n and step not in ("upstream", "kept")}
    return None if version.ledger is None else _numbers(version.ledger["exclusion"].dropna())


def _exclusion_order(*versions: DatasetVersion) -> list[str]:
    """Return all exclusions in the order of the flow chart."""
    rules = [rule for version in versions if version.recipe is not None for rule in version.recipe.rules]
    return list(exclusion_reasons(rules))
