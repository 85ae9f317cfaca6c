"""What DICOM images show: LUTs, windows, padding and inversion, against the formulas of PS3.3, C.11."""

from __future__ import annotations

import io
import typing
from math import exp

import numpy as np
import pytest
from dicom_files import (
    ROWS,
    assert_shows,
    dicom,
    excluded,
    full,
    gray,
    linear,
    lut,
    palette,
    ramp,
)
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless


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
def test_full_range_without_a_valid_window(header: dict[str, typing.Any]) -> None:
    values = ramp(300, 2000)
    assert_shows(dicom(values, WindowCenter=40 if header else None, **header), values, full(300, 2000))


def test_image_of_one_value_is_black() -> None:
    assert gray(dicom(np.full((8, 8), 77))).max() == 0


def test_window_applies_to_rescaled_values() -> None:
    values = ramp(0, 4095)
    data = dicom(values, RescaleSlope="0.5", RescaleIntercept="-1024", WindowCenter="0", WindowWidth="1000")
    assert_shows(data, values, lambda x: linear(0, 1000)(x * 0.5 - 1024))


def test_negative_slope_inverts() -> None:
    values = ramp(0, 4095)
    header = {"RescaleSlope": "-1", "RescaleIntercept": "4095"}
    assert_shows(dicom(values, **header), values, lambda x: 1 - x / 4095)
    data = dicom(values, WindowCenter=1000, WindowWidth=500, **header)
    assert_shows(data, values, lambda x: linear(1000, 500)(4095 - x))


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


def test_lut_with_missing_entries_is_excluded() -> None:
    item = lut(np.arange(100), 0, 8)
    item.LUTDescriptor = [4096, 0, 8]
    assert "200 of 4,096 entries" in excluded(dicom(ramp(0, 4095), VOILUTSequence=[item]), "unreadable")


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
def test_padding_is_ignored_and_black(photometric: str, window: dict[str, float]) -> None:
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


def test_image_of_padding_is_black() -> None:
    assert gray(dicom(np.full((8, 8), 77), PixelPaddingValue=77)).max() == 0


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
@pytest.mark.parametrize("missing", [1, 6])
def test_lut_without_its_last_entries(missing: int, syntax: UID) -> None:
    table = np.rint(np.linspace(0, 1, 4096) ** 2 * 65535)
    item = lut(table[:-missing], 0, 16)
    item.LUTDescriptor = [4096, 0, 16]
    values = ramp(0, 4095)

    def show(x: float) -> float:
        return table[min(int(x), 4095 - missing)] / 65535

    assert_shows(dicom(values, syntax, VOILUTSequence=[item]), values, show)
    rescaled = dicom(values, syntax, ModalityLUTSequence=[item], WindowCenter=32768, WindowWidth=65536)
    assert_shows(rescaled, values, show)


def test_lut_of_8_bits_without_its_last_entry_is_not_packed() -> None:
    table = np.linspace(255, 0, 256)
    item = lut(table[:-1], 0, 8)
    item.LUTDescriptor = [256, 0, 8]
    values = ramp(0, 254)
    assert_shows(dicom(values, VOILUTSequence=[item]), values, lambda x: 1 - x / 255)


def test_palette_without_its_last_entry() -> None:
    header = palette(256, 0, 16)
    for name in ("Red", "Green", "Blue"):
        header[f"{name}PaletteColorLookupTableData"] = header[f"{name}PaletteColorLookupTableData"][:-2]
    values = ramp(0, 254)
    complete = gray(dicom(values, bits=8, allocated=8, **palette(256, 0, 16)))
    assert np.abs(gray(dicom(values, bits=8, allocated=8, **header)) - complete).max() <= 1


@pytest.mark.parametrize("declared", [8, 10, 12])
@pytest.mark.parametrize("top", [4095, 16383, 65535])
def test_lut_entries_of_more_bits_than_declared(declared: int, top: int) -> None:
    table = np.rint(np.linspace(0, top, 4096))
    values = ramp(0, 4095)
    data = dicom(values, VOILUTSequence=[lut(table, 0, declared)])
    assert_shows(data, values, lambda x: x / 4095)


