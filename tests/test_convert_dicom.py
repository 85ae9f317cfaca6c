"""DICOM images to gray, against the formulas of PS3.3, C.11, written out value by value."""

from __future__ import annotations

import io
import random
import typing
import zlib
from math import exp
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import config, dcmread, dcmwrite
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import apply_color_lut
from pydicom.uid import (
    HTJ2K,
    UID,
    DeflatedExplicitVRLittleEndian,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    RLELossless,
)

from cxrbuild.convert import NotConvertible, Reason, Settings, to_jpeg

# At 100 the JPEG is true to a level or two, which leaves the formulas to be seen.
CONVERSION = Settings(100, 100_000_000)
ROWS, COLUMNS = 16, 64
TOLERANCE = 2
NAME = "Doe^Jane"


def ramp(low: int, high: int) -> np.ndarray:
    """Return every step from low to high, evenly, as a picture of (rows, columns)."""
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
        dataset.compress(RLELossless, generate_instance_uid=False)
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


def refused(data: bytes, reason: Reason, settings: Settings = CONVERSION) -> str:
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
    """Return C.11.2.1.2.1 with an output range of 0 to 1, in the standard's own words."""

    def show(x: float) -> float:
        if x <= centre - 0.5 - (width - 1) / 2:
            return 0
        if x > centre - 0.5 + (width - 1) / 2:
            return 1
        return (x - (centre - 0.5)) / (width - 1) + 0.5

    return show


def full(low: float, high: float) -> typing.Callable[[float], float]:
    return lambda x: (x - low) / (high - low)


# --- Encodings ---------------------------------------------------------------------------------------


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


def frame(image: Image.Image, form: str, **options: typing.Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


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


COLOUR = np.stack([ramp(0, 255), ramp(255, 0), ramp(60, 200)], axis=-1)


def luma(rgb: np.ndarray) -> np.ndarray:
    return rgb[..., :3] @ np.array([0.299, 0.587, 0.114])


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


def palette(entries: int, first: int, bits: int) -> dict[str, typing.Any]:
    header: dict[str, typing.Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for number, name in enumerate(("Red", "Green", "Blue")):
        table = np.linspace(0, 2**bits - 1, entries) if number < 2 else np.linspace(2**bits - 1, 0, entries)
        header[f"{name}PaletteColorLookupTableDescriptor"] = [entries, first, bits]
        header[f"{name}PaletteColorLookupTableData"] = np.rint(table).astype(f"<u{bits // 8}").tobytes()
    return header


@pytest.mark.parametrize("bits", [8, 16])
def test_palette(bits: int) -> None:
    values = ramp(0, 255)
    data = dicom(values, bits=8, allocated=8, **palette(200, 20, bits))
    rgb = apply_color_lut(values, dcmread(io.BytesIO(data)))
    assert np.abs(gray(data) - luma(rgb.astype(float)) / (2**bits - 1) * 255).max() <= TOLERANCE


# --- From stored values to what is shown -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("centre", "width"), [(2048, 4096), (1000, 500), (1000.5, 3), (2048, 1), (-50, 9000), (5000, 10)]
)
def test_linear_window(centre: float, width: float) -> None:
    values = ramp(0, 4095)
    data = dicom(values, WindowCenter=[centre, 1], WindowWidth=[width, 2])
    assert_shows(data, values, linear(centre, width), 2 if width > 100 else 30)


def test_linear_window_to_the_value() -> None:
    # Blocks of 8 x 8 of one value each, which JPEG holds exactly.
    steps = np.array([-3, -2, -1, 0, 1, 2, 3, 4])
    values = np.repeat(np.repeat(steps[None], 8, axis=1), 16, axis=0) + 100
    for centre, width in [(100, 4), (100.5, 5), (99, 1), (101, 2)]:
        data = dicom(values, WindowCenter=centre, WindowWidth=width)
        assert_shows(data, values, linear(centre, width), 1)


def test_exact_window() -> None:
    values = ramp(0, 4095)
    data = dicom(values, WindowCenter="1000", WindowWidth="800.5", VOILUTFunction="LINEAR_EXACT")
    assert_shows(data, values, lambda x: min(max((x - 1000) / 800.5 + 0.5, 0), 1))


def test_sigmoid_window() -> None:
    values = ramp(0, 4095)
    data = dicom(values, WindowCenter="1500", WindowWidth="900", VOILUTFunction="SIGMOID")
    assert_shows(data, values, lambda x: 1 / (1 + exp(-4 * (x - 1500) / 900)))
    steep = dicom(values, WindowCenter="1500", WindowWidth="0.01", VOILUTFunction="SIGMOID")
    assert gray(steep)[:, 60:].min() >= 254


@pytest.mark.parametrize("header", [{}, {"WindowWidth": 0}, {"WindowWidth": 0.5}, {"WindowWidth": None}])
def test_without_a_valid_window_the_full_range(header: dict[str, typing.Any]) -> None:
    values = ramp(300, 2000)
    assert_shows(dicom(values, WindowCenter=40 if header else None, **header), values, full(300, 2000))


def test_one_value_alone_is_black() -> None:
    assert gray(dicom(np.full((8, 8), 77))).max() == 0


def test_window_is_of_rescaled_values() -> None:
    values = ramp(0, 4095)
    data = dicom(values, RescaleSlope="0.5", RescaleIntercept="-1024", WindowCenter="0", WindowWidth="1000")
    assert_shows(data, values, lambda x: linear(0, 1000)(x * 0.5 - 1024))


def test_negative_slope_turns_gray_around() -> None:
    values = ramp(0, 4095)
    header = {"RescaleSlope": "-1", "RescaleIntercept": "4095"}
    assert_shows(dicom(values, **header), values, lambda x: 1 - x / 4095)
    data = dicom(values, WindowCenter=1000, WindowWidth=500, **header)
    assert_shows(data, values, lambda x: linear(1000, 500)(4095 - x))


def lut(table: np.ndarray, first: int, bits: int, packed: bool = False) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if first < 0 else "US", [len(table) % 65536, first, bits])
    item.add_new("LUTData", "OW", table.astype("u1" if packed else "<u2").tobytes())
    return item


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless])
def test_voi_lut(packed: bool, syntax: UID) -> None:
    # 8-bit entries, and more of them than 8 bits can count.
    table = np.rint(np.linspace(0, 1, 1000) ** 2 * 255)
    values = ramp(0, 4095)
    data = dicom(values, syntax, VOILUTSequence=[lut(table, 1500, 8, packed)], WindowCenter=5, WindowWidth=5)
    assert_shows(data, values, lambda x: table[int(min(max(x - 1500, 0), 999))] / 255)


