"""Describe one image: why it is in a dataset or not: every decision about it, with what decided it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxrbuild.artifact import Artifact, is_plan
from cxrbuild.artifact.build import SourceState
from cxrbuild.catalog import Link, Recipe, read_links
from cxrbuild.catalog.review import MARKS
from cxrbuild.catalog.rule import DuplicateRule, Rule
from cxrbuild.errors import count_of
from cxrbuild.exactness import image_states
from cxrbuild.exclusions import BEFORE_RULES, exclusion_reasons
from cxrbuild.image_decision.find import find_rows
from cxrbuild.image_decision.metadata import MetadataRows
from cxrbuild.image_decision.result import (
    CorrectionResult,
    DecisionResult,
    DuplicateImage,
    ImageDecision,
    LinkedImage,
    ReviewResult,
    RuleResult,
)
from cxrbuild.image_decision.reviewed import RecordedReviews
from cxrbuild.image_decision.versions import find_other_versions
from cxrbuild.reasons import label_reasons, looked_at, split_reasons
from cxrbuild.records import possible_ids
from cxrbuild.rules import apply_rules

if TYPE_CHECKING:
    import pandas as pd

_logger = logging.getLogger(__name__)
# What upstream says of an image, in our columns.
_UPSTREAM = (
    "patient_id", "patient_id_text", "finding", "modality", "modality_text", "view_position",
    "view_position_text", "patient_sex", "patient_age", "patient_age_text", "license", "license_text",
    "attribution", "upstream_split",
)  # fmt: skip
_PIN = ("commit", "date", "tree", "sha256", "listing")


def explain_images(
    artifact: Artifact, name: str, *, recipe: Recipe | None = None, data: Path | None = None
) -> DecisionResult:
    """Explain why the images that a name means are in a dataset or not.

    Parameters
    ----------
    artifact
        A build, a release or a plan.
    name
        An image id, the path or name of a file of a source or build, a patient, or an accession number or UID
        of a DICOM header.
    recipe
        The recipe with its files, whose link files and sources are read; ``None``: those that are shipped.
    data
        The data folder whose metadata is shown, and whose DICOM headers are searched; ``None``: none are.

    Raises
    ------
    CxrbuildError
        No image has the name.
    """
    ledger = artifact.ledger
    found = find_rows(artifact, name, recipe, data)
    # Not the name, nor the images: it can be a patient's number.
    reasons = ledger.loc[found, "exclusion"].fillna("kept").value_counts()
    _logger.info(
        "read %d rows of %s; the name means %d: %s", len(ledger), artifact.folder, int(found.sum()),
        ", ".join(f"{reason} {count}" for reason, count in reasons.items()),
    )  # fmt: skip
    describe = _Describer(artifact, recipe, data, ledger[found])
    dataset = f"{artifact.name} {artifact.version}"
    images = [describe(row) for _, row in ledger[found].sort_values("image_id").iterrows()]
    return DecisionResult(name, str(artifact.folder), dataset, images)


class _Describer:
    """Describes rows of a ledger, with what the artefact, the recipe and the data folder say of them."""

    def __init__(
        self, artifact: Artifact, recipe: Recipe | None, data: Path | None, asked: pd.DataFrame
    ) -> None:
        self._artifact = artifact
        self._metadata = MetadataRows(artifact, recipe, data, asked)
        self._kept = artifact.ledger[artifact.ledger["split"].notna()]
        self._others = find_other_versions(artifact, recipe, asked)
        self._reviews = RecordedReviews(artifact, recipe)
        self._links = list(_read_links(artifact.document.recipe, recipe))

    def __call__(self, row: pd.Series) -> ImageDecision:
        recipe, ledger = self._artifact.document.recipe, self._artifact.ledger
        one = ledger.loc[[row.name]]
        text = {str(key): _text(value) for key, value in row.items()}
        kept = text["exclusion"] is None
        source, path = str(text["source"]), str(text["source_path"])
        metadata, hidden, note = self._metadata.of_image(source, path)
        given = label_reasons(one, recipe).iloc[0].map(_text)
        decided = split_reasons(one, recipe, self._kept).iloc[0].map(_text)
        placed = text["split"] is not None
        unknown = self._why_duplicates_unknown()
        group = ledger[ledger["group"].eq(row["group"]).fillna(value=False)]
        return ImageDecision(
            image_id=str(text["image_id"]),
            source=source,
            source_path=path,
            pin=self._pin(source),
            exactness=self._exactness(one, source),
            metadata=metadata,
            metadata_hidden=hidden,
            metadata_note=note,
            upstream={
                column: value
                for column in _UPSTREAM
                if (value := text[column]) is not None
                and (not column.endswith("_text") or self._metadata.is_public(source))
            },
            corrections=[
                CorrectionResult(**one.model_dump(exclude={"image_id", "source"}))
                for one in self._artifact.document.corrections.values
                if one.image_id == text["image_id"]
            ],
            review=_review(text, self._reviews),
            rules=[_rule_result(rule, one, text, recipe) for rule in recipe.rules],
            kept=kept,
            exclusion=text["exclusion"],
            detail=text["exclusion_detail"],
            note=text["exclusion_note"],
            meaning=None if kept else exclusion_reasons(recipe.rules).get(str(text["exclusion"])),
            label=text["label"],
            label_by=None if text["label"] is None else given["by"],
            label_reason=None if text["label"] is None else given["text"],
            split=text["split"],
            split_by=decided["by"] if placed else None,
            split_reason=self._split_reason(decided) if placed else None,
            other_splits=self._others.splits[str(text["image_id"])],
            fold=None if text["fold"] is None else int(row["fold"]),
            group=text["group"],
            group_images=sorted(set(group["image_id"]) - {str(text["image_id"])}),
            links=[
                self._linked(link, text["group"], *other)
                for link in self._links
                for image, other in ((link.a, link.b), (link.b, link.a))
                if image == (source, path) or text["image_id"] in possible_ids(*image)
            ],
            duplicates=self._duplicates(str(text["image_id"])) if kept and unknown is None else None,
            duplicates_note="not compared: an audit compares the images of the dataset"
            if not kept
            else unknown,
            withheld=text["withheld"],
        )

    def _split_reason(self, decided: pd.Series) -> str:
        changed = (
            "" if self._others.changed is None else f"; that version changed since: {self._others.changed}"
        )
        return str(decided["text"]) + (changed if decided["by"] == "previous" else "")

    def _exactness(self, row: pd.DataFrame, source: str) -> str | None:
        # Its file may be deleted, and nothing compares it.
        if row["exclusion"].eq("withdrawn").any():
            return "withdrawn"
        known = self._artifact.document.sources
        if source not in known and is_plan(self._artifact.folder):
            return None
        return str(image_states(row, known).iloc[0])

    def _pin(self, source: str) -> dict[str, str]:
        document = self._artifact.document
        declared, state = document.declared_sources.get(source), document.sources.get(source)
        pin = {} if declared is None else {key: getattr(declared.pin, key) for key in _PIN}
        found = {key: str(value) for key, value in pin.items() if value is not None}
        if state is not None:
            found |= {"verified by": state.proof}
        if source in document.unpinned:
            found |= {"state": "unpinned"}
            if state is not None and (text := _describe_difference(state)):
                found |= {"difference": text}
        return found

    def _linked(self, link: Link, group: str | None, source: str, path: str) -> LinkedImage:
        ledger = self._artifact.ledger
        # A public release has no paths of a source that is not public.
        named = ledger["source_path"].eq(path) | ledger["image_id"].isin(possible_ids(source, path))
        rows = ledger[(ledger["source"] == source) & named]
        image, split, exclusion, its_group = (
            None if rows.empty else _text(rows[column].iloc[0])
            for column in ("image_id", "split", "exclusion", "group")
        )
        later = None not in (group, its_group) and group != its_group
        return LinkedImage(link.kind, image, source, path, split, exclusion, link.note or None, later)

    def _why_duplicates_unknown(self) -> str | None:
        audit = self._artifact.audit
        if audit is None:
            return "not known: `cxrbuild audit` finds them"
        if audit.dataset.manifest_sha256 != self._artifact.manifest_sha256:
            return "not known: the audit is older than the build; run `cxrbuild audit` again"
        return None

    def _duplicates(self, image: str) -> list[DuplicateImage]:
        assert self._artifact.audit is not None
        splits = self._kept.set_index("image_id")["split"]
        found = []
        for pair in self._artifact.audit.pairs:
            if image in (pair.a, pair.b):
                other = pair.b if pair.a == image else pair.a
                found.append(
                    DuplicateImage(
                        pair.kind, other, _text(splits.get(other)), pair.similarity, list(pair.changes),
                        list(pair.crosses), pair.linked,
                    )
                )  # fmt: skip
        return found


def _describe_difference(state: SourceState) -> str:
    """Return how the files of an unpinned source differ from its pin; empty where that is not known."""
    counts = {"missing": state.missing, "with other bytes": state.different, "not in the pin": state.extra}
    return ", ".join(f"{count_of(len(files), 'file')} {what}" for what, files in counts.items() if files)


def _read_links(recorded: Recipe, recipe: Recipe | None) -> Iterator[Link]:
    """Yield the links of the recipe; without its folder, those of the shipped files that it names."""
    for name in recorded.split.links:
        if recipe is not None or ("/" not in name and not name.endswith(".csv")):
            yield from read_links(name, Path() if recipe is None else recipe.folder)


def _text(value: Any) -> str | None:
    """Return a value of the table as text, null as ``None``."""
    import pandas as pd

    if pd.isna(value):
        return None
    return f"{value:g}" if isinstance(value, float) else str(value)


def _review(text: Mapping[str, str | None], reviews: RecordedReviews) -> ReviewResult | None:
    mark = text["review"]
    if mark is None:
        return None
    drawn = {"True": True, "False": False}.get(str(text["marks_finding"]))
    written = reviews.find(str(text["source"]), str(text["source_path"]), mark, drawn)
    if written is None or written.file is None:
        return ReviewResult(mark, MARKS.get(mark), drawn)
    return ReviewResult(
        mark, MARKS.get(mark), drawn, written.note or None, written.reader or None, written.file.name,
        written.line,
    )  # fmt: skip


def _rule_result(rule: Rule, row: pd.DataFrame, text: Mapping[str, str | None], recipe: Recipe) -> RuleResult:
    column = looked_at(rule)
    value = None if column is None else text.get(column)
    result = _decide(rule, row, text["exclusion"], recipe.rules)
    return RuleResult(rule.name, rule.describe(), result, column, value)


def _decide(rule: Rule, row: pd.DataFrame, exclusion: str | None, rules: Sequence[Rule]) -> str:
    if not rule.enabled:
        return "switched off"
    if rule.name == exclusion:
        return "excludes"
    order = [one.name for one in rules]
    after_rules = {"missing_file", "not_in_source"}
    if rule.sources is not None and row["source"].iloc[0] not in rule.sources:
        return "not asked"
    if exclusion in order:
        return "keeps" if order.index(rule.name) < order.index(exclusion) else "not asked"
    if exclusion in BEFORE_RULES:
        return "not asked"
    if exclusion is None or exclusion in after_rules or isinstance(rule, DuplicateRule):
        return "keeps"
    # An exclusion of the conversion, which comes after all rules, or of another version of the program.
    alone = apply_rules(row.assign(exclusion=None), [rule])
    return "not asked" if alone["exclusion"].notna().any() else "keeps"
