"""DICOM images made by Hypothesis, shown by cxrbuild, pydicom and, where it is installed, DCMTK."""

from __future__ import annotations

import contextlib
import io
import math
import os
import shutil
import subprocess
import typing
import warnings
from pathlib import Path

import numpy as np
import pytest
from dicom_files import SYNTAXES, dicom, lut
from figures import Figures
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom import dcmread
from pydicom.pixels import apply_modality_lut, apply_windowing
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian

from cxrbuild.convert import NotConvertible, read_image

pytestmark = pytest.mark.slow
EXAMPLES = int(os.environ.get("CXRBUILD_EXAMPLES", "1500"))
MANY = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
NATIVE = sorted(SYNTAXES)


@st.composite
def images(draw: st.DrawFn) -> tuple[np.ndarray, dict[str, typing.Any]]:
    """Draw stored values and the arguments of `dicom`."""
    bits = draw(st.integers(2, 16))
    signed = draw(st.booleans())
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    ends = sorted(draw(st.tuples(st.integers(low, high), st.integers(low, high))))
    rows, columns = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    values = np.rint(np.linspace(*ends, rows * columns)).astype(np.int64).reshape(rows, columns)
    header: dict[str, typing.Any] = {
        "bits": bits,
        "allocated": 8 if bits <= 8 else 16,
        "signed": signed,
        "syntax": SYNTAXES[draw(st.sampled_from(NATIVE))],
        "PhotometricInterpretation": draw(st.sampled_from(["MONOCHROME1", "MONOCHROME2"])),
    }
    if draw(st.booleans()):
        header["RescaleSlope"] = str(draw(st.sampled_from([0.5, 1, 2, 3.5])))
        header["RescaleIntercept"] = str(draw(st.integers(-2000, 2000)))
    return values, header


WINDOWS = st.tuples(
    st.integers(-3000, 60_000), st.integers(2, 60_000), st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"])
)


def shown(data: bytes) -> np.ndarray:
    return np.asarray(read_image(data)).astype(float)


def by_dcmtk(data: bytes, folder: Path, *options: str) -> np.ndarray | None:
    """Return what DCMTK shows; None if it is not installed or cannot read the file."""
    if shutil.which("dcmj2pnm") is None:
        return None
    (folder / "image.dcm").write_bytes(data)
    done = subprocess.run(
        ["dcmj2pnm", "+op", *options, str(folder / "image.dcm")], capture_output=True, check=False
    )
    if done.returncode or not done.stdout:
        return None
    return np.asarray(Image.open(io.BytesIO(done.stdout)).convert("L")).astype(float)


def inverted(expected: np.ndarray, header: dict[str, typing.Any]) -> np.ndarray:
    return 1 - expected if header["PhotometricInterpretation"] == "MONOCHROME1" else expected


@MANY
@given(images(), WINDOWS)
def test_windows_are_pydicom_s(
    figures: Figures, image: tuple[np.ndarray, dict[str, typing.Any]], window: tuple[int, int, str]
) -> None:
    figures.add("windows as pydicom")
    values, header = image
    centre, width, function = window
    data = dicom(values, WindowCenter=centre, WindowWidth=width, VOILUTFunction=function, **header)
    dataset = dcmread(io.BytesIO(data))
    # pydicom warns of compressed pixels that are as many bytes as the image has.
    with np.errstate(over="ignore"), warnings.catch_warnings(action="ignore"):
        expected = apply_windowing(apply_modality_lut(dataset.pixel_array, dataset), dataset)
    ends = np.array([-(2 ** (header["bits"] - 1)), 2 ** (header["bits"] - 1) - 1])
    low, high = (ends if header["signed"] else ends - ends[0]) * float(header.get("RescaleSlope", 1)) + float(
        header.get("RescaleIntercept", 0)
    )
    expected = inverted((expected - low) / (high - low), header) * 255
    assert np.abs(shown(data) - expected).max() <= 1


