"""DICOM files that are excluded, by reason."""

from __future__ import annotations

import typing
import zlib

import numpy as np
import pytest
from dicom_files import (
    COLUMNS,
    CONVERSION,
    ROWS,
    dicom,
    excluded,
    get_testdata,
    gray,
    has_gdcm,
    ramp,
    without,
)
from pydicom.uid import HTJ2K, DeflatedExplicitVRLittleEndian

from cxrbuild.convert import NotConvertible, Reason, Settings, to_jpeg

RAMP = ramp(0, 4095)


@pytest.mark.parametrize(
    ("header", "reason", "found"),
    [
        ({"NumberOfFrames": 2}, "animated", "a DICOM file of 2 frames"),
        ({"BitsAllocated": 32}, "unsupported", "12 of 32 bits"),
        ({"HighBit": 15}, "unsupported", "12 of 16 bits, the highest 15"),
        ({"BitsStored": 0}, "unsupported", "0 of 16 bits"),
        ({"PhotometricInterpretation": "HSV"}, "unsupported", "'HSV'"),
        ({"PhotometricInterpretation": "RGB"}, "unreadable", "colour space"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "unsupported", "segmented palette"),
        ({"VOILUTFunction": "CUBIC"}, "unsupported", "'CUBIC'"),
        ({"RescaleSlope": 0}, "unreadable", "Rescale Slope of 0"),
        ({"Rows": 0}, "unreadable", "64 x 0 pixels"),
        ({"Rows": 17}, "truncated", "2,048 of 2,176 bytes"),
        ({"Rows": 60_000, "Columns": 60_000}, "too_large", "60000 x 60000 pixels"),
    ],
)
def test_excluded_headers(header: dict[str, typing.Any], reason: Reason, found: str) -> None:
    assert found in excluded(dicom(RAMP, **header), reason)


def test_missing_elements_are_named() -> None:
    data = dicom(RAMP)
    assert "without Pixel Data" in excluded(without(data, "PixelData", "Rows"), "no_pixels")
    assert "without the image" in excluded(without(data, "PixelData"), "truncated")
    assert excluded(without(data, "BitsStored"), "unreadable") == "a DICOM file that lacks BitsStored"


def test_max_pixels() -> None:
    size = ROWS * COLUMNS
    assert to_jpeg(dicom(RAMP), Settings(100, size)).width == COLUMNS
    excluded(dicom(RAMP), "too_large", Settings(100, size - 1))


def test_deflated_bomb() -> None:
    data = dicom(RAMP, DeflatedExplicitVRLittleEndian)
    start = 144 + int.from_bytes(data[140:144], "little")
    bomb = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = data[:start] + bomb.compress(bytes(100 << 20)) + bomb.flush()
    assert "more than" in excluded(data, "too_large", Settings(95, 1_000_000))


def test_unknown_compression() -> None:
    assert "High-Throughput JPEG 2000" in excluded(dicom(RAMP, HTJ2K, b"\0\0"), "unsupported")


@pytest.mark.skipif(has_gdcm(), reason="the extra `dicom` is installed")
def test_missing_decoder_names_the_extra() -> None:
    data = get_testdata("MR_small_jpeg_ls_lossless.dcm")
    with pytest.raises(NotConvertible, match=r"pip install 'cxrbuild\[dicom\]'.* compressed as JPEG-LS"):
        to_jpeg(data, CONVERSION)


@pytest.mark.skipif(not has_gdcm(), reason="needs the extra `dicom`")
@pytest.mark.parametrize(
    ("name", "same", "tolerance"),
    [
        ("MR_small_jpeg_ls_lossless.dcm", "MR_small.dcm", 0),
        ("SC_rgb_jpeg_gdcm.dcm", "SC_rgb_gdcm_KY.dcm", 0),
    ],
)
def test_extra_decoders(name: str, same: str, tolerance: float) -> None:
    assert np.abs(gray(get_testdata(name)) - gray(get_testdata(same))).max() <= tolerance


@pytest.mark.parametrize("length", [2, 5000])
def test_deflated_bomb_after_a_long_file_meta_group(length: int) -> None:
    data = dicom(RAMP, DeflatedExplicitVRLittleEndian)
    start = 144 + int.from_bytes(data[140:144], "little")
    version = data.index(b"\x02\0\x01\0OB")
    meta = data[version + 14 : start]
    meta = data[version : version + 8] + length.to_bytes(4, "little") + bytes(length) + meta
    bomb = zlib.compressobj(9, zlib.DEFLATED, -15)
    deflated = bomb.compress(bytes(100 << 20)) + bomb.flush()
    data = data[:140] + len(meta).to_bytes(4, "little") + meta + deflated
    assert "more than" in excluded(data, "too_large", Settings(95, 1_000_000))
