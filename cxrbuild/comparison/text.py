"""The changes between two versions as text: sentences, and Markdown for changelogs."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cxrbuild.comparison.diff import (
    BUMPS,
    CAUSES_BY_COLUMN,
    IMAGE_COUNTS,
    KINDS,
    NOT_CHANGES,
    OTHER_SOURCE,
    DeclaredChange,
    Diff,
    Kind,
    Total,
)
from cxrbuild.errors import count_of, verb_of
from cxrbuild.templates import escape_cell, escape_markdown, flat
from cxrbuild.version_numbers import needed_version

if TYPE_CHECKING:
    import pandas as pd

# As `CorrectedValue.describe` writes it.
_CORRECTION = re.compile(r"\bcorrection of (\w+) ")
TOTALS_HEADER = ("images", "before", "now", "change")


def summary(found: Diff, most: int) -> str:
    """Return the changes of the dataset as lines of an error: all counts, and the first rows that matter.

    Parameters
    ----------
    found
        The changes.
    most
        The most rows of a kind that are listed, of the kinds for which the version must increase so much.
    """
    lines = []
    deciding = BUMPS[found.bump] if found.bump else ()
    for kind in KINDS:
        rows = found.rows[kind]
        if rows.empty or kind in NOT_CHANGES:
            continue
        listed = rows[:most].to_dict("records") if kind in deciding else []
        lines.append(f"  {flat(_describe_kind(found, kind))}{':' if listed else ''}")
        lines += [f"    {flat(describe_row(row))}" for row in listed]
        if listed and len(rows) > most:
            lines.append(f"    and {len(rows) - most:,} more")
    return "\n".join([*lines, *(f"  {flat(sentence).rstrip('.')}" for sentence in sentences(found))])


def _describe_kind(found: Diff, kind: Kind) -> str:
    """Return the number of rows of a kind, and their causes: ``3 removed rows (2 lateral, 1 annotated)``."""
    number = len(found.rows[kind])
    causes = describe_causes(found, kind)
    return f"{number:,} {KINDS[kind].replace('rows', 'row', number == 1)}{f' ({causes})' if causes else ''}"


def markdown(found: Diff) -> str:
    """Return the changes as Markdown lists: declarations, then rows with their reasons."""
    lines = []
    for title, changes in declared_by_part(found).items():
        lines.append(f"- {title}:")
        lines += [f"  - {_escaped(describe_change(change))}" for change in changes]
    for kind in KINDS:
        rows = found.rows[kind]
        if rows.empty:
            continue
        lines.append(f"- {_escaped(_describe_kind(found, kind))}:")
        listed = listed_rows(found, kind)
        lines += [f"  - {_escaped(describe_row(row))}" for row in listed.to_dict("records")]
        lines += [f"  - {_escaped(line)}" for line in describe_omitted(found, kind)]
    lines += [f"- {sentence}" for sentence in sentences(found)]
    return "\n".join(lines)


def _corrected(found: Diff, kinds: Iterable[Kind]) -> set[tuple[str, str]]:
    """Return the images and columns of the corrections that the reasons of rows name."""
    return {
        (image, column)
        for kind in kinds
        for image, reason in found.rows[kind][["image_id", "reason"]].itertuples(index=False)
        for column in _CORRECTION.findall(reason)
    }


def listed_rows(found: Diff, kind: Kind) -> pd.DataFrame:
    """Return the rows of a kind that a list shows.

    No row whose every change is the reason of a row above, and no row of a source that one version lacks.
    """
    rows = found.rows[kind]
    if kind in ("removed", "added"):
        return rows[rows["cause"] != OTHER_SOURCE]
    if kind != "metadata_changed":
        return rows
    named = _corrected(found, [other for other in KINDS if other != kind])
    named |= {(image, "group") for image, column in named if column == "patient_id"}
    for above, cause, column in CAUSES_BY_COLUMN:
        of_kind = found.rows[above]
        named |= {(image, column) for image in of_kind.loc[of_kind["cause"] == cause, "image_id"]}
    return rows[
        [
            any((image, part.partition(" ")[0]) not in named for part in change.split("; "))
            for image, change in rows[["image_id", "change"]].itertuples(index=False)
        ]
    ]


def describe_omitted(found: Diff, kind: Kind) -> list[str]:
    """Return a line for each group of rows that `listed_rows` omits."""
    rows = found.rows[kind]
    if kind in ("removed", "added"):
        of_sources = rows[rows["cause"] == OTHER_SOURCE]
        return [
            f"{source}, all {len(group):,} rows: {group['reason'].iloc[0]}"
            for source, group in of_sources.groupby("source")
        ]
    count = len(rows) - len(listed_rows(found, kind))
    return [f"{count_of(count, 'image')} listed above, with this change as the reason"] if count else []


def markdown_page(found: Diff) -> str:
    """Return the changes as a Markdown document with a title and the step of the version."""
    body = markdown(found)
    title = f"# {' -> '.join(map(_escaped, found.titles))}"
    table = ["", *_markdown_table(TOTALS_HEADER, describe_totals(found))] if found.totals else []
    overlap = ["", *map(_escaped, describe_overlap(found))] if found.totals else []
    return "\n".join([title, "", conclusion(found), *overlap, *table, *(["", body] if body else []), ""])


def _markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a table whose first column has text, the others numbers."""
    marks = ["---", *["---:"] * (len(header) - 1)]
    return [f"| {' | '.join(map(escape_cell, row))} |" for row in (header, marks, *rows)]


