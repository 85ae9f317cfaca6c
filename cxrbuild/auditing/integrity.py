"""Check that every image of a build is available, unchanged and readable."""

from __future__ import annotations

from cxrbuild.artifact.audit_finding import ImageFinding
from cxrbuild.auditing.context import Context, record
from cxrbuild.checks import Measurement
from cxrbuild.errors import count_of


def check_image_integrity(context: Context) -> Measurement:
    """Find images of the manifest that are missing, changed since the build or cannot be read."""
    findings = [
        record(
            ImageFinding(message=f"{one.image_id}: {one.problem}", image_id=one.image_id, problem=one.problem)
        )
        for one in sorted(context.problems, key=lambda one: one.image_id)
    ]
    manifest = len(context.rows) + len(findings)
    if context.missing:
        # They are no images of the manifest, so that no limit is exceeded; but no check saw them.
        message = (
            f"{len(context.rows):,} of {count_of(manifest + context.missing, 'image')} available; "
            f"{context.missing:,} missing from the build were not compared"
        )
        if findings:
            message += f"; {len(findings):,} of the build missing, changed or unreadable"
    elif findings:
        message = f"{count_of(len(findings), 'image')} missing, changed or unreadable"
    else:
        message = "all images available"
    return Measurement(len(findings), message, findings)