def test_voi_lut_of_12_bits_as_numbers() -> None:
    table = np.rint(np.linspace(0, 4095, 4096))[::-1]
    item = lut(table, 0, 12)
    item.add_new("LUTData", "US", [int(number) for number in table])
    values = ramp(0, 4095)
    assert_shows(dicom(values, VOILUTSequence=[item]), values, lambda x: 1 - x / 4095)


def test_voi_lut_of_signed_values() -> None:
    table = np.rint(np.linspace(0, 65535, 2048))
    values = ramp(-2048, 2047)
    data = dicom(values, signed=True, VOILUTSequence=[lut(table, -1024, 16)])
    assert_shows(data, values, lambda x: min(max((x + 1024) / 2047, 0), 1))


def test_modality_lut() -> None:
    table = np.rint(np.linspace(1, 0, 4096) ** 0.5 * 65535)
    values = ramp(0, 4095)
    data = dicom(values, ModalityLUTSequence=[lut(table, 0, 16)], WindowCenter=40000, WindowWidth=20000)
    assert_shows(data, values, lambda x: linear(40000, 20000)(table[int(x)]))


def test_lut_shorter_than_it_says() -> None:
    item = lut(np.arange(100), 0, 8)
    item.LUTDescriptor = [4096, 0, 8]
    assert "200 of 4096 entries" in refused(dicom(ramp(0, 4095), VOILUTSequence=[item]), "unreadable")


