"""Every exclusion that the program itself writes into the ledger, in the order of the flow chart."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

NO_LONGER_UPSTREAM = "no longer upstream"
"""Why an image is not in a version whose ledger does not have it: no exclusion, and no code of one."""

Stage = Literal["ingest", "labels", "plan", "convert"]


@dataclass(frozen=True)
class Exclusion:
    """An exclusion: its code in the ledger, the stage that writes it, and what it means."""

    code: str
    stage: Stage
    reason: str


# The recipe's own rules come after the stage `labels`.
EXCLUSIONS = (
    Exclusion("withdrawn", "ingest", "The source withdrew the image."),
    Exclusion("row_without_file", "ingest", "The metadata names a file that the source does not hold."),
    Exclusion(
        "file_without_row",
        "ingest",
        "The source holds the image without a row of metadata, or its name has another form.",
    ),
    Exclusion(
        "unmatched_image",
        "ingest",
        "The file looks like an image, but no pattern of `reader.images` matches its name.",
    ),
    Exclusion(
        "listed_twice",
        "ingest",
        "The metadata, or the published list, names the file a second time; the first row is used, with the "
        "findings of all rows where the source joins them.",
    ),
    Exclusion("unreadable_header", "ingest", "The file has no DICOM header that can be read."),
    Exclusion(
        "burned_in_annotation", "ingest", "The DICOM header states that the pixels identify the patient."
    ),
    Exclusion("ambiguous_finding", "labels", "The findings belong to several of the recipe's classes."),
    Exclusion("not_listed", "labels", "The published list does not name the image."),
    Exclusion("not_in_source", "plan", "The published list names a file that its source does not hold."),
    Exclusion(
        "missing_file",
        "plan",
        "The source holds the file at the pin, or the published list names it, but the file is missing.",
    ),
    Exclusion(
        "animated",
        "convert",
        "The file holds several frames and does not declare which one is the radiograph.",
    ),
    Exclusion(
        "no_decoder",
        "convert",
        "The image's compression needs a decoder that is not installed: pip install 'cxrbuild[dicom]'.",
    ),
    Exclusion("no_pixels", "convert", "The DICOM file holds no image, for example a report or a directory."),
    Exclusion(
        "too_large",
        "convert",
        "The image has more pixels than `max_pixels`, or a side longer than JPEG's 65,500.",
    ),
    Exclusion("truncated", "convert", "The file ends before its image is complete."),
    Exclusion("unreadable", "convert", "The file is damaged and its image cannot be decoded."),
    Exclusion(
        "unsupported",
        "convert",
        "The file is not PNG, JPEG or DICOM, or is of a kind of these that is not converted.",
    ),
)

BEFORE_RULES = frozenset(one.code for one in EXCLUSIONS if one.stage in ("ingest", "labels"))
"""The exclusions of stages before the rules, which no rule was asked about."""

# The image belongs to the dataset and is missing: not a decision of the recipe.
MISSING = ("not_in_source", "missing_file", *(one.code for one in EXCLUSIONS if one.stage == "convert"))


class _Rule(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def reason(self) -> str: ...
    @property
    def enabled(self) -> bool: ...


def reasons_of(stage: Stage) -> dict[str, str]:
    """Return the exclusions of a stage, each with its meaning."""
    return {one.code: one.reason for one in EXCLUSIONS if one.stage == stage}


def exclusion_reasons(rules: Iterable[_Rule]) -> dict[str, str]:
    """Return every exclusion that a build can have with its meaning, in the order of the flow chart.

    Parameters
    ----------
    rules
        The recipe's rules, in order; those that are not enabled exclude nothing.
    """
    ruled = {rule.name: rule.reason for rule in rules if rule.enabled}
    before, after = reasons_of("ingest") | reasons_of("labels"), reasons_of("plan") | reasons_of("convert")
    return before | ruled | after
