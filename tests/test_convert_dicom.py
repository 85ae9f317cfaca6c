"""Encodings of DICOM images, files of other writers, and damaged files."""

from __future__ import annotations

import io
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from dicom_files import (
    COLOUR,
    COLUMNS,
    CONVERSION,
    ROWS,
    TOLERANCE,
    assert_shows,
    dicom,
    excluded,
    frame,
    full,
    get_testdata,
    gray,
    luma,
    palette,
    ramp,
)
from PIL import Image
from pydicom import config, dcmread
from pydicom.pixels import apply_color_lut
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    RLELossless,
)
from systems import needs_limits

from cxrbuild.convert import NotConvertible, Reason, Settings, read_image, to_jpeg


@pytest.mark.parametrize(
    "syntax",
    [
        ImplicitVRLittleEndian,
        ExplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
        RLELossless,
    ],
)
@pytest.mark.parametrize("signed", [False, True])
def test_lossless_encodings(syntax: UID, signed: bool) -> None:
    values = ramp(-1000, 1500) if signed else ramp(100, 4000)
    assert_shows(dicom(values, syntax, signed=signed), values, full(values.min(), values.max()))


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless])
def test_eight_bits(syntax: UID) -> None:
    values = ramp(20, 220)
    assert_shows(dicom(values, syntax, bits=8, allocated=8), values, full(20, 220))


def test_one_bit() -> None:
    values = np.repeat([[0, 1]], 32, axis=1).repeat(16, axis=0)
    data = dicom(values, bits=8, allocated=8)
    dataset = dcmread(io.BytesIO(data))
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 1, 1, 0
    dataset.PixelData = np.packbits(values.astype(np.uint8).ravel(), bitorder="little").tobytes()
    stream = io.BytesIO()
    dataset.save_as(stream)
    assert_shows(stream.getvalue(), values, float)


@pytest.mark.parametrize("syntax", [JPEGBaseline8Bit, JPEGExtended12Bit])
def test_jpeg(syntax: UID) -> None:
    values = ramp(0, 255)
    data = frame(Image.fromarray(values.astype(np.uint8)), "JPEG", quality=100)
    assert_shows(dicom(values, syntax, data, bits=8, allocated=8), values, full(0, 255), 4)


@pytest.mark.parametrize(("bits", "signed"), [(8, False), (16, False)])
def test_jpeg_2000(bits: int, signed: bool) -> None:
    values = ramp(0, 2**bits - 1)
    data = frame(Image.fromarray(values.astype(f"u{bits // 8}")), "JPEG2000", no_jp2=True)
    data = dicom(values, JPEG2000Lossless, data, bits=bits, allocated=bits, signed=signed)
    assert_shows(data, values, full(0, 2**bits - 1))


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless])
def test_rgb(syntax: UID) -> None:
    data = dicom(COLOUR, syntax, bits=8, allocated=8, PhotometricInterpretation="RGB")
    assert np.abs(gray(data) - luma(COLOUR)).max() <= TOLERANCE


def test_rgb_of_16_bits_spans_its_bits() -> None:
    data = dicom(COLOUR * 16, bits=12, PhotometricInterpretation="RGB")
    assert np.abs(gray(data) - luma(COLOUR) * 16 / 4095 * 255).max() <= TOLERANCE


def test_rgb_by_planes() -> None:
    values = np.moveaxis(COLOUR, -1, 0).reshape(ROWS, COLUMNS, 3)
    data = dicom(values, bits=8, allocated=8, PhotometricInterpretation="RGB", PlanarConfiguration=1)
    assert np.abs(gray(data) - luma(COLOUR)).max() <= TOLERANCE


def test_ybr() -> None:
    ycbcr = np.asarray(Image.fromarray(COLOUR.astype(np.uint8)).convert("YCbCr"))
    data = dicom(ycbcr, bits=8, allocated=8, PhotometricInterpretation="YBR_FULL")
    assert np.abs(gray(data) - ycbcr[..., 0]).max() <= TOLERANCE


def test_ybr_jpeg() -> None:
    data = frame(Image.fromarray(COLOUR.astype(np.uint8)), "JPEG", quality=95)
    data = dicom(
        COLOUR, JPEGBaseline8Bit, data, bits=8, allocated=8, PhotometricInterpretation="YBR_FULL_422"
    )
    assert np.abs(gray(data) - luma(COLOUR)).max() <= 4


