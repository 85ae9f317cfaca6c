"""Decode the stored values of a DICOM image, of any encoding."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from cxrbuild.convert import gdcm_process
from cxrbuild.convert.exclusion import NotConvertible
from cxrbuild.convert.jpeg import read_jpeg
from cxrbuild.convert.jpeg_scans import read_scans

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image
    from pydicom import Dataset

_LITTLE_ENDIAN = {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"}
_BIG_ENDIAN = "1.2.840.10008.1.2.2"
_NATIVE = {*_LITTLE_ENDIAN, _BIG_ENDIAN}
_RLE = "1.2.840.10008.1.2.5"
_JPEG = {"1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"}
_JPEG_2000 = {"1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"}
# JPEG Lossless, the same of first order, JPEG-LS lossless and near-lossless.
_LOSSLESS = {f"1.2.840.10008.1.2.4.{number}" for number in (57, 70, 80, 81)}
_JP2, _CODESTREAM = b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51"
# Start of frame of JPEG and of JPEG-LS.
_FRAME_MARKERS = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
_SCAN, _JPEG_LS_FRAME, _JPEG_2000_SIZE = 0xDA, 0xF7, 0x51
_STRIP = 1 << 20


class Samples(NamedTuple):
    """Hold decoded samples.

    Parameters
    ----------
    values
        Shape (rows, columns) or (rows, columns, 3): integers of 8 or 16 bits, the highest of which may be
        unused.
    bits
        The bits that count.
    is_signed
        Whether these are two's complement.
    is_ybr
        Whether the first of three samples is the luma already.
    """

    values: NDArray[Any]
    bits: int
    is_signed: bool
    is_ybr: bool

    def strips(self) -> Iterator[tuple[slice, NDArray[np.int32]]]:
        """Yield rows and their values as 32-bit integers, about a million pixels at a time."""
        import numpy as np

        rows = max(1, _STRIP // self.values.shape[1])
        unsigned = _as_unsigned(self.values)
        mask, sign = (1 << self.bits) - 1, 1 << (self.bits - 1)
        for start in range(0, len(unsigned), rows):
            strip = unsigned[start : start + rows].astype(np.int32) & mask
            yield slice(start, start + rows), (strip ^ sign) - sign if self.is_signed else strip

    def value_range(self) -> tuple[int, int]:
        """Return the lowest and the highest value."""
        ranges = [(int(strip.min()), int(strip.max())) for _, strip in self.strips()]
        return min(low for low, _ in ranges), max(high for _, high in ranges)

    def find_present(self, lowest: int, highest: int) -> NDArray[np.bool_]:
        """Return for each value from ``lowest`` to ``highest`` whether a sample has it."""
        import numpy as np

        present = np.zeros(highest - lowest + 1, bool)
        for _, strip in self.strips():
            present[strip - lowest] = True
        return present

    def look_up(self, table: NDArray[np.uint8], lowest: int) -> NDArray[np.uint8]:
        """Return the table's entry for each sample; the first entry is that of the value ``lowest``."""
        import numpy as np

        shown = np.empty(self.values.shape + table.shape[1:], np.uint8)
        for rows, strip in self.strips():
            shown[rows] = table[strip - lowest]
        return shown


class _Stream(NamedTuple):
    """Hold what a codestream declares of its frame, and the position of its first scan."""

    marker: int
    precision: int
    rows: int
    columns: int
    samples: int
    is_signed: bool = False
    scan: int = 0


def read_samples(dataset: Dataset, channels: int, max_pixels: int) -> Samples:
    """Decode the stored values of a single frame.

    The decoder of a transfer syntax is fixed, so that the pixels do not depend on the installed packages.
    GDCM, which can end its process, decodes in another one.

    Raises
    ------
    NotConvertible
        The samples are incomplete, damaged, contradict the header or have no decoder.
    """
    is_signed = bool(dataset.PixelRepresentation)
    if dataset.SamplesPerPixel != channels or (channels > 1 and is_signed):
        raise NotConvertible("unreadable", "a DICOM file whose samples do not fit its colour space")
    syntax, photometric = str(dataset.file_meta.TransferSyntaxUID), read_photometric(dataset)
    if syntax in _NATIVE or syntax == _RLE:
        values = _read_native(dataset, syntax, channels)
    elif syntax in (*_JPEG, *_JPEG_2000, *_LOSSLESS):
        values = _decode_frame(dataset, syntax, channels, max_pixels)
    else:
        raise NotConvertible("unsupported", f"a DICOM file compressed as {_name_syntax(dataset)}")
    if values.shape != (dataset.Rows, dataset.Columns, *([channels] if channels > 1 else [])):
        raise NotConvertible("unreadable", "a DICOM file with other pixels than its header declares")
    # The decoders of JPEG and JPEG 2000 return RGB where the codestream itself transforms colours.
    is_transformed = syntax in _JPEG or (syntax in _JPEG_2000 and photometric in ("YBR_ICT", "YBR_RCT"))
    is_ybr = photometric.startswith("YBR") and not is_transformed
    return Samples(values, dataset.BitsStored, is_signed, is_ybr)


