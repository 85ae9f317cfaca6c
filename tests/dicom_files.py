"""Small DICOM files for the tests of conversion, and the formulas of PS3.3, C.11, for what they show."""

from __future__ import annotations

import io
import typing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread, dcmwrite
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLosslessSV1,
    RLELossless,
)

from cxrbuild.convert import NotConvertible, Reason, Settings, to_jpeg

# At 100 the JPEG is true to a level or two, which leaves the formulas visible.
CONVERSION = Settings(100, 100_000_000)
ROWS, COLUMNS = 16, 64
TOLERANCE = 2
NAME = "Doe^Jane"


SYNTAXES = {
    "implicit": ImplicitVRLittleEndian,
    "explicit": ExplicitVRLittleEndian,
    "big endian": ExplicitVRBigEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
    "rle": RLELossless,
}


def ramp(low: int, high: int) -> np.ndarray:
    """Return every step from low to high, evenly, of shape (rows, columns)."""
    return np.rint(np.linspace(low, high, ROWS * COLUMNS)).astype(np.int64).reshape(COLUMNS, ROWS).T


def dicom(
    values: np.ndarray,
    syntax: UID = ExplicitVRLittleEndian,
    frame: bytes | None = None,
    bits: int = 12,
    allocated: int = 16,
    signed: bool = False,
    **header: typing.Any,
) -> bytes:
    """Write a DICOM image of stored values, or of one compressed frame."""
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.SOPClassUID = DigitalXRayImageStorageForPresentation
    dataset.SOPInstanceUID = "1.2.3.4"
    dataset.PatientName = NAME
    dataset.Rows, dataset.Columns = values.shape[:2]
    dataset.SamplesPerPixel = 1 if values.ndim == 2 else 3
    if values.ndim == 3:
        dataset.PlanarConfiguration = 0
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = allocated, bits, bits - 1
    dataset.PixelRepresentation = int(signed)
    for keyword, value in header.items():
        setattr(dataset, keyword, value)
    cells = values.astype(f"{order}{'i' if signed else 'u'}{allocated // 8}").tobytes()
    if syntax == RLELossless:
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.PixelData = cells
        dataset.compress(RLELossless, generate_instance_uid=False, encoding_plugin="pydicom")
    else:
        dataset.PixelData = cells if frame is None else encapsulate([frame])
    dataset["PixelData"].VR = "OB" if allocated == 8 or syntax.is_compressed else "OW"
    stream = io.BytesIO()
    dcmwrite(stream, dataset, enforce_file_format=True)
    return stream.getvalue()


def gray(data: bytes) -> np.ndarray:
    jpeg = to_jpeg(data, CONVERSION)
    assert jpeg.conversion == "encoded"
    assert NAME.encode() not in jpeg.data
    assert b"Exif" not in jpeg.data
    with Image.open(io.BytesIO(jpeg.data)) as image:
        assert (image.mode, image.size) == ("L", (jpeg.width, jpeg.height))
        return np.asarray(image).astype(float)


def excluded(data: bytes, reason: Reason, settings: Settings = CONVERSION) -> str:
    with pytest.raises(NotConvertible) as caught:
        to_jpeg(data, settings)
    assert caught.value.reason == reason
    assert NAME not in str(caught.value)
    return caught.value.found


def assert_shows(
    data: bytes, values: np.ndarray, show: typing.Callable[[float], float], tolerance: float = TOLERANCE
) -> None:
    found, expected = gray(data), np.vectorize(show, otypes=[float])(values) * 255
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= tolerance


def linear(centre: float, width: float) -> typing.Callable[[float], float]:
    """Return C.11.2.1.2.1 with an output range of 0 to 1, as the standard writes it."""

    def show(x: float) -> float:
        if x <= centre - 0.5 - (width - 1) / 2:
            return 0
        if x > centre - 0.5 + (width - 1) / 2:
            return 1
        return (x - (centre - 0.5)) / (width - 1) + 0.5

    return show


def full(low: float, high: float) -> typing.Callable[[float], float]:
    return lambda x: (x - low) / (high - low)


def frame(image: Image.Image, form: str, **options: typing.Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


COLOUR = np.stack([ramp(0, 255), ramp(255, 0), ramp(60, 200)], axis=-1)


def luma(rgb: np.ndarray) -> np.ndarray:
    return rgb[..., :3] @ np.array([0.299, 0.587, 0.114])


def palette(entries: int, first: int, bits: int) -> dict[str, typing.Any]:
    header: dict[str, typing.Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for number, name in enumerate(("Red", "Green", "Blue")):
        table = np.linspace(0, 2**bits - 1, entries) if number < 2 else np.linspace(2**bits - 1, 0, entries)
        header[f"{name}PaletteColorLookupTableDescriptor"] = [entries, first, bits]
        header[f"{name}PaletteColorLookupTableData"] = np.rint(table).astype(f"<u{bits // 8}").tobytes()
    return header


def lut(table: np.ndarray, first: int, bits: int, packed: bool = False) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(table) % 65_536, first, bits])
    item.add_new("LUTData", "OW", table.astype("u1" if packed else "<u2").tobytes())
    return item


def without(data: bytes, *keywords: str) -> bytes:
    dataset = dcmread(io.BytesIO(data))
    for keyword in keywords:
        delattr(dataset, keyword)
    stream = io.BytesIO()
    dataset.save_as(stream)
    return stream.getvalue()


def has_gdcm() -> bool:
    from pydicom.pixels import get_decoder

    return "gdcm" in get_decoder(JPEGLosslessSV1).available_plugins


def get_testdata(name: str) -> bytes:
    path = get_testdata_file(name, download=False)
    assert isinstance(path, str)
    return Path(path).read_bytes()
