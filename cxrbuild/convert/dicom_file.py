"""Read the data set of a DICOM file, with a preamble or without one."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from typing import TYPE_CHECKING

from cxrbuild.convert.exclusion import NotConvertible

if TYPE_CHECKING:
    from pydicom import Dataset

_DEFLATED = b"1.2.840.10008.1.2.1.99"
_INFLATED_AT_ONCE = 1 << 20
# The most bytes of a header next to the pixels.
_LARGEST_HEADER = 64 << 20
_LONG_VRS = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
# Data sets begin with the group's length, the character set, the image type or a UID.
_LAST_FIRST_ELEMENT, _LONGEST_FIRST_VALUE = 0x0100, 256
_FIRST_VRS = {b"UI", b"UL", b"CS", b"DA", b"LO", b"OB", b"SH", b"SQ"}


def is_dicom(data: bytes) -> bool:
    """Return whether a file is DICOM: by the mark after its preamble (PS3.10, 7.1), or by its first element.

    Old and exported files may lack the preamble: they begin with an element of group 0002 or 0008.
    """
    if data[128:132] == b"DICM":
        return True
    if len(data) < 16:
        return False
    for order in "<>":
        group, element, length = struct.unpack_from(f"{order}HHI", data)
        if group in (0x0002, 0x0008) and element <= _LAST_FIRST_ELEMENT:
            is_explicit = data[4:6] in _FIRST_VRS
            return is_explicit or (order == "<" and length <= min(_LONGEST_FIRST_VALUE, len(data)))
    return False


def read_dataset(data: bytes, max_pixels: int) -> Dataset:
    """Read a DICOM file with Pixel Data.

    Raises
    ------
    NotConvertible
        The file holds no Pixel Data, or more than ``max_pixels`` allow.
    Exception
        pydicom cannot parse the file.
    """
    from pydicom import dcmread
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    _check_inflated(data, max_pixels)
    dataset = dcmread(BytesIO(data), force=True)
    if "TransferSyntaxUID" not in getattr(dataset, "file_meta", {}):
        # Without the file meta information, only the native encodings are possible (PS3.10, 7.1).
        is_implicit, is_little = dataset.original_encoding
        native = ExplicitVRLittleEndian if is_little else ExplicitVRBigEndian
        if not hasattr(dataset, "file_meta"):
            dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if is_implicit else native
    if "PixelData" not in dataset:
        if "Rows" in dataset and "FloatPixelData" not in dataset and "DoubleFloatPixelData" not in dataset:
            raise NotConvertible("truncated", "a DICOM header of an image, without the image")
        raise NotConvertible("no_pixels", "a DICOM file without Pixel Data")
    return dataset


def _check_inflated(data: bytes, max_pixels: int) -> None:
    """Exclude a deflated file that inflates beyond any image: pydicom inflates it in one piece."""
    syntax, start = _read_file_meta(data)
    if syntax != _DEFLATED:
        return
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    rest, size = data[start:], 0
    while rest:
        size += len(inflate.decompress(rest, _INFLATED_AT_ONCE))
        rest = inflate.unconsumed_tail
        # A pixel has three samples of 16 bits at most.
        if size > 6 * max_pixels + _LARGEST_HEADER:
            raise NotConvertible("too_large", f"a deflated DICOM file of more than {size:,} bytes")
    if not inflate.eof:
        raise NotConvertible("truncated", f"a deflated DICOM file that ends after {size:,} bytes")


def _read_file_meta(data: bytes) -> tuple[bytes, int]:
    """Return the transfer syntax and where the data set begins.

    The group's length may be wrong or missing: its elements decide, as in pydicom.
    """
    position, syntax = 132 if data[128:132] == b"DICM" else 0, b""
    while data[position : position + 2] == b"\x02\0" and position + 12 <= len(data):
        (element,) = struct.unpack_from("<H", data, position + 2)
        if data[position + 4 : position + 6] in _LONG_VRS:
            (length,), position = struct.unpack_from("<I", data, position + 8), position + 12
        else:
            (length,), position = struct.unpack_from("<H", data, position + 6), position + 8
        if element == 0x0010:
            syntax = data[position : position + length].strip(b" \0")
        position += length
    return syntax, position
