"""Read the data set of a DICOM file, with a preamble or without one."""

from __future__ import annotations

import zlib
from io import BytesIO
from typing import TYPE_CHECKING

from cxrbuild.convert.exclusion import NotConvertible
from cxrbuild.image_files import read_file_meta

if TYPE_CHECKING:
    from pydicom import Dataset

_DEFLATED = b"1.2.840.10008.1.2.1.99"
_INFLATED_AT_ONCE = 1 << 20
# The most bytes of a header next to the pixels.
_LARGEST_HEADER = 64 << 20


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
    """Exclude a deflated file that inflates beyond any image: pydicom inflates it at once."""
    syntax, start = read_file_meta(data)
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
