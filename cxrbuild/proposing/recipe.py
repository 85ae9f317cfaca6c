"""The recipe of a proposal: its classes and its split, tried on the files."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from cxrbuild.curation.findings import OtherFindings
from cxrbuild.errors import CxrbuildError, count_of, name_some
from cxrbuild.progress import Progress
from cxrbuild.proposing.classes import (
    MOST_CLASSES,
    Kept,
    ProposedSplit,
    drop_small,
    first_classes,
    splits_to_try,
)
from cxrbuild.proposing.files import Found
from cxrbuild.proposing.proposal import Certainty, Decision, Proposal, WordCount
from cxrbuild.proposing.render import RecipeText, SourceText, licenses_to_credit, recipe_text, source_text
from cxrbuild.proposing.trial import has_mixed_groups, kept_by_class, split_counts, start_trial
from cxrbuild.proposing.vocabulary import SPLITS, spaced

if TYPE_CHECKING:
    import pandas as pd

_LATERAL = ("LATERAL", "LL", "RL")
_NO_RADIOGRAPHS = ("CT", "MR", "US")


def add_recipe(found: Found, proposed: SourceText, day: str, progress: Progress) -> Proposal:
    """Try the source on the files, choose classes and split, and return both files.

    Where the trial does not succeed, both files say why, and what a person has to correct.
    """
    source = source_text(proposed)
    try:
        trial = start_trial(source, found.layout.root, progress)
    except CxrbuildError as error:
        return _untried(found, proposed, day, " ".join(error.what.split()))
    if found.parts:
        there = set(found.layout.images)
        of_others = (trial.records["exclusion"] == "unmatched_image") & ~trial.records["source_path"].isin(
            there
        )
        trial = replace(trial, records=trial.records[~of_others].reset_index(drop=True))
    records = trial.records
    findings = _findings(records, trial.source.finding_separator)
    rows = Counter(word for row in findings for word in dict.fromkeys(row))
    excluded = {str(name): int(n) for name, n in records["exclusion"].value_counts().items()}
    if not rows and proposed.finding is not None and records["exclusion"].isna().any():
        return add_recipe(found, _without_finding(proposed), day, progress)
    if not rows:
        steps = ", ".join(f"{name} {n:,}" for name, n in excluded.items())
        return _untried(found, proposed, day, f"every image is excluded before the rules: {steps}")
    recipe = _recipe(proposed, day, rows)
    recipe = replace(
        recipe,
        lateral=_occurring(records, "view_position", _LATERAL),
        ct=_occurring(records, "modality", _NO_RADIOGRAPHS),
    )

    # The last count and the look for mixed groups are of one recipe.
    run = lru_cache(maxsize=1)(trial.run)

    def count(classes: dict[str, list[str]]) -> dict[str, Kept]:
        return kept_by_class(run(recipe_text(_shared(recipe, classes))), list(classes))

    classes, kept, small = drop_small(first_classes(findings), count)
    declared = _declared_split(records)
    mixed = has_mixed_groups(run(recipe_text(_shared(recipe, classes))))
    splits = [ProposedSplit(declared=declared)] if declared else []
    for split in (*splits, *splits_to_try(kept, mixed=mixed)):
        recipe = replace(recipe, classes=classes, split=split)
        try:
            done = trial.run(recipe_text(recipe))
        except CxrbuildError:
            continue  # no choice of whole groups gives the exact counts: the next split asks for less
        break
    counts = split_counts(done, list(classes))
    recipe = replace(recipe, split=_allowing_empty(recipe.split, counts))
    others = trial.find_other_findings(recipe_text(recipe), done)
    classes_decision = _on_classes(classes, rows, small, done, others)
    split_decision, notes = _on_split(recipe.split)
    decisions = (*proposed.decisions, classes_decision, split_decision)
    recipe = replace(recipe, notes=notes, decisions=decisions)
    proposal = _proposal(found, proposed, recipe, decisions)
    return replace(proposal, classes=counts, excluded=excluded, other_findings=others)


def _findings(records: pd.DataFrame, separator: str | None) -> list[list[str]]:
    """Return the findings of the images that no step before the rules excludes."""
    known = records.loc[records["exclusion"].isna(), "finding"].dropna()
    findings = [
        [part.strip() for part in text.split(separator)] if separator else [text]
        for text in known.astype(str)
    ]
    return [[word for word in row if word] for row in findings]


def _recipe(proposed: SourceText, day: str, rows: Mapping[str, int]) -> RecipeText:
    return RecipeText(
        name=f"{proposed.name}-cxr", title=proposed.title, day=day,
        source=proposed.name, classes={}, rows=rows,
    )  # fmt: skip


def _proposal(
    found: Found, proposed: SourceText, recipe: RecipeText, decisions: tuple[Decision, ...]
) -> Proposal:
    """Return both files, and the words of the findings next to those of the other columns."""
    rows = recipe.rows
    meaning = {word: name for name, words in recipe.classes.items() for word in words}
    ordered = sorted(rows, key=lambda word: (-rows[word], word))
    recipe = replace(recipe, others=[word for word in ordered if word not in meaning])
    words = [WordCount("finding", word, rows[word], meaning.get(word)) for word in ordered]
    return Proposal(
        name=proposed.name, root=found.layout.root, images=len(found.layout.images),
        rows=len(found.table.values) if found.table else None, decisions=decisions,
        words=(*words, *proposed.words), classes={}, source=source_text(proposed),
        recipe=recipe_text(recipe), unused=proposed.unused, parts=found.parts,
        to_credit=licenses_to_credit(proposed),
    )  # fmt: skip


def _without_finding(proposed: SourceText) -> SourceText:
    """Return the source without its column of findings, which no image has a value in."""
    column = proposed.finding.decision.choice if proposed.finding else None
    reason = f"{column!r} has a finding of no image that can be kept"
    none = Decision("finding", None, "not sure", reason)
    decisions = [none if one.subject == "finding" else one for one in proposed.decisions]
    return replace(proposed, finding=None, decisions=decisions)


def _untried(found: Found, proposed: SourceText, day: str, problem: str) -> Proposal:
    """Return both files where the source does not fit its files yet: the classes are those of the words."""
    if proposed.finding is not None:
        findings: Sequence[Sequence[str]] = proposed.finding.findings
    elif "finding" in proposed.folder_columns:
        matches = [re.search(str(proposed.reader["pattern"]), path) for path in found.layout.images]
        findings = [[match["finding"]] for match in matches if match]
    else:
        findings = [["unlabelled"] for _ in found.layout.images]
    classes = first_classes(findings) or {"unlabelled": ["unlabelled"]}
    rows = Counter(word for row in findings for word in dict.fromkeys(row))
    reason = f"{count_of(len(classes), 'class')} of the words, not tried"
    decisions = (
        *proposed.decisions,
        Decision("classes", count_of(len(classes), "class"), "not sure", reason),
        Decision("split", "drawn", "not sure", "a fifth of the patients, not tried"),
        Decision("trial", None, "not sure", f"correct both files before you fetch: {problem}"),
    )
    proposed = replace(proposed, decisions=decisions)
    recipe = _recipe(proposed, day, rows)
    recipe = replace(recipe, classes=classes, split=ProposedSplit(share=0.2), decisions=decisions)
    return _proposal(found, proposed, recipe, decisions)


def _shared(recipe: RecipeText, classes: Mapping[str, Sequence[str]]) -> RecipeText:
    """Return a recipe with a split that every choice of classes has."""
    return replace(recipe, classes=classes, split=ProposedSplit(share=0.5))


def _occurring(records: pd.DataFrame, column: str, values: Sequence[str]) -> list[str]:
    found = set(records[column].dropna())
    return [value for value in values if value in found]


def _declared_split(records: pd.DataFrame) -> dict[str, str]:
    """Return upstream's splits with ours, none where upstream has no split."""
    words = sorted(set(records["upstream_split"].dropna().astype(str)))
    ours = {word: SPLITS[spaced(word)] for word in words if spaced(word) in SPLITS}
    if len(set(ours.values())) < 2:
        return {}
    if "test" not in ours.values():
        ours = {word: "test" if split == "validation" else split for word, split in ours.items()}
    return ours