@pytest.mark.parametrize("bits", [8, 16])
def test_palette(bits: int) -> None:
    values = ramp(0, 255)
    data = dicom(values, bits=8, allocated=8, **palette(200, 20, bits))
    rgb = apply_color_lut(values, dcmread(io.BytesIO(data)))
    assert np.abs(gray(data) - luma(rgb.astype(float)) / (2**bits - 1) * 255).max() <= TOLERANCE


@pytest.mark.parametrize(
    ("names", "tolerance"),
    [
        (
            [
                "MR_small.dcm",
                "MR_small_RLE.dcm",
                "MR_small_bigendian.dcm",
                "MR_small_implicit.dcm",
                "MR_small_jp2klossless.dcm",
                "MR_small_padded.dcm",
                "MR_small_expb.dcm",
            ],
            0,
        ),
        (["SC_rgb_rle.dcm", "SC_rgb_rle_16bit.dcm", "SC_rgb_gdcm_KY.dcm"], 0),
        (
            [
                "SC_rgb_gdcm_KY.dcm",
                "SC_rgb_dcmtk_+eb+cr.dcm",
                "SC_rgb_dcmtk_+eb+cy+n2.dcm",
                "SC_rgb_dcmtk_+eb+cy+s4.dcm",
                "SC_rgb_jpeg_dcmtk.dcm",
                "SC_ybr_full_422_uncompressed.dcm",
            ],
            2,
        ),
        (["SC_rgb_gdcm_KY.dcm", "SC_rgb_dcmtk_+eb+cy+np.dcm", "SC_rgb_jpeg_lossy_gdcm.dcm"], 8),
        (["SC_rgb_small_odd.dcm", "SC_rgb_small_odd_big_endian.dcm"], 0),
        (["liver_1frame.dcm", "liver_expb_1frame.dcm"], 0),
    ],
)
def test_one_image_in_many_encodings(names: list[str], tolerance: float) -> None:
    first, *others = [gray(get_testdata(name)) for name in names]
    assert first.std() > 5
    for name, other in zip(names[1:], others, strict=True):
        assert np.abs(other - first).max() <= tolerance, name


def test_ct_without_window_shows_its_full_range() -> None:
    values = dcmread(io.BytesIO(get_testdata("CT_small.dcm"))).pixel_array.astype(float)
    shown = (values - values.min()) / (values.max() - values.min()) * 255
    assert np.abs(gray(get_testdata("CT_small.dcm")) - shown).max() <= 3


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("MR_truncated.dcm", "truncated"),
        ("rtplan.dcm", "no_pixels"),
        ("test-SR.dcm", "no_pixels"),
        ("rtdose.dcm", "animated"),
        ("SC_rgb_rle_2frame.dcm", "animated"),
        ("rtdose_1frame.dcm", "unsupported"),
        ("badVR.dcm", "unreadable"),
        ("no_meta.dcm", "unsupported"),
    ],
)
def test_excluded_files(name: str, reason: Reason) -> None:
    excluded(get_testdata(name), reason)


def noise(top: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, top, (ROWS, COLUMNS))


def complete_file(name: str) -> bytes:
    image = Image.fromarray(noise(256).astype(np.uint8))
    if name == "jpeg":
        return dicom(noise(256), JPEGBaseline8Bit, frame(image, "JPEG"), bits=8, allocated=8)
    if name == "jpeg 2000":
        return dicom(noise(256), JPEG2000Lossless, frame(image, "JPEG2000", no_jp2=True), bits=8, allocated=8)
    syntax = {
        "rle": RLELossless,
        "deflated": DeflatedExplicitVRLittleEndian,
        "native": ExplicitVRLittleEndian,
    }
    return dicom(noise(4096), syntax[name], WindowCenter=2000, WindowWidth=4000)


COMPLETE = {name: complete_file(name) for name in ("native", "deflated", "rle", "jpeg", "jpeg 2000")}


@pytest.mark.parametrize("name", COMPLETE)
def test_truncated_files_are_excluded_or_complete(name: str) -> None:
    data = COMPLETE[name]
    complete = gray(data)
    results = set()
    for length in {*range(132, len(data), 23), *range(len(data) - 12, len(data))}:
        try:
            # At most a delimiter follows the pixels.
            assert (gray(data[:length]) == complete).all()
            results.add("complete")
            assert length >= len(data) - 10
        except NotConvertible as error:
            results.add(error.reason)
    assert "truncated" in results
    assert results <= {"truncated", "no_pixels", "unreadable", "complete"}


def test_deflated_pixels_can_be_truncated() -> None:
    assert "deflated" in excluded(COMPLETE["deflated"][:-100], "truncated")


