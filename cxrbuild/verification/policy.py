"""Check what a release embeds, and that a published version has its published rows."""

from __future__ import annotations

from collections.abc import Iterator

from cxrbuild.artifact import names
from cxrbuild.artifact.published import published_manifest
from cxrbuild.checks import Finding, NotApplicable
from cxrbuild.comparison import KINDS, NOT_CHANGES, DatasetVersion, compare, read_version
from cxrbuild.errors import CxrbuildError
from cxrbuild.policy import is_unlisted, unlisted_sources, withheld, without_identities
from cxrbuild.records import differs
from cxrbuild.verification.context import Context
from cxrbuild.verification.tables import text_of

# What a column must not have of an image, by column.
_NAMED = {
    "source_path": "names a file",
    "group": "names a file or an excluded image",
    "exclusion_detail": "has a note about an image, or names an excluded image,",
    "exclusion_note": "has a note about an image",
}
_MEMBERSHIP = ["image_id", "source", "source_path", "label", "split"]


def check_withheld(context: Context) -> Iterator[Finding]:
    """Find images that the policy withholds and the manifest does not, or the reverse."""
    manifest, policy = context.manifest, context.release.policy
    expected = withheld(manifest, policy)
    wrong = differs(manifest["withheld"], expected)
    for image, a, b in zip(
        manifest.loc[wrong, "image_id"], manifest.loc[wrong, "withheld"], expected[wrong], strict=True
    ):
        message = f"withheld is {text_of(a)}, by the {policy} policy it is {text_of(b)}"
        yield Finding(message, names.MANIFEST, image)


def check_identities(context: Context) -> Iterator[Finding]:
    """Find files, patients and excluded images of sources that are not public, in a public release."""
    document = context.release
    if document.policy == "public" and document.inputs is not None and context.packaged_here:
        yield Finding("is a hash of what a public release omits, too", names.BUILD, "inputs")
    ledger, unlisted = context.ledger, unlisted_sources(document)
    for image in ledger.loc[is_unlisted(ledger, unlisted), "image_id"]:
        yield Finding("is an excluded image of a source that is not public", names.LEDGER, image)
    try:
        expected = without_identities(ledger, document, document.policy)
    except CxrbuildError as error:
        yield Finding(error.what, names.LEDGER)
        return
    listed = set(ledger.loc[~is_unlisted(ledger, unlisted), "image_id"])
    for source in sorted(unlisted & set(document.sources)):
        state = document.sources[source]
        for image in sorted({*state.missing, *state.extra, *state.different} - listed):
            message = "is a file, and no image of the dataset, of a source that is not public"
            yield Finding(message, names.BUILD, f"sources.{source} {image}")
    kept = set(context.manifest["image_id"])
    for one in document.removed:
        if one.source not in unlisted:
            yield Finding(
                "is of a source whose images the ledger lists", names.BUILD, f"removed {one.image_id}"
            )
        if one.image_id in kept:
            yield Finding("is an image of the dataset", names.BUILD, f"removed {one.image_id}")
    for column in _NAMED:
        for image in ledger.loc[differs(ledger[column], expected[column]), "image_id"]:
            yield Finding(f"{column} {_NAMED[column]} of a source that is not public", names.LEDGER, image)
    for image in ledger.loc[differs(ledger["patient_age"], expected["patient_age"]), "image_id"]:
        yield Finding("patient_age is over 89, in a source that is not public", names.LEDGER, image)
    # Earlier versions kept the text of patients of exactly 90 years.
    texts = differs(ledger["patient_age_text"], expected["patient_age_text"]) & context.packaged_here
    for image in ledger.loc[texts, "image_id"]:
        yield Finding(
            "patient_age_text shows an age over 89, in a source that is not public", names.LEDGER, image
        )


def check_published(context: Context) -> Iterator[Finding]:
    """Find rows that differ from the published manifest of the same version."""
    dataset = context.release.dataset
    name = f"{dataset.name}/{dataset.version}"
    if not published_manifest(name).is_file():
        raise NotApplicable(f"{name} is not published")
    here = DatasetVersion(
        names.MANIFEST, context.manifest.drop_duplicates("image_id")[_MEMBERSHIP], None, released=False,
        missing=context.release.missing,
    )  # fmt: skip
    try:
        found = compare(read_version(name), here)
    except CxrbuildError as error:
        yield Finding(str(error), names.MANIFEST)
        return
    for kind in (kind for kind in KINDS if kind not in NOT_CHANGES):
        for row in found.rows[kind].to_dict("records"):
            message = f"differs from {name} as published: {row['change'] or KINDS[kind]}"
            yield Finding(message, names.MANIFEST, row["image_id"])