def _allowing_empty(split: ProposedSplit, counts: Mapping[str, Mapping[str, int]]) -> ProposedSplit:
    """Return a split with the classes that train or test has no image of."""
    allowed = {
        name: list(found)
        for name in ("train", "test")
        if (found := [label for label, of_split in counts.items() if not of_split.get(name)])
    }
    return replace(split, allow_empty=split.allow_empty or allowed)


def _on_classes(
    classes: Mapping[str, Sequence[str]],
    rows: Mapping[str, int],
    small: Mapping[str, Kept],
    done: pd.DataFrame,
    others: OtherFindings,
) -> Decision:
    labelled = {word for words in classes.values() for word in words}
    if list(rows) == ["unlabelled"]:
        reason = "no finding is known, so every image has the class unlabelled: name the column of findings"
        return Decision("classes", "unlabelled", "not sure", reason)
    reason = f"{len(labelled)} of {count_of(len(rows), 'word')} have a class"
    if small:
        shown = name_some(
            f"{word!r} ({count_of(one.images, 'kept image')} of {count_of(one.groups, 'patient')})"
            if one.images
            else f"{word!r} (no image is kept)"
            for word, one in sorted(small.items(), key=lambda pair: -pair[1].images)
        )
        reason += f"; a class needs two patients, one for train and one for test, so none has {shown}"
    if rest := [word for word in rows if word not in labelled and word not in small]:
        reason += f"; {count_of(len(rest), 'other word')} got none, as {MOST_CLASSES} classes are the most"
    ambiguous = int((done["exclusion"] == "ambiguous_finding").sum())
    kept = int(done["exclusion"].isna().sum())
    if ambiguous:
        reason += (
            f"; {count_of(ambiguous, 'image')} with findings of two classes become `ambiguous_finding`, and "
            f"{count_of(kept, 'image')} are kept: put words of one class into one list, or remove classes"
        )
    if others.images:
        shown = name_some(f"{word!r} ({n:,})" for word, n in others.findings.items())
        reason += (
            f"; {count_of(others.images, 'kept image')} with a class by one finding and another finding "
            f"without a class: {shown}"
        )
    unsure = ambiguous or len(labelled) < len(rows) or len(classes) == 1
    certainty: Certainty = "not sure" if unsure else "likely"
    return Decision("classes", count_of(len(classes), "class"), certainty, reason)


def _on_split(split: ProposedSplit) -> tuple[Decision, list[str]]:
    if declared := split.declared:
        shown = ", ".join(f"{word} is {ours}" for word, ours in declared.items())
        validation = "test" in declared.values() and not any(
            spaced(word) in ("test", "testing") for word in declared
        )
        reason = f"the source's own: {shown}"
        if validation:
            reason += "; it has no test split, so its validation split is taken as test"
        return Decision("split", "declared", "not sure" if validation else "sure", reason), [
            reason.capitalize()
        ]
    if split.share is not None:
        reason = "a fifth of the patients, each decided alone, so that no patient moves when images are added"
        if split.allow_empty:
            reason += "; `allow_empty` lists classes with so few patients that a split may have none of them"
    else:
        reason = (
            "a fifth of each class, exactly, as few patients would make a share uncertain; an image that is "
            "added later can move others, which needs a MAJOR version: with more patients, take `share = 0.2`"
        )
    return Decision("split", "drawn", "likely", reason), [reason.capitalize()]