@pytest.mark.parametrize(
    "header",
    [
        {"PhotometricInterpretation": "MONOCHROME1"},
        {"PresentationLUTShape": "INVERSE"},
        {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"},
    ],
)
def test_inverted_once_and_after_the_window(header: dict[str, str]) -> None:
    values = ramp(0, 4095)
    data = dicom(values, WindowCenter=1000, WindowWidth=500, **header)
    assert_shows(data, values, lambda x: 1 - linear(1000, 500)(x))


def test_identity_shape_is_not_inverted() -> None:
    values = ramp(0, 4095)
    assert_shows(dicom(values, PresentationLUTShape="IDENTITY"), values, full(0, 4095))


@pytest.mark.parametrize("signed", [False, True])
def test_unused_bits_are_masked(signed: bool) -> None:
    values = ramp(-2000, 2000) if signed else ramp(0, 4000)
    garbage = np.random.default_rng(2).integers(0, 16, values.shape) << 12
    cells = (values & 0xFFF | garbage).astype(np.uint16)
    data = dicom(cells.view(np.int16) if signed else cells, signed=signed)
    assert_shows(data, values, full(values.min(), values.max()))


PADDED = np.concatenate([np.full((ROWS, 16), 4095), ramp(500, 1500)], axis=1)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("window", [{}, {"WindowCenter": 1000.5, "WindowWidth": 1001}])
def test_padding_is_left_out_and_black(photometric: str, window: dict[str, float]) -> None:
    data = dicom(PADDED, PixelPaddingValue=4095, PhotometricInterpretation=photometric, **window)

    def show(x: float) -> float:
        shown = full(500, 1500)(x)
        return 0 if x == 4095 else 1 - shown if photometric == "MONOCHROME1" else shown

    assert_shows(data, PADDED, show)


def test_padding_range() -> None:
    values = np.concatenate([ramp(0, 99), ramp(500, 1500)], axis=1)
    data = dicom(values, PixelPaddingValue=99, PixelPaddingRangeLimit=0)
    assert_shows(data, values, lambda x: 0 if x < 100 else full(500, 1500)(x))


def test_signed_padding_written_unsigned() -> None:
    values = np.concatenate([np.full((ROWS, 16), -2000), ramp(0, 1000)], axis=1)
    data = dicom(values, signed=True)
    dataset = dcmread(io.BytesIO(data))
    dataset.add_new("PixelPaddingValue", "US", 65536 - 2000)
    stream = io.BytesIO()
    dataset.save_as(stream)
    assert_shows(stream.getvalue(), values, lambda x: 0 if x < 0 else x / 1000)


def test_padding_alone_is_black() -> None:
    assert gray(dicom(np.full((8, 8), 77), PixelPaddingValue=77)).max() == 0


# --- What is refused -------------------------------------------------------------------------------------

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
def test_refused_headers(header: dict[str, typing.Any], reason: Reason, found: str) -> None:
    assert found in refused(dicom(RAMP, **header), reason)


def without(data: bytes, *keywords: str) -> bytes:
    dataset = dcmread(io.BytesIO(data))
    for keyword in keywords:
        delattr(dataset, keyword)
    stream = io.BytesIO()
    dataset.save_as(stream)
    return stream.getvalue()


def test_refused_for_what_lacks() -> None:
    data = dicom(RAMP)
    assert "without Pixel Data" in refused(without(data, "PixelData", "Rows"), "no_pixels")
    assert "without the picture" in refused(without(data, "PixelData"), "truncated")
    assert refused(without(data, "BitsStored"), "unreadable") == "a DICOM file that lacks BitsStored"


def test_max_pixels() -> None:
    size = ROWS * COLUMNS
    assert to_jpeg(dicom(RAMP), Settings(100, size)).width == COLUMNS
    refused(dicom(RAMP), "too_large", Settings(100, size - 1))


def test_deflated_bomb() -> None:
    data = dicom(RAMP, DeflatedExplicitVRLittleEndian)
    start = 144 + int.from_bytes(data[140:144], "little")
    bomb = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = data[:start] + bomb.compress(bytes(100 << 20)) + bomb.flush()
    assert "more than" in refused(data, "too_large", Settings(95, 1_000_000))


@pytest.mark.parametrize("values", [RAMP, COLOUR])
def test_12_bit_jpeg_has_no_decoder_anywhere(values: np.ndarray) -> None:
    data = dicom(values, JPEGExtended12Bit, b"\xff\xd8\xff", PhotometricInterpretation="MONOCHROME2")
    if values.ndim == 2:
        assert "12 bits compressed as JPEG Extended" in refused(data, "unsupported")
    else:
        refused(data, "unreadable")


def test_unknown_compression() -> None:
    assert "High-Throughput JPEG 2000" in refused(dicom(RAMP, HTJ2K, b"\0\0"), "unsupported")


def has_gdcm() -> bool:
    from pydicom.pixels import get_decoder

    return "gdcm" in get_decoder(JPEGLosslessSV1).available_plugins


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


# --- Files that others wrote, and damaged ones -----------------------------------------------------------


def get_testdata(name: str) -> bytes:
    path = get_testdata_file(name, download=False)
    assert isinstance(path, str)
    return Path(path).read_bytes()


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
def test_one_picture_in_many_encodings(names: list[str], tolerance: float) -> None:
    first, *others = [gray(get_testdata(name)) for name in names]
    assert first.std() > 5
    for name, other in zip(names[1:], others, strict=True):
        assert np.abs(other - first).max() <= tolerance, name


def test_ct_has_no_window_and_its_whole_range() -> None:
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
        ("JPEG-lossy.dcm", "unsupported"),
        ("badVR.dcm", "unreadable"),
        ("no_meta.dcm", "unsupported"),
    ],
)
def test_refused_files(name: str, reason: Reason) -> None:
    refused(get_testdata(name), reason)