def describe_totals(found: Diff) -> list[tuple[str, str, str, str]]:
    """Return the totals as rows of a table: what is counted, before, now, and the difference."""
    rows = []
    for one in found.totals:
        old, new = ("not known" if n is None else f"{n:,}" for n in (one.old, one.new))
        change = 0 if one.old is None or one.new is None else one.new - one.old
        rows.append((_describe_total(one), old, new, f"{change:+,}" if change else ""))
    return rows


def _describe_total(total: Total) -> str:
    match total.of:
        case "upstream":
            return "upstream"
        case "dataset":
            return "in the dataset"
        case "class":
            return f"{total.name}, {total.split}"
        case "source":
            return f"from {total.name}"
        case "exclusion":
            return f"excluded: {total.name}"
        case "finding":
            return f"without a class: {total.name}"
        case "exactness":
            return f"by the pin: {total.name.replace('_', ' ')}"


def conclusion(found: Diff) -> str:
    """Return in a sentence which step the version needs and whether it was made, or why it needs none."""
    if found.of_two_datasets and found.datasets:
        return f"{' and '.join(found.datasets)} are two datasets, not versions of one."
    if found.bump is not None:
        return _describe_step(found, f"a {found.bump.upper()} step")
    other = len(found.rows["other_bytes"])
    of_unpinned = f"{count_of(other, 'file')} with other bytes, of sources that one version has unpinned."
    if missing := _describe_missing(found):
        also = f" Also, there {verb_of(other, 'is')} {of_unpinned}" if other else ""
        return f"No image changed its class or split. {missing}{also}"
    if other:
        return (
            "The dataset is the same: the same images, classes and splits. Only the files differ: "
            f"{of_unpinned}"
        )
    if len(found.rows["exclusion_changed"]):
        return "The dataset is the same. Some images are excluded for another reason."
    if found.declared:
        return "The dataset is the same. What it was built from is declared otherwise."
    if found.held_otherwise:
        return "The dataset is the same. The splits that a former version gives its images are others."
    if found.other_totals:
        return "The dataset is the same. Other numbers of images differ."
    return "Nothing changed."


def _describe_missing(found: Diff) -> str:
    """Return how many images are missing in which version; empty where none is."""
    missing = found.rows["missing"]["reason"].str.split(": ").str[0].value_counts()
    return " ".join(
        f"{count_of(int(n), 'image')} {verb_of(int(n), 'is')} missing in {name}."
        for side, name in (("old", found.old), ("new", found.new))
        if (n := missing.get(side, 0))
    )


