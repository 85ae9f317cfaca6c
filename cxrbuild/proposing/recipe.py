"""The recipe of a proposal: its classes and its split, tried on the files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from cxrbuild.errors import CxrbuildError, count_of
from cxrbuild.progress import Progress
from cxrbuild.proposing.classes import Kept, drop_small, first_classes, splits_to_try
from cxrbuild.proposing.files import Found
from cxrbuild.proposing.proposal import Certainty, Decision, Proposal, WordCount
from cxrbuild.proposing.render import RecipeText, SourceText, recipe_text, source_text
from cxrbuild.proposing.trial import has_mixed_groups, kept_by_class, split_counts, start_trial
from cxrbuild.proposing.vocabulary import SPLITS, spaced

if TYPE_CHECKING:
    import pandas as pd

_LATERAL = ("LATERAL", "LL", "RL")
_NO_RADIOGRAPHS = ("CT", "MR", "US")


def add_recipe(found: Found, proposed: SourceText, day: str, progress: Progress) -> Proposal:
    """Try the source on the files, choose classes and split, and return both files."""
    source = source_text(proposed)
    trial = start_trial(source, found.layout.root, progress)
    records = trial.records
    separator = trial.source.finding_separator
    known = records.loc[records["exclusion"].isna(), "finding"].dropna()
    findings = [
        [part.strip() for part in text.split(separator)] if separator else [text]
        for text in known.astype(str)
    ]
    findings = [[word for word in row if word] for row in findings]
    rows = Counter(word for row in findings for word in dict.fromkeys(row))
    if not rows:
        raise CxrbuildError(
            "no image has a finding", where=found.layout.root,
            todo="Name the column with --column finding=COLUMN, or --column finding=none",
        )  # fmt: skip
    recipe = RecipeText(
        name=f"{proposed.name}-cxr", title=f"Chest radiographs of {found.layout.label}", day=day,
        source=proposed.name, classes={}, rows=rows,
        lateral=_occurring(records, "view_position", _LATERAL),
        ct=_occurring(records, "modality", _NO_RADIOGRAPHS),
    )  # fmt: skip

    def count(classes: dict[str, list[str]]) -> dict[str, Kept]:
        return kept_by_class(trial.run(recipe_text(_shared(recipe, classes))), list(classes))

    classes, kept = drop_small(first_classes(findings), count)
    declared = _declared_split(records)
    mixed = has_mixed_groups(trial.run(recipe_text(_shared(recipe, classes))))
    splits = [{"declared": declared}] if declared else splits_to_try(kept, mixed=mixed)
    counts: dict[str, Mapping[str, int]] = {}
    for split in splits:
        tried = replace(recipe, classes=classes, split=split)
        try:
            done = trial.run(recipe_text(tried))
        except CxrbuildError:
            continue  # no choice of whole groups gives the exact counts: the next split asks for less
        counts = split_counts(done, list(classes))
        recipe = replace(tried, split=_allowing_empty(split, counts))
        break
    decision = _on_classes(classes, rows, done)
    split_decision, notes = _on_split(declared, recipe.split)
    labelled = {word for words in classes.values() for word in words}
    others = [word for word in sorted(rows, key=lambda word: (-rows[word], word)) if word not in labelled]
    decisions = (*proposed.decisions, decision, split_decision)
    recipe = replace(recipe, others=others, notes=notes, decisions=decisions)
    meaning = {word: name for name, words in classes.items() for word in words}
    words = [
        WordCount("finding", word, rows[word], meaning.get(word))
        for word in sorted(rows, key=lambda word: (-rows[word], word))
    ]
    words += proposed.words
    return Proposal(
        name=proposed.name, root=found.layout.root, images=len(found.layout.images),
        rows=len(found.table.values) if found.table else None, decisions=decisions, words=tuple(words),
        classes=counts, source=source, recipe=recipe_text(recipe),
        unused=proposed.unused,
    )  # fmt: skip


def _shared(recipe: RecipeText, classes: Mapping[str, Sequence[str]]) -> RecipeText:
    """Return a recipe with a split that every choice of classes has."""
    return replace(recipe, classes=classes, split={"test": {"share": 0.5}})


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


def _allowing_empty(
    split: Mapping[str, object], counts: Mapping[str, Mapping[str, int]]
) -> dict[str, object]:
    """Return the keys of a split, with the classes that train or test has no image of."""
    allowed = {
        name: list(found)
        for name in ("train", "test")
        if (found := [label for label, of_split in counts.items() if not of_split.get(name)])
    }
    given = split.get("allow_empty")
    return {**split, **({"allow_empty": given or allowed} if given or allowed else {})}


def _on_classes(
    classes: Mapping[str, Sequence[str]], rows: Mapping[str, int], done: pd.DataFrame
) -> Decision:
    labelled = sum(len(words) for words in classes.values())
    if list(rows) == ["unlabelled"]:
        reason = "no finding is known, so every image has the class unlabelled: name the column of findings"
        return Decision("classes", "unlabelled", "not sure", reason)
    reason = f"{labelled} of {count_of(len(rows), 'word')} have a class"
    ambiguous = int((done["exclusion"] == "ambiguous_finding").sum())
    kept = int(done["exclusion"].isna().sum())
    if ambiguous:
        reason += (
            f"; {count_of(ambiguous, 'image')} with findings of two classes become `ambiguous_finding`, and "
            f"{count_of(kept, 'image')} are kept: put words of one class into one list, or remove classes"
        )
    certainty: Certainty = "not sure" if ambiguous or labelled < len(rows) or len(classes) == 1 else "likely"
    return Decision("classes", count_of(len(classes), "class"), certainty, reason)


def _on_split(declared: Mapping[str, str], split: Mapping[str, object]) -> tuple[Decision, list[str]]:
    if declared:
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
    test = split["test"]
    assert isinstance(test, Mapping)
    if "share" in test:
        reason = "a fifth of the patients, each decided alone, so that no patient moves when images are added"
    else:
        reason = (
            "a fifth of each class, exactly, as few patients would make a share uncertain; an image that is "
            "added later can move others, which needs a MAJOR version: with more patients, take `share = 0.2`"
        )
    return Decision("split", "drawn", "likely", reason), [reason.capitalize()]
