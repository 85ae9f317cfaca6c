"""Explain why the rows of a table are excluded, have their class, and are in their split.

The table and the recipe have the values that decide. Where one of them does not, as in a published manifest,
nothing is said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cxrbuild.catalog import Recipe
from cxrbuild.catalog.rule import LabelledRule, ReviewedRule, column_of
from cxrbuild.previous_split import splits_before

if TYPE_CHECKING:
    import pandas as pd

    from cxrbuild.catalog.rule import Rule


def exclusion_texts(excluded: pd.DataFrame, recipe: Recipe | None) -> pd.Series:
    """Return why each row is excluded: the exclusion, with its detail or the value that the rule looks at.

    Parameters
    ----------
    excluded
        Rows with an exclusion.
    recipe
        The recipe, whose rules name their columns; ``None``: details alone.

    Returns
    -------
    pandas.Series
        Texts such as ``lateral (view_position LL)``, ``annotated (arrow: at the left lung)``.
    """
    detail = excluded["exclusion_detail"].astype("str")
    for rule in recipe.rules if recipe is not None else ():
        column = looked_at(rule)
        if column is None or column not in excluded:
            continue
        rows = (excluded["exclusion"] == rule.name) & detail.isna()
        values = excluded.loc[rows, column].astype("str").fillna("blank")
        detail = detail.mask(rows, f"{column} " + values.reindex(detail.index))
    return excluded["exclusion"].astype("str") + (" (" + detail + ")").fillna("")


def details_without_notes(rows: pd.DataFrame) -> pd.Series:
    """Return ``exclusion_detail`` of each row without what a person wrote in it.

    What a person wrote is the end of the detail, and ``exclusion_note`` has it: a note may itself have any
    sign that separates it.
    """
    import pandas as pd

    details = [
        detail.removesuffix(f": {note}") if known else detail
        for detail, note, known in zip(
            rows["exclusion_detail"], rows["exclusion_note"], rows["exclusion_note"].notna(), strict=True
        )
    ]
    return pd.Series(details, index=rows.index, dtype="str")


def looked_at(rule: Rule) -> str | None:
    """Return the column whose value explains a rule's exclusion, ``None`` where there is none."""
    if isinstance(rule, ReviewedRule):
        return "review"
    return "finding" if isinstance(rule, LabelledRule) else column_of(rule)


def label_reasons(rows: pd.DataFrame, recipe: Recipe | None) -> pd.DataFrame:
    """Return why each row has its class.

    Returns
    -------
    pandas.DataFrame
        ``by``, what gave the class: ``list`` (the row of the published list) or ``finding``; and ``text``,
        which says so. Null where it is not known.
    """
    import pandas as pd

    by, text = (pd.Series(None, index=rows.index, dtype="str") for _ in range(2))
    if "listed" in rows:
        listed = rows["listed"].notna()
        by, text = by.mask(listed, "list"), ("listed in " + rows["listed"].astype("str")).astype("str")
    if "finding" in rows and (recipe is None or recipe.split.published is None):
        of_finding = by.isna() & rows["finding"].notna()
        by = by.mask(of_finding, "finding")
        text = text.fillna("finding " + rows["finding"].astype("str"))
    return pd.DataFrame({"by": by, "text": text})


def split_reasons(
    rows: pd.DataFrame, recipe: Recipe | None, table: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Return what decided the split of each row.

    See `cxrbuild.split.split_records`, which decides it.

    Parameters
    ----------
    rows
        Kept rows.
    recipe
        The recipe.
    table
        All kept rows of the dataset, by which a group with a declared split is known; default ``rows``.

    Returns
    -------
    pandas.DataFrame
        ``by``, what decided: ``list`` (a published list), ``source`` (which declares the split), ``group``
        (an image of the group has a declared split), ``previous`` (an image of the group was in the former
        version) or ``draw`` (by the hash of the group and the recipe's salt); and ``text``, which says so.
        Null where it is not known.
    """
    import pandas as pd

    by, text = (pd.Series(None, index=rows.index, dtype="str") for _ in range(2))
    if recipe is None and "group" in rows:
        # A plan records no recipe.
        text = _held_reasons(rows, rows if table is None else table, "the former version")
        return pd.DataFrame({"by": by.mask(text.notna(), "previous"), "text": text})
    if recipe is None or "group" not in rows:
        return pd.DataFrame({"by": by, "text": text})
    split = recipe.split
    if split.published is not None:
        text = ("the published list, " + rows["listed"].astype("str")).astype("str")
        return pd.DataFrame({"by": by.mask(text.notna(), "list"), "text": text})
    declaring = [one.source for one in split.declared]
    declared = rows["source"].isin(declaring)
    theirs = rows["upstream_split"].astype("str").fillna("blank")
    by, text = by.mask(declared, "source"), text.mask(declared, "declared by the source: " + theirs)
    whole = rows if table is None else table
    leading = set(whole.loc[whole["source"].isin(declaring), "group"])
    following = text.isna() & rows["group"].isin(list(leading))
    by = by.mask(following, "group")
    text = text.mask(following, "follows an image of its group whose source declares the split")
    held = _held_reasons(rows, whole, split.previous).where(by.isna())
    by, text = by.mask(held.notna(), "previous"), text.mask(held.notna(), held)
    drawn = {name for name in ("test", "validation") if getattr(split, name) is not None}
    chosen = "drawn by the hash of its group, salt " + split.salt
    rest = "not drawn for " + " or ".join(sorted(drawn)) if drawn else "the recipe draws no other split"
    text = text.fillna(rows["split"].map(dict.fromkeys(drawn, chosen)).astype("str")).fillna(rest)
    return pd.DataFrame({"by": by.fillna("draw"), "text": text})


def _held_reasons(rows: pd.DataFrame, whole: pd.DataFrame, previous: str | None) -> pd.Series:
    """Return how the former version decided the split of each row, null where it did not.

    Parameters
    ----------
    rows
        Kept rows.
    whole
        All kept rows of the dataset.
    previous
        The name of the former version.
    """
    import pandas as pd

    text = pd.Series(None, index=rows.index, dtype="str")
    if previous is None or "previous_split" not in whole or whole["previous_split"].isna().all():
        return text
    groups = whole["group"].isin(set(rows["group"]))
    before = rows["group"].map(splits_before(whole[groups])).astype("str")
    several = before.str.contains(", ").fillna(value=False).astype("bool")
    own = rows["previous_split"].notna()
    text = text.mask(before.notna(), "held: an image of its group was in " + before + f" in {previous}")
    text = text.mask(own, "held: it was in " + rows["previous_split"].astype("str") + f" in {previous}")
    joined = f"held: images of its group were in several splits in {previous} (" + before + ")"
    joined += ", and train goes before validation before test"
    joined += ("; it was in " + rows["previous_split"].astype("str")).fillna("; it was not there")
    return text.mask(several, joined)