@MANY
@given(images())
def test_full_range_is_the_values(figures: Figures, image: tuple[np.ndarray, dict[str, typing.Any]]) -> None:
    figures.add("images of full range")
    values, header = image
    data = dicom(values, **header)
    spread = int(values.max() - values.min())
    expected = inverted((values - values.min()) / spread, header) if spread else None
    if expected is not None:
        assert np.abs(shown(data) - expected * 255).max() <= 1


@st.composite
def tables(draw: st.DrawFn) -> tuple[np.ndarray, int, int]:
    """Draw a LUT's entries, first value and bits."""
    bits = draw(st.integers(8, 16))
    entries = draw(st.integers(2, 600))
    ends = draw(st.tuples(st.integers(0, 2**bits - 1), st.integers(0, 2**bits - 1)))
    return np.rint(np.linspace(*ends, entries)), draw(st.integers(0, 3000)), bits


@MANY
@given(images(), tables())
def test_voi_luts_are_their_entries(
    figures: Figures, image: tuple[np.ndarray, dict[str, typing.Any]], table: tuple[np.ndarray, int, int]
) -> None:
    figures.add("lookup tables")
    values, header = image
    # `lut` writes little-endian entries; pydicom's own look-up overflows beyond 8 bits.
    if header["syntax"] == ExplicitVRBigEndian:
        header["syntax"] = ExplicitVRLittleEndian
    header.pop("RescaleSlope", None)
    header.pop("RescaleIntercept", None)
    entries, first, bits = table
    data = dicom(values, VOILUTSequence=[lut(entries, first, bits)], **header)
    expected = entries[np.clip(values - first, 0, len(entries) - 1)] / (2**bits - 1)
    assert np.abs(shown(data) - inverted(expected, header) * 255).max() <= 1


@MANY
@given(images(), tables(), WINDOWS, st.booleans())
def test_images_are_shown_as_by_dcmtk(
    tmp_path_factory: pytest.TempPathFactory,
    figures: Figures,
    image: tuple[np.ndarray, dict[str, typing.Any]],
    table: tuple[np.ndarray, int, int],
    window: tuple[int, int, str],
    has_table: bool,
) -> None:
    values, header = image
    # DCMTK 3.6.7 rounds rescaled values, and shows equal ones differently in images of two and of 14 pixels;
    # the comparison with pydicom has fractions.
    if "RescaleSlope" in header:
        header["RescaleSlope"] = str(math.ceil(float(header["RescaleSlope"])))
    centre, width, _ = window
    entries, first, bits = table
    extra: dict[str, typing.Any] = {"WindowCenter": centre, "WindowWidth": width}
    if has_table and header["syntax"] != ExplicitVRBigEndian:
        extra = {"VOILUTSequence": [lut(entries, first, bits)]}
    data = dicom(values, **header, **extra)
    options = ["+Wl", "1"] if "VOILUTSequence" in extra else ["+Wi", "1"]
    expected = by_dcmtk(data, tmp_path_factory.getbasetemp(), *options)
    if expected is None:
        pytest.skip("needs DCMTK")
    figures.add("images as DCMTK")
    # DCMTK rounds down, and computes with integers.
    assert np.abs(shown(data) - expected).max() <= 3


@MANY
@given(images(), st.data())
def test_mutated_images_are_shown_or_excluded(
    figures: Figures, image: tuple[np.ndarray, dict[str, typing.Any]], data: st.DataObject
) -> None:
    figures.add("mutated images read or refused")
    values, header = image
    mutated = bytearray(dicom(values, **header))
    for _ in range(data.draw(st.integers(1, 6))):
        position = data.draw(st.integers(0, len(mutated) - 1))
        mutated[position] = data.draw(st.integers(0, 255))
    with contextlib.suppress(NotConvertible):
        read_image(bytes(mutated), max_pixels=100_000)
