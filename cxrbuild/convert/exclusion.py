"""Define why a file cannot become an 8-bit image: the reasons, the exception and the size check."""

from __future__ import annotations

from typing import Literal

from cxrbuild.errors import CxrbuildError
from cxrbuild.exclusions import reasons_of

Reason = Literal["animated", "no_decoder", "no_pixels", "too_large", "truncated", "unreadable", "unsupported"]

_REASONS = reasons_of("convert")
# libjpeg's JPEG_MAX_DIMENSION.
_LONGEST_SIDE = 65_500


class NotConvertible(CxrbuildError):  # noqa: N818 - the name that readers of the ledger catch
    """Report a file that cannot be converted.

    Parameters
    ----------
    reason
        An exclusion of the stage ``convert``.
    found
        What the file holds instead, for ``exclusion_detail``; never text of a DICOM header.
    """

    def __init__(self, reason: Reason, found: str) -> None:
        super().__init__(_REASONS[reason], found=found)
        self.reason: Reason = reason
        self.found: str = found

    # Exceptions pickle by their message alone; this one returns from worker processes.
    def __reduce__(self) -> tuple[type[NotConvertible], tuple[Reason, str]]:
        return type(self), (self.reason, self.found)


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Check the declared size of an image before anything is decoded.

    Raises
    ------
    NotConvertible
        The image has no pixels, or too many.
    """
    found = f"{width} x {height} pixels"
    if width < 1 or height < 1:
        raise NotConvertible("unreadable", found)
    if width * height > max_pixels or max(width, height) > _LONGEST_SIDE:
        raise NotConvertible("too_large", found)