def _describe_step(found: Diff, step: str) -> str:
    """Return what a change of the dataset requires of the version, and whether the new one meets it."""
    if found.versions is None:
        return f"If both are versions of one dataset, the new one needs {step}."
    old, new = found.versions
    later = f"from 1.0.0 on such changes need {step}."
    match found.step:
        case "needed" if found.before_first:
            return f"The version must increase. Before 1.0.0 any step is enough; {later}"
        case "needed":
            return f"The version needs {step}."
        case "made" if found.before_first:
            return f"The version increased, {old} -> {new}. Before 1.0.0 any step is enough; {later}"
        case "made":
            return f"The changes need {step}, and the version made it: {old} -> {new}."
        case "too_small":
            assert found.bump is not None
            needed = needed_version(old, found.bump)
            return f"The changes need {step}, and {old} -> {new} is too small: {needed} or later."
        case _:
            return (
                f"The first version, {old}, is later than the second, {new}. "
                "Compare them in the other order to see which step the changes need."
            )


def describe_overlap(found: Diff) -> list[str]:
    """Return how many images are in both, and which classes differ in case alone."""
    old, new = next(((one.old, one.new) for one in found.totals if one.of == "dataset"), (0, 0))
    lines = [f"Images in both: {found.shared:,} of {old:,} before and {new:,} now."]
    by_name: dict[str, list[str]] = {}
    for name in dict.fromkeys(one.name for one in found.totals if one.of == "class"):
        by_name.setdefault(name.casefold(), []).append(name)
    lines += [
        f"{' and '.join(names)} are two classes here: their names differ in case."
        for names in by_name.values()
        if len(names) > 1
    ]
    return lines


def sentences(found: Diff) -> Iterator[str]:
    """Yield what changed apart from rows, and what is not known."""
    for title, columns in (("Added", found.columns_added), ("Removed", found.columns_removed)):
        if columns:
            yield f"{title} columns: {', '.join(columns)}."
    if found.classes_changed:
        yield "Classes have other numbers."
    if found.held_otherwise and found.bump is None:
        count = count_of(found.held_otherwise, "image")
        yield f"Another `previous_split`, the split in the former version: {count}."
    for name in found.silent:
        yield f"{name} has no ledger: why it lacks these images is not known."


def declared_by_part(found: Diff) -> dict[str, list[DeclaredChange]]:
    """Return the changes of declarations by what they are of: the recipe, its overrides, each source.

    A correction that is the reason of a row is listed with the row.
    """
    parts: dict[str, list[DeclaredChange]] = {}
    of_rows = {f"corrections.{image}.{column}" for image, column in _corrected(found, KINDS)}
    for change in found.declared:
        if change.key in of_rows:
            continue
        name = change.of.capitalize() if change.of in ("recipe", "overrides") else f"Source {change.of}"
        parts.setdefault(name, []).append(change)
    return parts


def describe_change(change: DeclaredChange) -> str:
    """Describe a change of a declaration: ``commit: 584034a -> 27240dd``."""
    if change.key in IMAGE_COUNTS:
        return f"{change.key}: {change.new}"
    if change.old is None:
        return f"{change.key}: added {change.new}"
    if change.new is None:
        return f"{change.key}: removed {change.old}"
    return f"{change.key}: {change.old} -> {change.new}"


def describe_causes(found: Diff, kind: Kind) -> str:
    """Return how many rows of a kind have each cause: ``57 lateral, 1 annotated``."""
    return ", ".join(f"{count.rows:,} {count.cause}" for count in found.causes() if count.kind == kind)


def describe_row(row: Mapping[Hashable, Any]) -> str:
    """Describe a changed row: id, what changed, and why."""
    change = row["change"] or f"{row['split']} {row['label']}"
    return f"{row['image_id']} ({change})" + (f": {row['reason']}" if row["reason"] else "")


def _escaped(text: str) -> str:
    return escape_markdown(flat(text))
