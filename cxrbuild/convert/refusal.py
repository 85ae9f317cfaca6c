"""Why a file cannot become a JPEG."""

from __future__ import annotations

from typing import Literal

from cxrbuild.errors import CxrbuildError

Reason = Literal["animated", "no_decoder", "no_pixels", "too_large", "truncated", "unreadable", "unsupported"]

REASONS: dict[Reason, str] = {
    "animated": "The file holds several frames, and does not say which one is the film.",
    "no_decoder": (
        "The picture's compression needs a decoder that is not installed: pip install 'cxrbuild[dicom]'."
    ),
    "no_pixels": "The DICOM file holds no picture, as reports and directories do.",
    "too_large": "The picture has more pixels than `max_pixels`, or a side longer than JPEG's 65,500.",
    "truncated": "The file ends before its picture does.",
    "unreadable": "The file is damaged, and its picture cannot be decoded.",
    "unsupported": "The file is no PNG, JPEG or DICOM, or is of a kind of these that is not converted.",
}
"""What each reason means; the reason's name is what the ledger's ``exclusion`` holds."""

# libjpeg's JPEG_MAX_DIMENSION.
_LONGEST_SIDE = 65_500


class NotConvertible(CxrbuildError):  # noqa: N818 - the name that the ledger's readers catch
    """A file that cannot become a JPEG.

    Parameters
    ----------
    reason
        A key of `REASONS`.
    found
        What was found in the file, for ``exclusion_detail``; never a value from a DICOM header's text.
    """

    def __init__(self, reason: Reason, found: str) -> None:
        super().__init__(REASONS[reason], found=found)
        self.reason: Reason = reason
        self.found: str = found

    # Exceptions pickle by their message alone, and this one has to come back from worker processes.
    def __reduce__(self) -> tuple[type[NotConvertible], tuple[Reason, str]]:
        return type(self), (self.reason, self.found)


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Refuse a picture by its declared size, before anything of it is decoded.

    Raises
    ------
    NotConvertible
        It has no pixels, or too many.
    """
    found = f"{width} x {height} pixels"
    if width < 1 or height < 1:
        raise NotConvertible("unreadable", found)
    if width * height > max_pixels or max(width, height) > _LONGEST_SIDE:
        raise NotConvertible("too_large", found)
