"""Whether anything of one part can be learned by heart from another: patients, linked patients, films."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cxrbuild.auditing.check import Finding, Subject
from cxrbuild.auditing.pairs import Pair
from cxrbuild.errors import count_of


def check_images(subject: Subject) -> Finding:
    """Name the images that are not there as they were built."""
    named = [{"image_id": name, "fault": fault} for name, fault in sorted(subject.faults.items())]
    words = f"{count_of(len(named), 'image')} gone or changed since the build" if named else "all there"
    return Finding(len(named), words, named)


def check_patient_leakage(subject: Subject) -> Finding:
    """Name the groups of patients that stand in more than one part."""
    rows = subject.rows
    parts = rows.groupby("group")["split"].nunique()
    across = rows[rows["group"].isin(parts[parts > 1].index)]
    named = [
        {
            "group": str(group),
            "parts": {str(part): int(n) for part, n in of_group["split"].value_counts().sort_index().items()},
            "image_ids": of_group["image_id"].tolist(),
        }
        for group, of_group in across.groupby("group")
    ]
    return Finding(
        len(named), f"{count_of(len(named), 'patient')} in more than one part" if named else "none", named
    )


def check_duplicate_leakage(subject: Subject) -> Finding:
    """Name the films that stand in two parts."""
    return _pairs(subject, lambda pair: pair.same and "split" in pair.crosses, "across parts")


def check_label_conflicts(subject: Subject) -> Finding:
    """Name the films that stand under two labels."""
    return _pairs(subject, lambda pair: pair.same and "label" in pair.crosses, "under two labels")


def check_unlinked(subject: Subject) -> Finding:
    """Name the films of two patients whom nothing links."""
    return _pairs(subject, lambda pair: pair.same and not pair.linked, "of two patients who are not linked")


def check_duplicates(subject: Subject) -> Finding:
    """Name the films that stand in the dataset twice."""
    return _pairs(subject, lambda pair: pair.same, "")


def check_identity(subject: Subject) -> Finding:
    """Name patients of one source whose ids differ after their last digit alone.

    Mooney's ``person1_bacteria`` and ``person1_virus`` may be one child or two: upstream does not say.
    """
    rows = subject.rows.dropna(subset="patient_id")
    stem = rows["patient_id"].str.extract(r"^(.*\d)\D*$")[0]
    patients = rows.assign(stem=stem).dropna(subset="stem").groupby(["source", "stem"])
    named: list[dict[str, Any]] = [
        {
            "source": source,
            "stem": stem,
            "patients": sorted(set(of_stem["patient_id"])),
            "parts": sorted(set(of_stem["split"])),
        }
        for (source, stem), of_stem in patients
        if of_stem["patient_id"].nunique() > 1
    ]
    across = sum(len(entry["parts"]) > 1 for entry in named)
    words = f"{count_of(len(named), 'id')} in doubt, {across} in two parts" if named else "none"
    return Finding(len(named), words, named)


def check_unknown_patients(subject: Subject) -> Finding:
    """Count the images whose patient upstream does not tell: each counts as a patient of its own."""
    unknown = subject.rows[subject.rows["patient_id"].isna()]
    named: list[dict[str, Any]] = [
        {"source": source, "images": int(n)} for source, n in unknown["source"].value_counts().items()
    ]
    words = f"{count_of(len(unknown), 'image')} without a patient" if named else "none"
    return Finding(len(unknown), words, named)


def _pairs(subject: Subject, wanted: Callable[[Pair], bool], where: str) -> Finding:
    named: list[dict[str, Any]] = [
        {"a": pair.a, "b": pair.b, "kind": pair.kind, "crosses": list(pair.crosses)}
        for pair in subject.pairs
        if wanted(pair)
    ]
    return Finding(len(named), f"{count_of(len(named), 'pair')} {where}".rstrip() if named else "none", named)