def noise(top: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, top, (ROWS, COLUMNS))


def whole(name: str) -> bytes:
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


WHOLE = {name: whole(name) for name in ("native", "deflated", "rle", "jpeg", "jpeg 2000")}


@pytest.mark.parametrize("name", WHOLE)
def test_cut_files_are_refused_or_whole(name: str) -> None:
    data = WHOLE[name]
    picture = gray(data)
    outcomes = set()
    for length in {*range(132, len(data), 23), *range(len(data) - 12, len(data))}:
        try:
            # Behind the pixels stands at most a delimiter.
            assert (gray(data[:length]) == picture).all()
            outcomes.add("whole")
            assert length >= len(data) - 10
        except NotConvertible as error:
            outcomes.add(error.reason)
    assert "truncated" in outcomes
    assert outcomes <= {"truncated", "no_pixels", "unreadable", "whole"}


def test_cut_deflated_pixels_are_truncated() -> None:
    assert "deflated" in refused(WHOLE["deflated"][:-100], "truncated")


@pytest.mark.parametrize("share", [0.3, 0.6, 0.99])
@pytest.mark.parametrize(
    ("syntax", "form", "reason"),
    [(JPEGBaseline8Bit, "JPEG", "truncated"), (JPEG2000Lossless, "JPEG2000", "unreadable")],
)
def test_cut_frames_are_refused(syntax: UID, form: str, reason: Reason, share: float) -> None:
    data = frame(Image.fromarray(noise(256).astype(np.uint8)), form, no_jp2=True)
    data = data[: int(len(data) * share)]
    refused(dicom(noise(256), syntax, data, bits=8, allocated=8), reason)


@pytest.mark.parametrize("name", WHOLE)
def test_damaged_files_are_converted_or_refused(name: str) -> None:
    chance = random.Random(name)
    outcomes, texts = set(), set()
    for _ in range(120):
        data = bytearray(WHOLE[name])
        for _ in range(chance.randint(1, 4)):
            data[132 + chance.randrange(min(len(data) - 132, chance.choice([600, len(data)])))] = (
                chance.randrange(256)
            )
        try:
            jpeg = to_jpeg(bytes(data), Settings(95, 1_000_000))
        except NotConvertible as error:
            outcomes.add(error.reason)
            texts.add(str(error))
        else:
            outcomes.add(jpeg.conversion)
    assert {"encoded", "unreadable"} <= outcomes
    assert not any("Doe" in text or "Jane" in text for text in texts)


def test_pydicom_s_settings_stay() -> None:
    before = config.settings.reading_validation_mode
    gray(dicom(RAMP))
    assert config.settings.reading_validation_mode == before