def test_palette_entries_of_more_bits_than_declared() -> None:
    header = palette(256, 0, 16)
    values = ramp(0, 255)
    expected = gray(dicom(values, bits=8, allocated=8, **header))
    for name in ("Red", "Green", "Blue"):
        header[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, 8]
    assert (gray(dicom(values, bits=8, allocated=8, **header)) == expected).all()


@pytest.mark.parametrize("sequence", ["VOILUTSequence", "ModalityLUTSequence"])
def test_empty_item_is_no_lut(sequence: str) -> None:
    values = ramp(0, 4095)
    empty = Dataset()
    empty.LUTDescriptor, empty.LUTExplanation = None, "template"
    window = {"WindowCenter": 1000, "WindowWidth": 500}
    for items in ([Dataset()], [empty]):
        assert_shows(dicom(values, **window, **{sequence: items}), values, linear(1000, 500))
    table = np.rint(np.linspace(65535, 0, 4096))
    data = dicom(values, VOILUTSequence=[empty, lut(table, 0, 16)])
    assert_shows(data, values, lambda x: 1 - x / 4095)


@pytest.mark.parametrize(
    ("syntax", "signed", "intercept", "vr", "stored", "first"),
    [
        # In implicit VR the sign follows the rescaled values, not the stored ones.
        (ImplicitVRLittleEndian, False, -1024, "US", 64512, -1024),
        (ImplicitVRLittleEndian, False, 0, "US", 64512, 64512),
        (ImplicitVRLittleEndian, True, 0, "US", 64512, -1024),
        (ImplicitVRLittleEndian, True, 2048, "US", 1000, 1000),
        # In explicit VR the element says it, unless the values cannot be such.
        (ExplicitVRLittleEndian, False, -1024, "US", 64512, -1024),
        (ExplicitVRLittleEndian, False, 0, "SS", -1024, -1024),
        (ExplicitVRLittleEndian, False, 40_000, "SS", 40_000 - 65_536, 40_000),
    ],
)
def test_sign_of_a_voi_lut_s_first_value(
    syntax: UID, signed: bool, intercept: int, vr: str, stored: int, first: int
) -> None:
    table = np.rint(np.linspace(0, 65535, 4096))
    item = lut(table, 0, 16)
    item.add_new("LUTDescriptor", vr, [4096, stored, 16])
    values = ramp(-2000, 2000) if signed else ramp(0, 4000)
    data = dicom(values, syntax, signed=signed, RescaleIntercept=str(intercept), RescaleSlope="1",
                 VOILUTSequence=[item])  # fmt: skip
    assert_shows(data, values, lambda x: min(max(x + intercept - first, 0), 4095) / 4095)


def swapped(item: Dataset) -> Dataset:
    """Return a LUT whose words are big-endian."""
    item["LUTData"].value = np.frombuffer(item.LUTData, "<u2").astype(">u2").tobytes()
    return item


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("sequence", ["VOILUTSequence", "ModalityLUTSequence"])
def test_lut_of_65_536_entries_declares_none(syntax: UID, sequence: str) -> None:
    table = lut(np.linspace(65_535, 0, 65_536), 0, 16)
    assert table.LUTDescriptor[0] == 0
    if syntax == ExplicitVRBigEndian:
        table = swapped(table)
    values = ramp(0, 65_535)
    data = dicom(values, syntax, bits=16, **{sequence: [table]})
    assert_shows(data, values, lambda value: 1 - value / 65_535)


@pytest.mark.parametrize("sequence", ["VOILUTSequence", "ModalityLUTSequence"])
def test_big_endian_lut_with_a_negative_first_value(sequence: str) -> None:
    values = ramp(-2048, 2047)
    table = swapped(lut(np.linspace(0, 4095, 4096), -2048, 12))
    data = dicom(values, ExplicitVRBigEndian, signed=True, **{sequence: [table]})
    assert_shows(data, values, lambda value: (value + 2048) / 4095)


@pytest.mark.parametrize("is_packed", [False, True])
def test_big_endian_lut_of_8_bits(is_packed: bool) -> None:
    values = ramp(0, 255)
    table = swapped(lut(np.linspace(255, 0, 256), 0, 8, packed=is_packed))
    data = dicom(values, ExplicitVRBigEndian, bits=8, allocated=8, VOILUTSequence=[table])
    assert_shows(data, values, lambda value: 1 - value / 255)
