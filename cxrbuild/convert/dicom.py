"""The luma of a DICOM image."""

from __future__ import annotations

import struct
import warnings
import zlib
from io import BytesIO
from typing import TYPE_CHECKING, Any

from cxrbuild.convert.exclusion import NotConvertible, check_size

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image
    from pydicom import Dataset

    Levels = NDArray[np.float64]
    Gray = NDArray[np.uint8]

_DEFLATED = b"1.2.840.10008.1.2.1.99"
_INFLATED_AT_ONCE = 1 << 20
# A header may be this large beside the pixels.
_LARGEST_HEADER = 64 << 20
_NATIVE = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"}
_RLE = "1.2.840.10008.1.2.5"
_JPEG_BASELINE, _JPEG_EXTENDED = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"
_JPEG_2000 = {"1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"}
# JPEG Lossless, the same of first order, JPEG-LS lossless and near-lossless.
_LOSSLESS = {f"1.2.840.10008.1.2.4.{number}" for number in (57, 70, 80, 81)}
_YBR = {"YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT"}
# ITU-R 601 in 16-bit fixed point, as Pillow and libjpeg have it.
_LUMA = (19595, 38470, 7471)


def is_dicom(data: bytes) -> bool:
    """Say whether a file bears DICOM's mark behind its preamble (PS3.10, 7.1)."""
    return data[128:132] == b"DICM"


def read_dicom(data: bytes, max_pixels: int) -> tuple[Image, str]:
    """Decode a DICOM image to the gray that its header asks to be shown, mode L.

    Stored values go through the modality LUT or rescale (PS3.3, C.11.1) and the first VOI LUT or, where
    there is none, the first window (C.11.2), whose output range becomes 0 to 255. Without one, and with a
    window that the standard forbids, it is the range of the values present, padding left out.
    MONOCHROME1 and the presentation LUT shape INVERSE both say that low values are bright; they go
    together (C.8.11.1) and invert once. Padding (C.7.5.1.1.2) is black. Colour becomes luma over the
    range of its bits. Overlays are not drawn, presentation states and functional groups not read.

    Warnings of pydicom are silenced by `warnings.catch_warnings`, which is not made for threads.

    Returns
    -------
    Image
        The gray.
    str
        The samples of the file, as ``12-bit MONOCHROME2``.

    Raises
    ------
    NotConvertible
        Any reason.
    """
    from PIL import Image as Images

    with warnings.catch_warnings(action="ignore"):
        try:
            _check_inflated(data, max_pixels)
            dataset = _dataset(data)
            gray = Images.fromarray(_gray(dataset, max_pixels))
            return gray, f"{dataset.BitsStored}-bit {str(dataset.PhotometricInterpretation).strip().upper()}"
        except (NotConvertible, MemoryError):
            raise
        except Exception as error:
            cut = isinstance(error, (EOFError, struct.error))
            # Never the message, which may quote the header, which may name a patient.
            fault = f"cannot be parsed ({type(error).__name__})"
            if isinstance(error, AttributeError) and error.name:
                fault = f"lacks {error.name}"
            raise NotConvertible(
                "truncated" if cut else "unreadable", f"a DICOM file that {fault}"
            ) from error


def _check_inflated(data: bytes, max_pixels: int) -> None:
    """Refuse a deflated file that swells beyond any picture, which pydicom would inflate at once."""
    if _DEFLATED not in data[:2048]:
        return
    # The file meta group begins with its length, and is never deflated itself.
    (length,) = struct.unpack_from("<I", data, 140)
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    rest, size = data[144 + length :], 0
    while rest:
        size += len(inflate.decompress(rest, _INFLATED_AT_ONCE))
        rest = inflate.unconsumed_tail
        # Three samples of 16 bits are the most that a pixel has.
        if size > 6 * max_pixels + _LARGEST_HEADER:
            raise NotConvertible("too_large", f"a deflated DICOM file of more than {size:,} bytes")
    if not inflate.eof:
        raise NotConvertible("truncated", f"a deflated DICOM file, of which {size:,} bytes are there")


def _dataset(data: bytes) -> Dataset:
    from pydicom import dcmread

    dataset = dcmread(BytesIO(data))
    if "PixelData" not in dataset:
        if "Rows" in dataset and "FloatPixelData" not in dataset and "DoubleFloatPixelData" not in dataset:
            raise NotConvertible("truncated", "a DICOM header of a picture, without the picture")
        raise NotConvertible("no_pixels", "a DICOM file without Pixel Data")
    return dataset


