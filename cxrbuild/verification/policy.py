"""Check what a release embeds, and that a published version has its published rows."""

from __future__ import annotations

from collections.abc import Iterator

from cxrbuild.artifact import names
from cxrbuild.catalog.published import published_manifest
from cxrbuild.checks import Finding, NotApplicable
from cxrbuild.comparison import KINDS, NOT_CHANGES, DatasetVersion, compare, read_version
from cxrbuild.errors import CxrbuildError
from cxrbuild.policy import withheld, without_identities
from cxrbuild.records import differs
from cxrbuild.verification.context import Context
from cxrbuild.verification.tables import text_of

# The columns with what a person wrote about an image.
_OF_NOTES = ("exclusion_detail", "exclusion_note")
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
    """Find what can identify patients of sources that are not public, in a public release."""
    ledger = context.ledger
    try:
        expected = without_identities(ledger, context.release, context.release.policy)
    except CxrbuildError as error:
        yield Finding(error.what, names.LEDGER)
        return
    for column in ("source_path", "group", *_OF_NOTES):
        for image in ledger.loc[differs(ledger[column], expected[column]), "image_id"]:
            what = "has a note about an image" if column in _OF_NOTES else "names a file"
            yield Finding(f"{column} {what} of a source that is not public", names.LEDGER, image)


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