@pytest.mark.parametrize("share", [0.3, 0.6, 0.99])
@pytest.mark.parametrize(
    ("syntax", "form", "reason"),
    [(JPEGBaseline8Bit, "JPEG", "truncated"), (JPEG2000Lossless, "JPEG2000", "unreadable")],
)
def test_truncated_frames_are_excluded(syntax: UID, form: str, reason: Reason, share: float) -> None:
    data = frame(Image.fromarray(noise(256).astype(np.uint8)), form, no_jp2=True)
    data = data[: int(len(data) * share)]
    excluded(dicom(noise(256), syntax, data, bits=8, allocated=8), reason)


@pytest.mark.parametrize("name", COMPLETE)
def test_damaged_files_are_converted_or_excluded(name: str) -> None:
    chance = random.Random(name)
    results, texts = set(), set()
    for _ in range(120):
        data = bytearray(COMPLETE[name])
        for _ in range(chance.randint(1, 4)):
            data[132 + chance.randrange(min(len(data) - 132, chance.choice([600, len(data)])))] = (
                chance.randrange(256)
            )
        try:
            jpeg = to_jpeg(bytes(data), Settings(95, 1_000_000))
        except NotConvertible as error:
            results.add(error.reason)
            texts.add(str(error))
        else:
            results.add(jpeg.conversion)
    assert {"encoded", "unreadable"} <= results
    assert not any("Doe" in text or "Jane" in text for text in texts)


def test_pydicom_settings_are_unchanged() -> None:
    before = config.settings.reading_validation_mode
    gray(dicom(ramp(0, 4095)))
    assert config.settings.reading_validation_mode == before


# --- Unusual files ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("has_meta", [False, True])
def test_file_without_preamble(syntax: UID, has_meta: bool) -> None:
    values = ramp(100, 4000)
    data = dicom(values, syntax)
    length = 0 if has_meta else 12 + int.from_bytes(data[140:144], "little")
    assert_shows(data[132 + length :], values, full(100, 4000))


@pytest.mark.parametrize("start", [b"\x08\0", b"\x08\0\x08\0CS", b"\x02\0\0\0UL", b"\x08\0\x16\0\x1a\0\0\0"])
def test_other_files_that_begin_like_dicom_are_excluded(start: bytes) -> None:
    for rest in (b"", bytes(500), b"\xff" * 500):
        with pytest.raises(NotConvertible):
            to_jpeg(start + rest, CONVERSION)


@pytest.mark.parametrize("keyword", ["HighBit", "NumberOfFrames", "RescaleSlope", "WindowCenter"])
def test_empty_element_is_as_if_missing(keyword: str) -> None:
    values = ramp(100, 4000)
    assert_shows(dicom(values, **{keyword: None}), values, full(100, 4000))


def test_deflated_file_truncated_anywhere_is_excluded() -> None:
    data = COMPLETE["deflated"]
    for length in range(132, len(data), 97):
        with pytest.raises(NotConvertible):
            to_jpeg(data[:length], CONVERSION)


def test_colours_of_dicom_are_read() -> None:
    data = dicom(COLOUR, bits=8, allocated=8, PhotometricInterpretation="RGB")
    assert (np.asarray(read_image(data, color=True)) == COLOUR).all()
    ycbcr = np.asarray(Image.fromarray(COLOUR.astype(np.uint8)).convert("YCbCr"))
    data = dicom(ycbcr, bits=8, allocated=8, PhotometricInterpretation="YBR_FULL")
    assert np.abs(np.asarray(read_image(data, color=True)).astype(int) - COLOUR).max() <= 3
    grey = read_image(dicom(ramp(0, 4095)), color=True)
    assert grey.mode == "RGB"
    assert len(set(grey.getpixel((40, 3)))) == 1


@needs_limits
def test_memory_is_bounded() -> None:
    """An image of 16 million colour pixels needs less than four times its file."""
    code = """if True:
        import io, resource, sys
        sys.path[:0] = sys.argv[1:]
        import numpy as np
        from dicom_files import dicom
        from cxrbuild.convert import read_image
        black = np.zeros((4000, 4000, 3), np.uint8)
        data = dicom(black, bits=8, allocated=8, PhotometricInterpretation="RGB")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        assert read_image(data).size == (4000, 4000)
        print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
    """
    done = subprocess.run(
        [sys.executable, "-c", code, str(Path(__file__).parent)], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 133, "MiB more than making the file of 46 MiB took"