def _gray(dataset: Dataset, max_pixels: int) -> Gray:
    """Return what is to be seen, of shape (rows, columns)."""
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames > 1:
        raise NotConvertible("animated", f"a DICOM file of {frames} frames")
    check_size(dataset.Columns, dataset.Rows, max_pixels)
    allocated, stored = dataset.BitsAllocated, dataset.BitsStored
    high = dataset.get("HighBit", stored - 1)
    if allocated not in (1, 8, 16) or not 1 <= stored <= allocated or high != stored - 1:
        bits = f"{stored} of {allocated} bits, the highest {high}"
        raise NotConvertible("unsupported", f"a DICOM file whose samples have {bits}")
    photometric = str(dataset.PhotometricInterpretation).strip().upper()
    if photometric in ("MONOCHROME1", "MONOCHROME2"):
        is_dark_high = (
            photometric == "MONOCHROME1" or str(dataset.get("PresentationLUTShape")).strip() == "INVERSE"
        )
        return _monochrome(dataset, _samples(dataset, 1), is_dark_high)
    if photometric == "PALETTE COLOR":
        return _palette(dataset, _samples(dataset, 1))
    # pydicom turns YCbCr into RGB as 8-bit values, whatever the depth.
    if photometric == "RGB" or (photometric in _YBR and stored == 8):
        return _luma(_samples(dataset, 3), 2**stored - 1)
    raise NotConvertible("unsupported", f"a DICOM file of {photometric[:16]!a} pixels")


def _samples(dataset: Dataset, channels: int) -> NDArray[Any]:
    """Decode the stored values, of shape (rows, columns) or (rows, columns, 3)."""
    from pydicom.pixels.decoders.base import get_decoder
    from pydicom.pixels.utils import get_expected_length, pixel_array

    if dataset.SamplesPerPixel != channels or (channels > 1 and dataset.PixelRepresentation):
        raise NotConvertible("unreadable", "a DICOM file whose samples do not fit its colour space")
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax in _NATIVE:
        expected, there = get_expected_length(dataset), len(dataset.PixelData)
        if there < expected:
            raise NotConvertible("truncated", f"a DICOM file with {there:,} of {expected:,} bytes of pixels")
    plugin = _plugin(dataset)
    if plugin and plugin not in get_decoder(syntax).available_plugins:
        raise NotConvertible("no_decoder", f"a DICOM file compressed as {syntax.name}")
    try:
        samples = pixel_array(dataset, index=0, decoding_plugin=plugin)
    except MemoryError:
        raise
    except Exception as error:
        fault = " ".join(str(error).split())[-200:]
        is_cut = "truncated" in fault.lower()
        raise NotConvertible("truncated" if is_cut else "unreadable", f"a DICOM file; {fault}") from error
    if samples.shape != (dataset.Rows, dataset.Columns, *([channels] if channels > 1 else [])):
        raise NotConvertible("unreadable", "a DICOM file whose pixels are not as many as its header says")
    return samples


def _plugin(dataset: Dataset) -> str:
    """Name the one decoder that is used, so that the pixels do not depend on what else is installed."""
    syntax, bits = dataset.file_meta.TransferSyntaxUID, dataset.BitsStored
    if syntax in _NATIVE:
        return ""
    if syntax == _RLE:
        return "pydicom"
    # Neither Pillow nor GDCM decodes 12-bit JPEG, nor Pillow JPEG 2000 of colour beyond 8 bits.
    if syntax == _JPEG_BASELINE or (syntax == _JPEG_EXTENDED and bits == 8):
        return "pillow"
    if syntax in _JPEG_2000 and (dataset.SamplesPerPixel == 1 or bits <= 8):
        return "pillow"
    if syntax in _LOSSLESS or syntax in _JPEG_2000:
        return "gdcm"
    raise NotConvertible("unsupported", f"a DICOM file of {bits} bits compressed as {syntax.name}")


def _monochrome(dataset: Dataset, samples: NDArray[Any], is_dark_high: bool) -> Gray:
    import numpy as np

    # All that happens to a sample depends on its value alone, so it happens once for each value.
    lowest = int(samples.min())
    values = np.arange(lowest, int(samples.max()) + 1)
    index = samples.astype(np.intp) - lowest
    padding = _is_padding(dataset, values)
    present = np.zeros(values.shape, bool)
    present[index] = True
    present &= ~padding
    shown = _windowed(dataset, _modality(dataset, values), present)
    if is_dark_high:
        shown = 1 - shown
    shown[padding] = 0
    if not np.isfinite(shown).all():
        raise NotConvertible("unreadable", "a DICOM file whose rescale or window is no number")
    gray: Gray = np.rint(shown * 255).astype(np.uint8)
    return gray[index]


def _is_padding(dataset: Dataset, values: NDArray[np.int_]) -> NDArray[np.bool_]:
    import numpy as np

    if dataset.get("PixelPaddingValue") is None:
        return np.zeros(values.shape, bool)
    bits = dataset.BitsStored
    limits = []
    for value in (dataset.PixelPaddingValue, dataset.get("PixelPaddingRangeLimit")):
        if value is not None:
            # Writers mix signed and unsigned here; what counts is the pattern of bits.
            pattern = int(value) & (2**bits - 1)
            is_negative = dataset.PixelRepresentation and pattern >= 2 ** (bits - 1)
            limits.append(pattern - 2**bits if is_negative else pattern)
    is_padding: NDArray[np.bool_] = (values >= min(limits)) & (values <= max(limits))
    return is_padding


