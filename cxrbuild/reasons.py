"""Say why the rows of a table are excluded, have their class, and are in their split.

The table and the recipe have the values that decide. Where one of them does not, as in a published manifest,
nothing is said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cxrbuild.catalog import Recipe
from cxrbuild.catalog.rule import LabelledRule, column_of

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


def looked_at(rule: Rule) -> str | None:
    """Return the column whose value explains a rule's exclusion, ``None`` where there is none."""
    return "finding" if isinstance(rule, LabelledRule) else column_of(rule)


def label_texts(rows: pd.DataFrame, recipe: Recipe | None) -> pd.Series:
    """Return why each row has its class: the finding, or the row of the published list; null: not known."""
    import pandas as pd

    texts = pd.Series(None, index=rows.index, dtype="str")
    if "listed" in rows:
        texts = ("listed in " + rows["listed"].astype("str")).astype("str")
    if "finding" in rows and (recipe is None or recipe.split.published is None):
        texts = texts.fillna("finding " + rows["finding"].astype("str"))
    return texts


def split_texts(rows: pd.DataFrame, recipe: Recipe | None, table: pd.DataFrame | None = None) -> pd.Series:
    """Return what decided the split of each row; null where it is not known.

    A published list, the split that the source declares, an image of the group that has a declared split, or
    the draw by the hash of the group and the recipe's salt: see `cxrbuild.split.split_records`.

    Parameters
    ----------
    rows
        Kept rows.
    recipe
        The recipe.
    table
        All kept rows of the dataset, by which a group with a declared split is known; default ``rows``.
    """
    import pandas as pd

    texts = pd.Series(None, index=rows.index, dtype="str")
    if recipe is None or "group" not in rows:
        return texts
    split = recipe.split
    if split.published is not None:
        return ("the published list, " + rows["listed"].astype("str")).astype("str")
    declaring = [one.source for one in split.declared]
    declared = rows["source"].isin(declaring)
    theirs = rows["upstream_split"].astype("str").fillna("blank")
    texts = texts.mask(declared, "declared by the source: " + theirs)
    whole = rows if table is None else table
    leading = set(whole.loc[whole["source"].isin(declaring), "group"])
    following = texts.isna() & rows["group"].isin(list(leading))
    texts = texts.mask(following, "follows an image of its group whose source declares the split")
    drawn = {name for name in ("test", "validation") if getattr(split, name) is not None}
    chosen = "drawn by the hash of its group, salt " + split.salt
    rest = "not drawn for " + " or ".join(sorted(drawn)) if drawn else "the recipe draws no other split"
    return texts.fillna(rows["split"].map(dict.fromkeys(drawn, chosen)).astype("str")).fillna(rest)
