"""Read a DICOM image as its header asks to show it."""

from __future__ import annotations

import struct
import warnings
import zlib
from typing import TYPE_CHECKING, Any

from cxrbuild.convert.dicom_file import read_dataset
from cxrbuild.convert.dicom_levels import map_monochrome, read_palette
from cxrbuild.convert.dicom_samples import Samples, read_photometric, read_samples
from cxrbuild.convert.exclusion import NotConvertible, check_size

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image
    from pydicom import Dataset

    Pixels = NDArray[np.uint8]


_YBR = {"YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT"}
# ITU-R 601 in 16-bit fixed point, as in Pillow and libjpeg.
_LUMA = (19595, 38470, 7471)


def read_dicom(data: bytes, max_pixels: int, *, color: bool = False) -> tuple[Image, str]:
    """Decode a DICOM image to 8 bits.

    Stored values go through the modality LUT or rescale (PS3.3, C.11.1) and the first VOI LUT or, without
    one, the first window (C.11.2), whose output range becomes 0 to 255. Without a window, and with one that
    the standard forbids, the range of the values present becomes 0 to 255, without the padding.
    MONOCHROME1 and the presentation LUT shape INVERSE both declare that low values are bright; they occur
    together (C.8.11.1) and invert once. Padding (C.7.5.1.1.2) is black. Colour becomes luma over the range
    of its bits. Overlays are not drawn; presentation states and functional groups are not read.

    Warnings of pydicom are silenced by `warnings.catch_warnings`, which is not safe with threads.

    Parameters
    ----------
    data
        The file.
    max_pixels
        The most pixels that it may declare.
    color
        Return RGB instead of luma.

    Returns
    -------
    Image
        The pixels, mode L or RGB.
    str
        The samples of the file, for example ``12-bit MONOCHROME2``.

    Raises
    ------
    NotConvertible
        Any reason.
    """
    from PIL import Image as Images

    with warnings.catch_warnings(action="ignore"):
        try:
            dataset = read_dataset(data, max_pixels)
            image = Images.fromarray(_show(dataset, max_pixels, color))
            samples = f"{dataset.BitsStored}-bit {read_photometric(dataset)}"
        except (NotConvertible, MemoryError):
            raise
        except Exception as error:
            is_truncated = isinstance(error, (EOFError, struct.error))
            # Never the message: it may quote the header, which may name a patient.
            problem = f"cannot be parsed ({type(error).__name__})"
            if isinstance(error, zlib.error):
                problem = "cannot be inflated"
            if isinstance(error, AttributeError) and error.name:
                problem = f"lacks {error.name}"
            raise NotConvertible(
                "truncated" if is_truncated else "unreadable", f"a DICOM file that {problem}"
            ) from error
    return image.convert("RGB") if color else image, samples


def _show(dataset: Dataset, max_pixels: int, color: bool) -> Pixels:
    """Return the pixels to show, of shape (rows, columns) or, of colour, (rows, columns, 3)."""
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames > 1:
        raise NotConvertible("animated", f"a DICOM file of {frames} frames")
    check_size(dataset.Columns, dataset.Rows, max_pixels)
    allocated, stored, high = dataset.BitsAllocated, dataset.BitsStored, dataset.get("HighBit")
    if high is None:
        high = stored - 1
    if allocated not in (1, 8, 16) or not 1 <= stored <= allocated or high != stored - 1:
        bits = f"{stored} of {allocated} bits, the highest {high}"
        raise NotConvertible("unsupported", f"a DICOM file whose samples have {bits}")
    photometric = read_photometric(dataset)
    if photometric in ("MONOCHROME1", "MONOCHROME2"):
        shape = str(dataset.get("PresentationLUTShape")).strip()
        is_dark_high = photometric == "MONOCHROME1" or shape == "INVERSE"
        return map_monochrome(dataset, read_samples(dataset, 1, max_pixels), is_dark_high)
    if photometric == "PALETTE COLOR":
        samples = read_samples(dataset, 1, max_pixels)
        lowest, highest = samples.value_range()
        rgb, brightest = read_palette(dataset, lowest, highest)
        return samples.look_up(_scale(rgb, brightest) if color else _luma(rgb, brightest), lowest)
    # The conversion from YCbCr is defined for 8 bits.
    if photometric == "RGB" or (photometric in _YBR and stored == 8):
        return _show_colour(read_samples(dataset, 3, max_pixels), color)
    raise NotConvertible("unsupported", f"a DICOM file of {photometric[:16]!a} pixels")


def _show_colour(samples: Samples, color: bool) -> Pixels:
    import numpy as np

    highest = 2**samples.bits - 1
    shown = np.empty(samples.values.shape if color else samples.values.shape[:2], np.uint8)
    for rows, strip in samples.strips():
        if not color:
            shown[rows] = _scale(strip[..., 0], highest) if samples.is_ybr else _luma(strip, highest)
        elif samples.is_ybr:
            from PIL import Image as Images

            ycbcr = Images.frombytes("YCbCr", strip.shape[1::-1], strip.astype(np.uint8).tobytes())
            shown[rows] = np.asarray(ycbcr.convert("RGB"))
        else:
            shown[rows] = _scale(strip, highest)
    return shown


def _luma(rgb: NDArray[Any], highest: int) -> Pixels:
    import numpy as np

    luma = (rgb.astype(np.uint32) @ np.asarray(_LUMA, np.uint32) + 0x8000) >> 16
    return _scale(luma, highest)


def _scale(values: NDArray[Any], highest: int) -> Pixels:
    """Return values from 0 to ``highest`` as 0 to 255."""
    import numpy as np

    scaled: Pixels = np.rint(np.minimum(values / highest, 1) * 255).astype(np.uint8)
    return scaled
