"""Warn that a dataset lacks the pixels of some images."""

from __future__ import annotations

import warnings

from cxrbuild.artifact import Artifact
from cxrbuild.errors import count_of, verb_of

# The lines of a warning: a dataset can have many classes.
_MOST = 20


class MissingPixelsWarning(UserWarning):
    """A dataset lacks the pixels of some images: a release withholds them, or they were missing when built.

    ``warnings.filterwarnings("ignore", category=cxrbuild.MissingPixelsWarning)`` silences it.
    """


def warn_of_absent_pixels(artifact: Artifact, stacklevel: int) -> None:
    """Warn if images are withheld or missing, with the counts of each class and split that lacks some.

    Parameters
    ----------
    artifact
        The build or release.
    stacklevel
        That of `warnings.warn`, as if the caller warned.
    """
    if text := _describe(artifact):
        warnings.warn(text, MissingPixelsWarning, stacklevel=stacklevel + 1)


def _describe(artifact: Artifact) -> str:
    withheld, missing = artifact.withheld_images, artifact.document.missing_images
    if not withheld and not missing:
        return ""
    causes = [f"this release withholds the pixels of {count_of(withheld, 'image')}"] if withheld else []
    if missing:
        causes.append(f"{count_of(missing, 'image')} of the dataset {verb_of(missing, 'is')} missing")
    lines = [f"{artifact.name} {artifact.version} lacks pixels: {', and '.join(causes)}."]
    counted = artifact.count_pixels()
    lacking = [one.describe() for one in counted if not one.complete]
    lines += [f"{line}." for line in lacking[:_MOST]]
    if (more := len(lacking) - _MOST) > 0:
        lines.append(f"The same holds for {more} more pairs of class and split.")
    if unknown := missing - sum(one.missing for one in counted):
        lines.append(f"The class of {count_of(unknown, 'missing image')} is not known.")
    if withheld:
        lines.append(
            "`to_pandas` and the loaders have only images with pixels; `to_pandas(withheld=True)` also has "
            "the rows of the others. The build that the release was made from has all pixels. So has a "
            f"private release of it, `cxrbuild release {artifact.version} --policy private`, which must not "
            "be redistributed."
        )
    if missing:
        lines.append("Fetch the missing images and run `cxrbuild curate` again to have them.")
    lines.append('To silence this: warnings.filterwarnings("ignore", category=cxrbuild.MissingPixelsWarning)')
    return "\n  ".join(lines)
