"""Find why a row left, entered, moved or got another class, from both ledgers, manifests and recipes."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cxrbuild.comparison.diff import ANOTHER_GROUP, BY_FINDING, OTHER_SOURCE
from cxrbuild.comparison.version import DatasetVersion, sources_at_one_pin
from cxrbuild.exclusions import NO_LONGER_UPSTREAM
from cxrbuild.reasons import exclusion_texts, label_reasons, split_reasons
from cxrbuild.records import differs

if TYPE_CHECKING:
    import pandas as pd

_NEW = "new upstream"
# One version has a file that the pin of both does not have, or a published list names it.
_OTHER_FILES = "other files of one pin"
# The same bytes have another name.
_RENAMED = "renamed upstream"
# A public release does not list the excluded images of a source that is not public.
_NOT_STATED = "not stated: the source is not public"


def with_causes(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows with the columns ``cause`` and ``reason``, empty where they have none."""
    return rows if "cause" in rows else rows.assign(cause="", reason="")


class Causes:
    """Why the rows of a comparison changed.

    Parameters
    ----------
    old, new
        The versions.
    a, b
        Their manifests, indexed by ``image_id``.
    """

    def __init__(self, old: DatasetVersion, new: DatasetVersion, a: pd.DataFrame, b: pd.DataFrame) -> None:
        self._old, self._new = old, new
        self._a, self._b = old.with_deciding(a), new.with_deciding(b)

    def of_removed(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Fill ``cause`` and ``reason`` of rows that the new version lacks, by its ledger."""
        return self._of_absent(rows, self._new, NO_LONGER_UPSTREAM, "")

    def of_added(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Fill ``cause`` and ``reason`` of rows that the old version lacks, by its ledger."""
        return self._of_absent(rows, self._old, _NEW, "before: ")

    def of_missing(
        self, rows: pd.DataFrame, other: DatasetVersion, side: Literal["old", "new"]
    ) -> pd.DataFrame:
        """Fill ``cause`` and ``reason`` of rows whose image is missing in a version."""
        causes = rows["image_id"].map(dict(other.missing)).astype("str")
        _, reasons = _exclusions(rows, other)
        reasons = reasons.fillna(causes)
        return rows.assign(cause=causes, reason=f"{side}: " + reasons)

    def _of_absent(
        self, rows: pd.DataFrame, other: DatasetVersion, unknown: str, before: str
    ) -> pd.DataFrame:
        if other.ledger is None or rows.empty:
            return with_causes(rows)
        causes, reasons = _exclusions(rows, other)
        hidden = rows["source"].isin(list(other.unlisted))
        stated = rows["image_id"].map(dict(other.removed)).astype("str").fillna(_NOT_STATED)
        fallback = stated.where(hidden, unknown)
        # The other name could be that of an image that a public release does not list.
        same = self._with_same_bytes(rows[~hidden], other)
        renamed = {image for image, (is_new, _) in same.items() if is_new}
        fallback = fallback.mask(~hidden & rows["image_id"].isin(renamed), _RENAMED)
        at_pin = (
            ~hidden
            & rows["source"].isin(list(sources_at_one_pin(self._old, self._new)))
            & fallback.eq(unknown)
        )
        fallback = fallback.mask(at_pin, _OTHER_FILES)
        fallback = fallback.mask(~hidden & ~rows["source"].isin(list(other.sources)), OTHER_SOURCE)
        side = "new" if other is self._new else "old"
        clauses = [
            cause
            if cause == _NOT_STATED
            else self._describe_upstream(cause, source, same.get(image, (False, ""))[1])
            if cause in (unknown, _RENAMED)
            else f"the {side} version does not have the source {source}"
            if cause == OTHER_SOURCE
            else f"both have one pin, and the files of the {side} version lack it"
            + self._listed_in(image, other)
            if cause == _OTHER_FILES
            else before + cause
            for cause, source, image in zip(fallback, rows["source"], rows["image_id"], strict=True)
        ]
        return rows.assign(
            cause=causes.fillna(fallback),
            reason=(before + reasons).fillna(dict(zip(rows.index, clauses, strict=True))),
        )

    def _describe_upstream(self, cause: str, source: str, same: str) -> str:
        """Describe a change upstream: between which pins, and which image has the same bytes."""
        between = self._between.get(source, "")
        if cause == _RENAMED:
            return f"{cause}{between}: {same}"
        change = "removed" if cause == NO_LONGER_UPSTREAM else "added"
        return cause + (f": {change}{between}" if between else "") + (f"; {same}" if same else "")

    def _with_same_bytes(self, rows: pd.DataFrame, other: DatasetVersion) -> dict[str, tuple[bool, str]]:
        """Return for each row whose bytes the other version has under another name in the source that image.

        First whether this version does not have that name, so that it is the new one of the image.
        """
        mine, version = (self._a, self._old) if other is self._new else (self._b, self._new)
        if other.ledger is None or "source_blob" not in mine:
            return {}
        blobs = mine.loc[rows["image_id"], "source_blob"].dropna()
        found = other.ledger[other.ledger["source_blob"].isin(list(blobs))]
        columns = ["image_id", "source", "source_blob", "exclusion"]
        names = {
            (source, blob): (image, exclusion)
            for image, source, blob, exclusion in found[columns].itertuples(index=False)
        }
        here = set(mine.index if version.ledger is None else version.ledger["image_id"])
        same = {}
        for image, blob in blobs.items():
            name, exclusion = names.get((mine.at[image, "source"], blob), (None, None))
            if name is not None:
                state = f", excluded by {exclusion}" if isinstance(exclusion, str) else ""
                same[str(image)] = (name not in here, f"{name} has the same bytes{state}")
        return same

    def _listed_in(self, image: str, other: DatasetVersion) -> str:
        """Return which row of a published list names an image that another version lacks, as a clause."""
        mine = self._a if other is self._new else self._b
        line = mine.at[image, "listed"] if "listed" in mine else None
        return f"; the list names it, {line}" if isinstance(line, str) else ""

    @cached_property
    def _between(self) -> dict[str, str]:
        """For each source with another pin a clause: between which pins upstream made a change."""
        a, b = self._old.declarations, self._new.declarations
        if a is None or b is None:
            return {}
        pins = {name: (a.sources[name].pin, b.sources[name].pin) for name in a.sources.keys() & b.sources}
        return {
            name: f" between pin {old.label} and pin {new.label}"
            for name, (old, new) in pins.items()
            if old.revision and new.revision and old.revision != new.revision
        }

    def of_relabelled(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Fill ``cause`` and ``reason`` of rows with another class: another finding or other labels."""
        a, b = self._a.loc[rows["image_id"]], self._b.loc[rows["image_id"]]
        before, after = label_reasons(a, self._old.recipe), label_reasons(b, self._new.recipe)
        findings = b["finding"].astype("str").tolist() if "finding" in b else [""] * len(rows)
        between = [self._between.get(source, "") for source in rows["source"]]
        found = [
            _relabelled(was, now, finding, pins)
            for was, now, finding, pins in zip(_known(before), _known(after), findings, between, strict=True)
        ]
        return _filled(rows, found)

    def of_moved(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Fill ``cause`` and ``reason`` of rows in another split: what decided it before and now."""
        a, b = self._a.loc[rows["image_id"]], self._b.loc[rows["image_id"]]
        before = _known(split_reasons(a, self._old.recipe, self._a))
        after = _known(split_reasons(b, self._new.recipe, self._b))
        regrouped = (
            differs(a["group"], b["group"]).tolist() if "group" in a and "group" in b else [False] * len(rows)
        )
        groups = zip(*(_groups(side) for side in (a, b)), strict=True)
        found = [
            _moved(was, now, self._redrawn(), *(between if other else ("", "")))
            for was, now, other, between in zip(before, after, regrouped, groups, strict=True)
        ]
        if self._old.recipe is None or self._new.recipe is None:
            others = _without_recipe(a, b)
            found = [
                one if one[0] or not other[0] else other for one, other in zip(found, others, strict=True)
            ]
        return _filled(rows, found)

    def of_metadata(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Fill ``cause`` and ``reason`` of rows in another group whose patient is the same: by links."""
        a, b = self._a.reindex(rows["image_id"]), self._b.reindex(rows["image_id"])
        recipes = [one for one in (self._old.recipe, self._new.recipe) if one is not None]
        files = dict.fromkeys(Path(link).name for recipe in recipes for link in recipe.split.links)
        if rows.empty or not files or len(recipes) < 2 or not all("patient_id" in side for side in (a, b)):
            return with_causes(rows)
        regrouped = rows["change"].str.contains(r"(?:^|; )group ").to_numpy()
        linked = (
            regrouped & ~differs(a["patient_id"], b["patient_id"]).to_numpy() & self._same_namespace(rows)
        )
        reason = f"its patient is the same, and linked otherwise ({', '.join(files)})"
        return _filled(rows, [("links", reason) if one else ("", "") for one in linked])

    def _same_namespace(self, rows: pd.DataFrame) -> list[bool]:
        """Return of each row whether both versions declare the same ``patient_namespace`` for its source."""
        sides = (self._old.declarations, self._new.declarations)
        a, b = ({} if side is None else side.sources for side in sides)
        return [
            name in a and name in b and a[name].patient_namespace == b[name].patient_namespace
            for name in rows["source"]
        ]

    def _redrawn(self) -> tuple[str, str]:
        """Return why a draw gives another split to the same group: cause and clause."""
        if self._old.recipe is None or self._new.recipe is None:
            return ("draw", "")
        was, now = self._old.recipe.split, self._new.recipe.split
        if was.salt != now.salt:
            return ("another salt", f"the salt was {was.salt}")
        if (was.test, was.validation) != (now.test, now.validation):
            return ("another size of a split", "the declared size of a split changed")
        return ("draw with other images", "other images came or left, and the count is exact")


def _exclusions(rows: pd.DataFrame, version: DatasetVersion) -> tuple[pd.Series, pd.Series]:
    """Return the exclusion of each row's image in a version, and its text; null where it excludes none."""
    import pandas as pd

    if version.ledger is None:
        unknown = pd.Series(None, index=rows.index, dtype="str")
        return unknown, unknown
    asked = version.ledger[version.ledger["image_id"].isin(list(rows["image_id"]))]
    excluded = asked[asked["exclusion"].notna()]
    texts = exclusion_texts(excluded, version.recipe)
    texts = texts.mask(excluded["source"].isin(list(version.unlisted)), excluded["exclusion"])
    columns = (excluded["exclusion"], texts)
    exclusions, texts = (
        rows["image_id"].map(dict(zip(excluded["image_id"], column, strict=True))).astype("str")
        for column in columns
    )
    return exclusions, texts


def _known(reasons: pd.DataFrame) -> list[tuple[str, str] | None]:
    """Return ``by`` and ``text`` of each reason, ``None`` for one that is not known."""
    pairs = zip(reasons["by"], reasons["text"], reasons["by"].notna(), strict=True)
    return [(by, text) if known else None for by, text, known in pairs]


def _without_recipe(old: pd.DataFrame, new: pd.DataFrame) -> list[tuple[str, str]]:
    """Return cause and reason of another split of the same group, where no recipe says what decided it."""
    if not all("group" in side and "upstream_split" in side for side in (old, new)):
        return [("", "")] * len(old)
    was, now = (side["upstream_split"].astype("str").fillna("blank") for side in (old, new))
    return [
        ("another split of the source", f"the source's split was {a}, and is {b}")
        if a != b
        else (
            "same group",
            "its group is the same; the recipe, which decided, is not recorded",
        )
        for a, b in zip(was, now, strict=True)
    ]


def _groups(rows: pd.DataFrame) -> list[str]:
    return rows["group"].astype("str").tolist() if "group" in rows else [""] * len(rows)


def _filled(rows: pd.DataFrame, found: list[tuple[str, str]]) -> pd.DataFrame:
    return rows.assign(cause=[cause for cause, _ in found], reason=[reason for _, reason in found])


def _relabelled(
    was: tuple[str, str] | None, now: tuple[str, str] | None, finding: str, between: str
) -> tuple[str, str]:
    """Return cause and reason of another class, from what gave the class before and now, and the pins."""
    if was is None or now is None:
        return "", "" if now is None else now[1]
    if was == now:
        return "other labels", f"{now[1]} is declared as another class"
    if was[0] == now[0] == "finding":
        another, relabelled = BY_FINDING
        if between:
            return relabelled, f"{was[1]} -> {finding}: {relabelled}{between}"
        return another, f"{was[1]} -> {finding}"
    return "another list", f"{was[1]} -> {now[1]}"


def _moved(
    was: tuple[str, str] | None,
    now: tuple[str, str] | None,
    redrawn: tuple[str, str],
    group: str = "",
    regrouped: str = "",
) -> tuple[str, str]:
    """Return cause and reason of another split, from what decided it before and now."""
    if regrouped:
        return ANOTHER_GROUP, f"its group was {group}, and is {regrouped}" + (f": {now[1]}" if now else "")
    if now is not None and now[0] == "previous":
        return "held from the former version", f"{was[1]} -> {now[1]}" if was else now[1]
    if was is None or now is None:
        return "", now[1] if now else f"before: {was[1]}" if was else ""
    if was[0] == now[0] == "draw":
        return redrawn[0], f"{now[1]}; {redrawn[1]}" if redrawn[1] else now[1]
    if was == now:
        return "other splits", f"{now[1]}, which the recipe maps otherwise"
    if now[0] == "source":
        return "declared by the source", f"{was[1]} -> {now[1]}"
    return "decided otherwise", f"{was[1]} -> {now[1]}"