def _modality(dataset: Dataset, values: NDArray[np.int_]) -> Levels:
    """Apply the modality LUT, or the rescale."""
    import numpy as np

    if dataset.get("ModalityLUTSequence"):
        item = dataset.ModalityLUTSequence[0]
        return _looked_up(dataset, values, item.LUTDescriptor, item["LUTData"])
    slope, intercept = dataset.get("RescaleSlope"), dataset.get("RescaleIntercept")
    if slope is not None and not float(slope):
        raise NotConvertible("unreadable", "a DICOM file with a Rescale Slope of 0")
    return values.astype(np.float64) * float(1 if slope is None else slope) + float(intercept or 0)


def _windowed(dataset: Dataset, values: Levels, present: NDArray[np.bool_]) -> Levels:
    """Apply the VOI LUT, the window or the full range, its output range taken as 0 to 1."""
    import numpy as np

    if dataset.get("VOILUTSequence"):
        item = dataset.VOILUTSequence[0]
        looked_up = _looked_up(dataset, np.rint(values), item.LUTDescriptor, item["LUTData"])
        highest: int = 2 ** int(item.LUTDescriptor[2]) - 1
        return np.minimum(looked_up / highest, 1)
    function = str(dataset.get("VOILUTFunction") or "LINEAR").strip().upper()
    if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        raise NotConvertible("unsupported", f"a DICOM file with the VOI LUT function {function[:16]!a}")
    centre, width = _first(dataset.get("WindowCenter")), _first(dataset.get("WindowWidth"))
    if centre is None or width is None or width <= 0 or (function == "LINEAR" and width < 1):
        low, high = (values[present].min(), values[present].max()) if present.any() else (0, 0)
        return np.clip((values - low) / ((high - low) or 1), 0, 1)
    if function == "SIGMOID":
        # Beyond this the result is 0 or 1 to the last bit, and exp would overflow.
        shown: Levels = 1 / (1 + np.exp(np.clip(-4 * (values - centre) / width, -700, 700)))
        return shown
    if function == "LINEAR":
        centre, width = centre - 0.5, width - 1
    if width == 0:
        return (values > centre).astype(np.float64)
    return np.clip((values - centre) / width + 0.5, 0, 1)


def _first(value: Any) -> float | None:
    from pydicom.multival import MultiValue

    if isinstance(value, MultiValue):
        value = value[0] if value else None
    return None if value in (None, "") else float(value)


def _looked_up(dataset: Dataset, values: NDArray[Any], descriptor: Any, element: Any) -> Levels:
    """Look values up in a LUT (PS3.3, C.11.1.1.1 and C.7.6.3.1.5)."""
    import numpy as np

    # pydicom's own look-ups wrap around where a table of 8 bits has more than 256 entries, and where
    # values and first entry are far apart.
    entries, first, _ = (int(number) for number in descriptor)
    entries = entries or 2**16
    if isinstance(element.value, bytes):
        order = "<" if dataset.file_meta.TransferSyntaxUID.is_little_endian else ">"
        words = np.frombuffer(element.value[: len(element.value) // 2 * 2], f"{order}u2")
    else:
        words = np.atleast_1d(np.asarray(element.value, np.uint16))
    # Whether entries have 8 or 16 bits shows in the length alone, says C.11.1.1.1.
    is_wide = len(words) >= entries
    table: Levels = (words if is_wide else words.astype("<u2").view(np.uint8)).astype(np.float64)
    if len(table) < entries:
        raise NotConvertible("unreadable", f"a DICOM file with {len(table)} of {entries} entries of a LUT")
    found: Levels = table[np.clip(values - first, 0, entries - 1).astype(np.intp)]
    return found


def _palette(dataset: Dataset, samples: NDArray[Any]) -> Gray:
    import numpy as np

    if "RedPaletteColorLookupTableData" not in dataset:
        raise NotConvertible("unsupported", "a DICOM file with a segmented palette")
    values = np.arange(int(samples.min()), int(samples.max()) + 1)
    channels = []
    for colour in ("Red", "Green", "Blue"):
        descriptor = dataset[f"{colour}PaletteColorLookupTableDescriptor"].value
        table = dataset[f"{colour}PaletteColorLookupTableData"]
        channels.append(_looked_up(dataset, values, descriptor, table))
    highest: int = 2 ** int(descriptor[2]) - 1
    gray = _luma(np.stack(channels, axis=-1), highest)
    shown: Gray = gray[samples.astype(np.intp) - values[0]]
    return shown


def _luma(rgb: NDArray[Any], highest: int) -> Gray:
    import numpy as np

    luma = (rgb.astype(np.uint32) @ np.asarray(_LUMA, np.uint32) + 0x8000) >> 16
    gray: Gray = np.rint(np.minimum(luma / highest, 1) * 255).astype(np.uint8)
    return gray
