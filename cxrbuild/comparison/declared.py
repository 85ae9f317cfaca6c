"""What changed in the recipe, its overrides and the sources between two versions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cxrbuild.catalog import Recipe
from cxrbuild.comparison.corrections import CorrectionChanges
from cxrbuild.comparison.diff import IMAGE_COUNTS, DeclaredChange
from cxrbuild.comparison.excluded import excluded_by_both, listed_ledgers, other_details
from cxrbuild.comparison.version import DatasetVersion, Declarations, sources_at_one_pin
from cxrbuild.errors import count_of

if TYPE_CHECKING:
    import pandas as pd

# Keys of a recipe that say nothing about which images it keeps, or follow from the rows.
_TEXTS = ("title", "description", "citation", "datasheet")
_OMITTED = {"name", "version", "date", "expect", "manifest", "baseline", "audit", "folder", "rules", *_TEXTS}
_OF_PIN = ("commit", "date", "tree", "sha256", "bytes", "listing")
_OF_SOURCE = ("license", "public", "patient_id")


def declared_changes(
    old: DatasetVersion, new: DatasetVersion, rows: Sequence[pd.DataFrame] = ()
) -> list[DeclaredChange]:
    """Return the changes of recipe, overrides, sources and corrections, where both versions record them.

    Parameters
    ----------
    old, new
        The versions.
    rows
        The changed rows, with their reasons: the withdrawal of such an image is not listed again.
    """
    a, b = old.declarations, new.declarations
    corrections = CorrectionChanges(old, new).declared()
    if a is None or b is None:
        return list(corrections)
    return [
        *_recipe_changes(a.recipe, b.recipe),
        *_list_changes("overrides", "overrides", a.overrides.describe(), b.overrides.describe()),
        *_source_changes(a, b),
        *_withdrawal_changes(old, new, rows),
        *corrections,
        *_upstream_changes(old, new),
    ]


def _recipe_changes(old: Recipe, new: Recipe) -> Iterator[DeclaredChange]:
    for key in ("name", "title"):
        yield from _change("recipe", key, getattr(old, key), getattr(new, key))
    yield from _rule_changes(old, new)
    a, b = (recipe.model_dump(mode="json", exclude=_OMITTED) for recipe in (old, new))
    yield from _value_changes("recipe", "", a, b)
    for key in _TEXTS[1:]:
        if getattr(old, key) != getattr(new, key):
            yield DeclaredChange("recipe", key, "one text", "another text")


def _rule_changes(old: Recipe, new: Recipe) -> Iterator[DeclaredChange]:
    a, b = ({rule.name: rule for rule in recipe.rules} for recipe in (old, new))
    for name in dict.fromkeys([*a, *b]):
        was, now = a.get(name), b.get(name)
        texts = [None if rule is None else rule.describe() for rule in (was, now)]
        yield from _change("recipe", f"rules.{name}", *texts)
        if was is not None and now is not None and was.enabled != now.enabled:
            states = ["on" if rule.enabled else "off" for rule in (was, now)]
            yield DeclaredChange("recipe", f"rules.{name}, switched", *states)
    common = [[name for name in rules if name in a and name in b] for rules in (a, b)]
    if common[0] != common[1]:
        yield DeclaredChange("recipe", "rules, in order", ", ".join(common[0]), ", ".join(common[1]))


def _value_changes(of: str, key: str, old: Any, new: Any) -> Iterator[DeclaredChange]:
    """Yield each changed value of a part of a declaration, by its key."""
    if isinstance(old, dict | None) and isinstance(new, dict | None) and (old or new):
        a, b = old or {}, new or {}
        for name in dict.fromkeys([*a, *b]):
            yield from _value_changes(of, f"{key}.{name}" if key else name, a.get(name), b.get(name))
    elif isinstance(old, list | None) and isinstance(new, list | None) and (old or new):
        was, now = _named(old or []), _named(new or [])
        if isinstance(was, list) and isinstance(now, list):
            yield from _list_changes(of, key, was, now)
        else:
            yield from _value_changes(of, key, was or None, now or None)
    else:
        yield from _change(of, key, old, new)


def _named(values: list[Any]) -> list[str] | dict[str, Any]:
    """Return tables by their source, other values as texts."""
    if values and all(isinstance(value, dict) and "source" in value for value in values):
        return {value["source"]: {k: v for k, v in value.items() if k != "source"} for value in values}
    return [str(value) for value in values]


def _list_changes(of: str, key: str, old: list[str], new: list[str]) -> Iterator[DeclaredChange]:
    """Yield what one list has and the other does not; another order alone is a change too."""
    left, came = ([one for one in a if one not in b] for a, b in ((old, new), (new, old)))
    if left or came:
        yield DeclaredChange(of, key, ", ".join(left) or None, ", ".join(came) or None)
    elif old != new:
        yield DeclaredChange(of, f"{key}, in order", ", ".join(old), ", ".join(new))


def _change(of: str, key: str, old: Any, new: Any) -> Iterator[DeclaredChange]:
    if old != new:
        yield DeclaredChange(of, key, *(None if value is None else _text(value) for value in (old, new)))


def _text(value: Any) -> str:
    return f"{value:,}" if type(value) is int else str(value)


def _source_changes(old: Declarations, new: Declarations) -> Iterator[DeclaredChange]:
    for name in dict.fromkeys([*old.sources, *new.sources]):
        a, b = old.sources.get(name), new.sources.get(name)
        if a is None or b is None:
            described = [None if side is None else _describe_pin(side.pin) for side in (a, b)]
            yield DeclaredChange(name, "source", *described)
            continue
        for key in _OF_PIN:
            yield from _change(name, key, getattr(a.pin, key), getattr(b.pin, key))
        for key in _OF_SOURCE:
            yield from _change(name, key, getattr(a, key), getattr(b, key))
        c, d = old.states.get(name), new.states.get(name)
        if c is not None and d is not None:
            yield from _change(name, "files", c.files, d.files)
            if (a.pin.tree, a.pin.sha256) == (b.pin.tree, b.pin.sha256):
                yield from _change(name, "git tree of its files", c.tree, d.tree)
            yield from _change(name, "verified by", c.proof, d.proof)


def _describe_pin(pin: Any) -> str:
    given = {"commit": pin.commit, "git tree": pin.tree, "archive SHA-256": pin.sha256}
    return ", ".join(f"{key} {value}" for key, value in given.items() if value) or "not pinned"


def _withdrawal_changes(
    old: DatasetVersion, new: DatasetVersion, rows: Sequence[pd.DataFrame]
) -> Iterator[DeclaredChange]:
    """Yield the changes of the lists of withdrawals, by image: the ledger has each of their rows.

    A changed row has day and reason of its withdrawal already.
    """
    ledgers = listed_ledgers(old, new)
    if ledgers is None:
        return
    a, b = (side[side["exclusion"] == "withdrawn"] for side in ledgers)
    both = excluded_by_both(a, b)
    same = both[0].index[~other_details(*both)]
    was, now = (
        {
            image: (str(source), str(detail))
            for image, source, detail in side[["image_id", "source", "exclusion_detail"]].itertuples(
                index=False
            )
        }
        for side in (a, b)
    )
    sources = {image: source for image, (source, _) in (was | now).items() if image not in same}
    for of_kind in rows:
        for image in of_kind.loc[of_kind["image_id"].isin(list(sources)), "image_id"]:
            sources.pop(image, None)
    for image, source in sorted(sources.items(), key=lambda one: (one[1], one[0])):
        details = (side[image][1] if image in side else None for side in (was, now))
        yield DeclaredChange(source, f"withdrawn.{image}", *details)


def _upstream_changes(old: DatasetVersion, new: DatasetVersion) -> Iterator[DeclaredChange]:
    """Yield for each source of both how many upstream images left, came, and have other bytes.

    Where a ledger does not list all images of a source, it is not known which left or came, and at one pin
    none does. A file that only a published list names is no image of upstream.
    """
    if old.ledger is None or new.ledger is None:
        return
    a, b = (ledger.drop_duplicates("image_id").set_index("image_id") for ledger in (old.ledger, new.ledger))
    left, came = (
        _of_upstream(side.loc[side.index.difference(other.index)])["source"].value_counts()
        for side, other in ((a, b), (b, a))
    )
    unknown = [*old.unlisted, *new.unlisted, *(old.sources ^ new.sources), *sources_at_one_pin(old, new)]
    left, came = (counts.drop(unknown, errors="ignore") for counts in (left, came))
    common = a.index.intersection(b.index)
    blobs: Mapping[Any, int] = {}
    if len(common):
        was, now = a["source_blob"].reindex(common), b["source_blob"].reindex(common)
        other = was.notna() & now.notna() & (was != now)
        blobs = a["source"].reindex(common[other.to_numpy()]).value_counts().to_dict()
    changes: tuple[Mapping[Any, int], ...] = (dict(left), dict(came), blobs)
    for name in dict.fromkeys([*sorted(left.index), *sorted(came.index), *sorted(blobs)]):
        for key, counts in zip(IMAGE_COUNTS, changes, strict=True):
            if n := counts.get(name, 0):
                yield DeclaredChange(str(name), key, None, count_of(int(n), "image"))


def _of_upstream(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows of a ledger without those that are there because a published list names a file."""
    listed = rows["exclusion"].eq("not_in_source")
    if "listed" in rows:
        listed |= rows["listed"].notna() & rows["exclusion"].eq("missing_file")
    return rows[~listed.fillna(value=False).astype("bool")]