def read_photometric(dataset: Dataset) -> str:
    """Return the Photometric Interpretation in capitals."""
    return str(dataset.PhotometricInterpretation).strip().upper()


def _read_frame(dataset: Dataset) -> bytes:
    """Return the codestream of a compressed image, without the padding after its end."""
    from pydicom.encaps import generate_frames

    frame: bytes = next(iter(generate_frames(dataset.PixelData, number_of_frames=1)), b"")
    # Fragments have an even length. OpenJPEG considers a tile part without a length to end with the data.
    end = len(frame.rstrip(b"\0"))
    if frame.startswith(_JP2):
        # Against PS3.5, A.4.4, some writers keep the boxes of a JPEG 2000 file around the codestream.
        frame, end = frame[max(0, frame.find(_CODESTREAM)) :], end - max(0, frame.find(_CODESTREAM))
    return frame[:end] if frame[end - 2 : end] == b"\xff\xd9" else frame


def _name_syntax(dataset: Dataset) -> str:
    uid = dataset.file_meta.TransferSyntaxUID
    return uid.name if uid.name != str(uid) else "an unknown transfer syntax"


def _read_native(dataset: Dataset, syntax: str, channels: int) -> NDArray[Any]:
    """Read uncompressed or run-length encoded samples."""
    import numpy as np
    from pydicom.pixels.utils import get_expected_length, pixel_array

    allocated = dataset.BitsAllocated
    if syntax in _NATIVE:
        expected, found = get_expected_length(dataset), len(dataset.PixelData)
        if found < expected:
            raise NotConvertible("truncated", f"a DICOM file with {found:,} of {expected:,} bytes of pixels")
    is_subsampled = read_photometric(dataset) == "YBR_FULL_422"
    if syntax in _LITTLE_ENDIAN and allocated > 1 and not is_subsampled:
        # A view without a copy, since an image may be of hundreds of megabytes.
        size = dataset.Rows * dataset.Columns
        values = np.frombuffer(dataset.PixelData, f"<u{allocated // 8}", size * channels)
        if channels == 1:
            return values.reshape(dataset.Rows, dataset.Columns)
        if dataset.PlanarConfiguration:
            return np.moveaxis(values.reshape(channels, dataset.Rows, dataset.Columns), 0, -1)
        return values.reshape(dataset.Rows, dataset.Columns, channels)
    try:
        return pixel_array(dataset, index=0, raw=True, decoding_plugin="pydicom" if syntax == _RLE else "")
    except MemoryError:
        raise
    except Exception as error:
        raise _damaged(str(error)) from error


def _decode_frame(dataset: Dataset, syntax: str, channels: int, max_pixels: int) -> NDArray[Any]:
    """Decode JPEG, JPEG 2000 or JPEG-LS."""
    frame = _read_frame(dataset)
    try:
        stream = _read_size(frame)
    except (struct.error, IndexError) as error:
        raise NotConvertible("truncated", "a DICOM file whose frame ends within its header") from error
    if stream is None:
        raise NotConvertible("unreadable", f"a DICOM file whose frame is not {_name_syntax(dataset)}")
    if stream.precision > dataset.BitsAllocated or stream[2:5] != (dataset.Rows, dataset.Columns, channels):
        raise NotConvertible("unreadable", "a DICOM file with other pixels than its header declares")
    if syntax in _JPEG and stream.precision == 8:
        values = _decode_jpeg(dataset, frame, channels, max_pixels)
    elif syntax in _JPEG_2000 and (channels == 1 or stream.precision <= 8):
        values = _decode_jpeg_2000(dataset, frame, stream)
    else:
        values = _decode_by_gdcm(dataset, frame, syntax, stream)
    beyond = _as_unsigned(values) >> dataset.BitsStored
    if not dataset.PixelRepresentation and beyond.any():
        raise NotConvertible("unreadable", "a DICOM file with samples of more bits than its header declares")
    return values


