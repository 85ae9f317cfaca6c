"""What a report states about a test of few images: how little it shows."""

from __future__ import annotations

from collections.abc import Mapping

from cxrbuild.bootstrap import exact_interval

# With fewer test images a report states how little they show.
FEW = 100


def describe_few_images(images: int, right: Mapping[str, int]) -> str:
    """Return how little a test of few images shows, empty for a test of many.

    The interval is exact: a bootstrap of ten predictions that are all right gives one without width.

    Parameters
    ----------
    images
        The number of test images.
    right
        The number of right predictions by model; an only model needs no name.
    """
    if not 0 < images < FEW:
        return ""
    lines = []
    for name, hits in right.items():
        low, high = exact_interval(hits, images)
        prefix = f"{name}: " if name else ""
        lines.append(f"- {prefix}{hits} of {images} right: {hits / images:.3f} ({low:.3f}, {high:.3f})")
    return (
        f"**{images} images show little**: one image more or less is {100 / images:.1f} points of "
        "accuracy. The exact 95 % interval (Clopper and Pearson) of the accuracy, if every image is of "
        "another patient:\n\n" + "\n".join(lines)
    )
