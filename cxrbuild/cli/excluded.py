"""What the command `why --excluded` reports: the excluded images, by rule."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cxrbuild.cli.output import Output
from cxrbuild.errors import count_of, name_some, printable

if TYPE_CHECKING:
    from cxrbuild.image_decision import ExcludedImage, ExcludedImages

# The images of each exclusion that are listed; the JSON document lists all.
_MOST = 20


def report_excluded(output: Output, result: ExcludedImages, rule: str | None) -> None:
    """Report the excluded images, or those of one rule, each with the column and value that decided."""
    count = count_of(len(result.images), "excluded image")
    which = f" of {printable(rule)}" if rule is not None else ""
    output.show(f"{printable(result.dataset)} lists {count}{which}, of {count_of(result.listed, 'image')}.")
    for exclusion, reason in result.reasons.items():
        images = result.of(exclusion)
        output.show(f"\n{printable(exclusion)}: {count_of(len(images), 'image')}. {printable(reason)}")
        output.table(
            ["image", "path", "decided by"],
            [[image.image_id, image.source_path or "", _decided_by(image)] for image in images[:_MOST]],
        )
        if len(images) > _MOST:
            output.show(f"and {len(images) - _MOST:,} more; --json lists all")
    if result.unlisted:
        output.show(
            f"\nA public release does not list the excluded images of {name_some(result.unlisted)}, as these "
            "sources are not public. Ask the build."
        )
    output.result("why-excluded-1", result.to_dict())


def _decided_by(image: ExcludedImage) -> str:
    value = f"{image.column} {image.value or 'blank'}" if image.column else ""
    # The detail of a review repeats the mark.
    detail = (image.detail or "").removeprefix(image.value or "").removeprefix(": ")
    return ": ".join(filter(None, (value, detail)))