def _read_size(frame: bytes) -> _Stream | None:
    """Read the size from a codestream's header (T.81, B.2.2; T.87, C.2.2; T.800, A.5.1)."""
    if frame[:4] == _CODESTREAM:
        right, bottom, left, top = struct.unpack_from(">IIII", frame, 8)
        (samples,), depth = struct.unpack_from(">H", frame, 40), frame[42]
        precision, is_signed = (depth & 0x7F) + 1, bool(depth & 0x80)
        return _Stream(_JPEG_2000_SIZE, precision, bottom - top, right - left, samples, is_signed)
    if frame[:2] != b"\xff\xd8":
        return None
    stream, position = None, 2
    while frame[position] == 0xFF and frame[position + 1] != _SCAN:
        marker = frame[position + 1]
        if marker == 0xFF:
            position += 1
            continue
        if marker in _FRAME_MARKERS:
            precision, rows, columns, samples = struct.unpack_from(">BHHB", frame, position + 4)
            stream = _Stream(marker, precision, rows, columns, samples)
        position += 2 + int.from_bytes(frame[position + 2 : position + 4])
    return None if stream is None else stream._replace(scan=position)


def _decode_jpeg(dataset: Dataset, frame: bytes, channels: int, max_pixels: int) -> NDArray[Any]:
    """Decode 8-bit JPEG to grey or RGB."""
    import numpy as np
    from pydicom.pixels.utils import pixel_array

    # The codestream may not declare that its colours are RGB; the header does.
    if channels == 1 or read_photometric(dataset) != "RGB":
        image, _ = read_jpeg(frame, max_pixels, color=channels > 1, orient=False)
        return np.asarray(image)
    try:
        return pixel_array(dataset, index=0, decoding_plugin="pillow")
    except MemoryError:
        raise
    except Exception as error:
        raise _damaged(str(error)) from error


def _decode_jpeg_2000(dataset: Dataset, frame: bytes, stream: _Stream) -> NDArray[Any]:
    """Decode JPEG 2000 to the bit patterns that the header's Pixel Representation reads."""
    import numpy as np

    pixels = np.asarray(_open_jpeg_2000(frame))
    if pixels.dtype not in (np.uint8, np.uint16):
        raise NotConvertible("unsupported", f"a DICOM file of {stream.precision}-bit JPEG 2000")
    # Pillow fills 8 or 16 bits, and adds half the range to signed samples.
    values = pixels >> (8 * pixels.itemsize - stream.precision)
    if not stream.is_signed:
        return values
    half = 1 << (stream.precision - 1)
    if dataset.PixelRepresentation:
        return (values.astype(np.int32) - half).astype(f"i{values.itemsize}")
    return np.asarray(values ^ values.dtype.type(half))


def _open_jpeg_2000(frame: bytes) -> Image:
    from io import BytesIO

    from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile

    try:
        image = Jpeg2KImageFile(BytesIO(frame))
        image.load()
    except MemoryError:
        raise
    except Exception as error:
        raise _damaged(str(error)) from error
    return image


def _decode_by_gdcm(dataset: Dataset, frame: bytes, syntax: str, stream: _Stream) -> NDArray[Any]:
    import numpy as np

    if not gdcm_process.is_available():
        raise NotConvertible("no_decoder", f"a DICOM file compressed as {_name_syntax(dataset)}")
    allocated = 8 if stream.precision <= 8 else 16
    forms = [frame]
    if stream.marker not in (_JPEG_LS_FRAME, _JPEG_2000_SIZE):
        scans = read_scans(frame, stream.scan, channels=stream.samples, is_progressive=False)
        forms = [frame[: stream.scan] + form for form in scans if form is not None]
    decoded = []
    for form in forms:
        request = gdcm_process.Frame(form, syntax, stream.rows, stream.columns, stream.samples, allocated)
        try:
            decoded.append(gdcm_process.decode_frame(request))
        except gdcm_process.DecoderDiedError as error:
            raise _damaged(f"its frame of {_name_syntax(dataset)}: {error}") from error
    if decoded[0] != decoded[-1]:
        raise NotConvertible("truncated", "a DICOM file; a scan of its frame ends before it is complete")
    values = np.frombuffer(decoded[0], f"<u{allocated // 8}")
    shape = (stream.rows, stream.columns, *([stream.samples] if stream.samples > 1 else []))
    if values.size != np.prod(shape):
        raise NotConvertible("unreadable", "a DICOM file with other pixels than its header declares")
    return values.reshape(shape)


def _as_unsigned(values: NDArray[Any]) -> NDArray[Any]:
    """Return the bit patterns of integers."""
    return values.view(values.dtype.str.replace("i", "u"))


def _damaged(message: str) -> NotConvertible:
    """Return the exclusion of a frame that a decoder refuses."""
    problem = " ".join(message.split())[-200:]
    is_truncated = "truncated" in problem.lower()
    return NotConvertible("truncated" if is_truncated else "unreadable", f"a DICOM file; {problem}")
