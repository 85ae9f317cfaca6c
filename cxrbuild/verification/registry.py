"""The checks of `verify`, in the order in which their findings are reported."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from cxrbuild.checks import Check, Finding, registered_checks
from cxrbuild.verification import (
    audit_result,
    baseline_result,
    corrections,
    counts,
    decisions,
    documents,
    explanation_result,
    files,
    images,
    parquet,
    policy,
    report,
    results,
    shards,
    signature,
    sizes,
    tables,
    tfrecord,
)
from cxrbuild.verification.context import Context

_RELEASE = frozenset({"release"})
_BUILD_AND_RELEASE = frozenset({"build", "release"})
_IMAGES = frozenset({"build", "images"})


def _check(
    check_id: str,
    sentence: str,
    run: Callable[[Context], Iterable[Finding]],
    applies_to: frozenset[str] = _BUILD_AND_RELEASE,
) -> Check[Context]:
    return Check(check_id, sentence, run, "verify", applies_to=applies_to)


CHECKS = (
    _check("build_document", "build.json is complete and of this format.", files.check_document),
    _check("sums", "Every line of SHA256SUMS is a hash and a path.", files.check_sums, _RELEASE),
    _check("signature", "The signature is of SHA256SUMS.", signature.check_signature, _RELEASE),
    _check("file_hashes", "Every listed file is available with its hash.", files.check_hashes),
    _check("unlisted_files", "SHA256SUMS lists every file.", files.check_unlisted_files, _RELEASE),
    _check("known_files", "Every listed file is of this release.", files.check_known_files, _RELEASE),
    _check("table_columns", "Ledger and manifest have the declared columns.", tables.check_columns),
    _check("unique_ids", "An image_id occurs once in each table.", tables.check_unique_ids),
    _check("row_values", "Every image has a class, a split, its path, size and hash.", tables.check_rows),
    _check("tables_agree", "The manifest is the kept rows of the ledger.", tables.check_agreement),
    _check("patient_leakage", "No group of patients is in two splits.", tables.check_patient_leakage),
    _check("image_ids", "An image_id follows from source and path.", decisions.check_image_ids),
    _check("labels", "Every label follows from its finding.", decisions.check_labels),
    _check("exclusions", "Every exclusion follows from the recipe's rules.", decisions.check_exclusions),
    _check("groups", "A group is named after its least patient.", decisions.check_groups),
    _check("splits", "Every split follows from the recipe.", decisions.check_splits),
    _check("folds", "Every fold follows from the recipe.", decisions.check_folds),
    _check("counts", "build.json counts the manifest's images by split and class.", counts.check_counts),
    _check("empty_classes", "Train and test have images of every class.", counts.check_empty_classes),
    _check("funnel", "build.json counts the ledger's exclusions by source.", counts.check_funnel),
    _check("missing_images", "build.json lists the missing images of the ledger.", counts.check_missing),
    _check("known_leakage", "build.json lists groups in several splits.", counts.check_known_leakage),
    _check("corrections", "build.json lists corrected values of the ledger.", corrections.check_corrections),
    _check("summary", "No part of build.json contradicts another.", counts.check_summary),
    _check("withheld_counts", "build.json counts the withheld images.", counts.check_withheld, _RELEASE),
    _check("images", "Every image is available and decodes.", images.check_images, _IMAGES),
    _check("shards", "There are shards where the manifest has pixels.", shards.check_presence),
    _check("parquet", "Parquet shards have the manifest's rows and pixels.", parquet.check_parquet),
    _check("tfrecord", "TFRecord shards have the manifest's rows and pixels.", tfrecord.check_tfrecord),
    _check(
        "tfrecord_metadata", "The JSON of TFRecord follows from the data.", tfrecord.check_tfrecord_metadata
    ),
    _check("sizes", "Ready sizes have the rows and pixels of the shards.", sizes.check_sizes, _RELEASE),
    _check("withheld", "The release embeds what its policy allows.", policy.check_withheld, _RELEASE),
    _check(
        "identities",
        "No file and no excluded image of a source that is not public is named.",
        policy.check_identities,
        _RELEASE,
    ),
    _check("published", "A published version has its published rows.", policy.check_published, _RELEASE),
    _check("packaged_files", "Files are as build.json records them.", results.check_packaged_files, _RELEASE),
    _check("build_manifest", "The build's manifest has its hash.", results.check_build_manifest, _RELEASE),
    _check("results", "Audit, baseline and explanation are of this build.", results.check_results, _RELEASE),
    _check(
        "audit_result",
        "The audit follows from findings and manifest.",
        audit_result.check_audit_result,
        _RELEASE,
    ),
    _check(
        "baseline_result",
        "The baseline's summary follows from its runs.",
        baseline_result.check_baseline_result,
        _RELEASE,
    ),
    _check(
        "explanation_result",
        "The explanation is of the manifest's test images.",
        explanation_result.check_explanation_result,
        _RELEASE,
    ),
    _check("generated", "The documents follow from the data.", documents.check_generated, _RELEASE),
    _check("changelog", "The changelog begins with this version.", documents.check_changelog, _RELEASE),
    _check("report", "The report shows the data.", report.check_report, _RELEASE),
    _check("card", "The card's counts are those of the data.", documents.check_card, _RELEASE),
    _check("lists", "The lists have the manifest's rows.", documents.check_lists, _RELEASE),
    _check("citation", "The citation has version and date.", documents.check_citation, _RELEASE),
    _check("croissant", "Croissant agrees with data and files.", documents.check_croissant, _RELEASE),
    _check("ro_crate", "RO-Crate describes every file.", documents.check_ro_crate, _RELEASE),
)


def verify_checks() -> tuple[Check[Context], ...]:
    """Return the checks of `verify`, those of other packages last.

    Raises
    ------
    CxrbuildError
        A check of another package cannot be used.
    """
    return registered_checks("verify", CHECKS)
