"""Check patients: leakage between splits, ids that may be of one person, images without a patient."""

from __future__ import annotations

from cxrbuild.artifact.audit_finding import (
    PatientFinding,
    SharedIdFinding,
    SimilarIdsFinding,
    UnknownPatientsFinding,
)
from cxrbuild.auditing.context import Context, record
from cxrbuild.checks import Measurement, NotApplicable
from cxrbuild.errors import count_of, name_some
from cxrbuild.patients import find_shared_ids

_LISTED = 6


def check_patient_leakage(context: Context) -> Measurement:
    """Find groups of linked patients with images in several splits."""
    rows = context.rows
    splits = rows.groupby("group")["split"].nunique()
    leaking = rows[rows["group"].isin(splits[splits > 1].index)]
    findings = []
    for group, of_group in leaking.groupby("group"):
        image_ids = of_group["image_id"].tolist()
        counts = {str(split): int(n) for split, n in of_group["split"].value_counts().sort_index().items()}
        message = f"{group}: {name_some(image_ids, _LISTED)}"
        findings.append(
            record(PatientFinding(message=message, group=str(group), splits=counts, image_ids=image_ids))
        )
    message = f"{count_of(len(findings), 'patient')} in several splits" if findings else "none"
    return Measurement(len(findings), message, findings)


def check_shared_patient_ids(context: Context) -> Measurement:
    """Find patient ids that several sources share, with images in several splits.

    Sources of one hospital can have the same patients under the same numbers; only their declarations can
    say so. Hashed numbers are compared too: one build hashes all numbers with one key.
    """
    shared = find_shared_ids(context.rows, context.namespaces)
    findings = [
        record(
            SharedIdFinding(
                message=f"{one.patient_id} of {' and '.join(one.sources)}: {', '.join(one.splits)}",
                patient_id=one.patient_id, sources=list(one.sources), splits=list(one.splits),
            )
        )
        for one in shared
        if len(one.splits) > 1
    ]  # fmt: skip
    message = "none"
    if shared:
        message = (
            f"{count_of(len(shared), 'id')} of several sources, {len(findings):,} in several splits; declare "
            "`patient_namespace` in the sources"
        )
    return Measurement(len(findings), message, findings)


def check_similar_patient_ids(context: Context) -> Measurement:
    """Find patient ids of one source that differ only after their last digit.

    Mooney's ``person1_bacteria`` and ``person1_virus`` may be one child or two: upstream does not say.
    """
    known = context.rows.dropna(subset="patient_id")
    # A hash says nothing about the number: only the numbers of sources that keep them can be compared.
    rows = known[~known["source"].isin(list(context.hashed))]
    if rows.empty and not known.empty:
        raise NotApplicable("the ids are hashed")
    rows = rows.assign(stem=rows["patient_id"].str.extract(r"^(.*\d)\D*$")[0]).dropna(subset="stem")
    rows = rows[rows.groupby(["source", "stem"])["patient_id"].transform("nunique") > 1]
    found = []
    for (source, name), of_stem in rows.groupby(["source", "stem"]):
        patient_ids, splits = sorted(set(of_stem["patient_id"])), sorted(set(of_stem["split"]))
        message = f"{source}: {name_some(patient_ids, _LISTED)} in {' and '.join(splits)}"
        found.append(
            SimilarIdsFinding(
                message=message, source=source, stem=name, patient_ids=patient_ids, splits=splits
            )
        )
    return Measurement(len(found), _describe_similar_ids(found), [record(one) for one in found])


def _describe_similar_ids(found: list[SimilarIdsFinding]) -> str:
    if not found:
        return "none"
    crossing = [one for one in found if len(one.splits) > 1]
    sources = [one.source for one in crossing or found]
    # An example of the source that has most of them.
    source = max(sorted(set(sources)), key=sources.count)
    example = " / ".join(next(one for one in crossing or found if one.source == source).patient_ids[:2])
    placed = (
        f"{count_of(len(crossing), 'patient number')} ({example}) in several splits, of {len(found):,} with "
        "several ids"
        if crossing
        else f"{count_of(len(found), 'patient number')} with several ids ({example}), none in several splits"
    )
    return f"{placed}; whether these are one person is unknown"


def check_unknown_patients(context: Context) -> Measurement:
    """Count the images without a patient id: each counts as a patient."""
    unknown = context.rows[context.rows["patient_id"].isna()]
    findings = [
        record(
            UnknownPatientsFinding(
                message=f"{source}: {count_of(int(n), 'image')}", source=str(source), images=int(n)
            )
        )
        for source, n in unknown["source"].value_counts().items()
    ]
    message = f"{count_of(len(unknown), 'image')} without a patient id" if findings else "none"
    return Measurement(len(unknown), message, findings)
