"""Compressed DICOM frames: JPEG, JPEG 2000, JPEG-LS, and a decoder that ends its process."""

from __future__ import annotations

import base64
import struct
import subprocess
import sys
import typing

import numpy as np
import pytest
from dicom_files import (
    COLUMNS,
    CONVERSION,
    ROWS,
    assert_shows,
    dicom,
    excluded,
    frame,
    full,
    gray,
    has_gdcm,
    ramp,
)
from PIL import Image
from pydicom.uid import (
    UID,
    JPEG2000Lossless,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
)

from cxrbuild.convert import gdcm_process, to_jpeg

needs_gdcm = pytest.mark.skipif(not has_gdcm(), reason="needs the extra `dicom`")

# Frames of 8 x 8 pixels, from 0 at the top left to the highest value at the bottom right, by DCMTK.
DIAGONAL = np.add.outer(np.arange(8), np.arange(8))
LOSSLESS_6 = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/wwALCAAIAAgBAREA/8QAFQABAQAAAAAAAAAAAAAAAAAAAwj/2gAIAQEAAQAAn9FRUVEVFRUV"
    "UVFRURUVFRVRUVFRFRUVFVFRUVEVFRUX///Z"
)
LOSSLESS_12 = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/wwALEAAIAAgBAREA/8QAFgABAQEAAAAAAAAAAAAAAAAACAkQ/9oACAEBAAYAANSSktJKS0kp"
    "LSSkiTSSTSSTSSTpKkkmkkmkkmkqSJNJJNJJNJJOkqSSaSSaSSaSpIk0kk0kk0kk6SpJJpJJpJJpKkiTSSTSSTSST//Z"
)
EXTENDED_12 = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB"
    "AQEBAQEBAQEBAQEBAQH/wQALDAAIAAgBAREA/8QAFAABAAAAAAAAAAAAAAAAAAAAA//EAB8QAAEACwAAAAAAAAAAAAAAAA0BESIq"
    "OkhYZnaBwf/aAAgBAQAAPwARZaLLYdF3RpYlYxW1U92tr//Z"
)
JPEG_LS_7 = base64.b64decode(
    "/9j/9wALCAAIAAgBAREA/9oACAEBAAAAAIKFeFe1YYMQ5ikBu7MzKIrbbZ222kZJJJFVVSKqpAD/2Q=="
)
JPEG_LS_12 = base64.b64decode(
    "/9j/9wALEAAIAAgBAREA//gADQH//wASAEMBFABA/9oACAEBAAAAALI+Sci5FSCkFHuSMlZGyMkJISPslI+R0jpGyNkZIyyMi5Fy"
    "KkVImRMiLIyIkPIeQ0hpCyFkhISQkg5ByCkFIGSEgZASAv9f9/X9I+/b9vy/L7vu+pHw/9k="
)
# GDCM ends its process on these: a table and a frame header that are truncated.
ENDING = base64.b64decode("/9j/4AAQSkZJRgALAQAAAQABAAD/2wBDAAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB")


def diagonal(data: bytes, syntax: UID, bits: int, **header: typing.Any) -> bytes:
    return dicom(DIAGONAL, syntax, data, bits=bits, allocated=8 if bits <= 8 else 16, **header)


@needs_gdcm
@pytest.mark.parametrize(
    ("data", "syntax", "bits"),
    [
        (LOSSLESS_6, JPEGLosslessSV1, 6),
        (LOSSLESS_12, JPEGLossless, 12),
        (EXTENDED_12, JPEGExtended12Bit, 12),
        (JPEG_LS_7, JPEGLSLossless, 7),
        (JPEG_LS_12, JPEGLSLossless, 12),
    ],
)
def test_frames_that_gdcm_decodes(data: bytes, syntax: UID, bits: int) -> None:
    assert_shows(diagonal(data, syntax, bits), DIAGONAL, full(0, 14), 5)


@needs_gdcm
@pytest.mark.parametrize("data", [LOSSLESS_12, EXTENDED_12])
def test_frame_truncated_before_its_end_marker_is_excluded(data: bytes) -> None:
    syntax = JPEGLossless if data is LOSSLESS_12 else JPEGExtended12Bit
    scan = data.index(b"\xff\xda") + 10
    for length in (scan + 2, (scan + len(data)) // 2, len(data) - 12):
        excluded(diagonal(data[:length] + b"\xff\xd9", syntax, 12), "unreadable")
        excluded(diagonal(data[:length], syntax, 12), "truncated")


@needs_gdcm
def test_frame_that_ends_its_decoder_is_excluded(monkeypatch: pytest.MonkeyPatch) -> None:
    frames = [gdcm_process.Frame(LOSSLESS_6, str(JPEGLosslessSV1), 8, 8, 1, 8)]
    frames.append(frames[0]._replace(data=ENDING, syntax=str(JPEGExtended12Bit), allocated=16))
    for _ in range(2):
        assert len(gdcm_process.decode_frame(frames[0])) == 64
        with pytest.raises(gdcm_process.DecoderDiedError, match="ends the decoder"):
            gdcm_process.decode_frame(frames[1])
    # The image is excluded by name, and the next one is converted.
    decode = gdcm_process.decode_frame
    monkeypatch.setattr(gdcm_process, "decode_frame", lambda _: decode(frames[1]))
    data = diagonal(LOSSLESS_6, JPEGLosslessSV1, 6)
    assert "JPEG Lossless" in excluded(data, "unreadable")
    monkeypatch.undo()
    assert to_jpeg(data, CONVERSION).width == 8


@needs_gdcm
def test_slow_decoder_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gdcm_process, "_SECONDS", 0.0)
    gdcm_process.stop()
    with pytest.raises(gdcm_process.DecoderDiedError):
        gdcm_process.decode_frame(gdcm_process.Frame(LOSSLESS_6, str(JPEGLosslessSV1), 8, 8, 1, 8))


def test_decoder_is_started_for_its_frames_only() -> None:
    """No process is started, and GDCM is not imported, for images that other decoders read."""
    code = (
        "import io, sys; from PIL import Image\n"
        "from cxrbuild.convert import Settings, gdcm_process, to_jpeg\n"
        "stream = io.BytesIO(); Image.new('L', (8, 8)).save(stream, 'PNG')\n"
        "to_jpeg(stream.getvalue(), Settings(95, 64)); print(gdcm_process._processes, 'gdcm' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "{} False\n"


@pytest.mark.parametrize(
    "header", [{"Rows": 9}, {"Columns": 4}, {"Rows": 16, "Columns": 4}, {"SamplesPerPixel": 3}]
)
@pytest.mark.parametrize(
    ("data", "syntax", "bits"), [(JPEG_LS_7, JPEGLSLossless, 7), (LOSSLESS_6, JPEGLosslessSV1, 6)]
)
def test_frame_of_another_size_is_excluded(
    data: bytes, syntax: UID, bits: int, header: dict[str, int]
) -> None:
    excluded(diagonal(data, syntax, bits, **header), "unreadable")


@needs_gdcm
def test_samples_of_more_bits_than_declared_are_excluded() -> None:
    found = excluded(diagonal(LOSSLESS_12, JPEGLossless, 10), "unreadable")
    assert found == "a DICOM file with samples of more bits than its header declares"


@pytest.mark.parametrize(
    "data",
    [b"\x89PNG\r\n\x1a\n" + bytes(60), bytes(64), b"\xff\xd8" + bytes(62)],
    ids=["png", "zeros", "soi"],
)
def test_frame_of_another_format_is_excluded(data: bytes) -> None:
    found = excluded(diagonal(data, JPEGLSLossless, 8), "unreadable")
    assert found == "a DICOM file whose frame is not JPEG-LS Lossless Image Compression"


# --- JPEG 2000 -------------------------------------------------------------------------------------------


def jpeg_2000(values: np.ndarray, **options: typing.Any) -> bytes:
    return frame(Image.fromarray(values), "JPEG2000", irreversible=False, no_jp2=True, **options)


def test_jpeg_2000_of_odd_length_and_without_tile_length() -> None:
    """A tile part without a length (Psot is 0) ends with the codestream, before DICOM's padding."""
    values = ramp(0, 255).astype(np.uint8)
    data = next(
        stream for size in range(200) if len(stream := jpeg_2000(np.roll(values, size, axis=1))) % 2 == 1
    )
    expected = gray(dicom(values, JPEG2000Lossless, data, bits=8, allocated=8))
    tile = data.index(b"\xff\x90\0\x0a")
    assert struct.unpack_from(">I", data, tile + 6)[0] > 0
    data = data[: tile + 6] + bytes(4) + data[tile + 10 :]
    assert (gray(dicom(values, JPEG2000Lossless, data, bits=8, allocated=8)) == expected).all()


@pytest.mark.parametrize("is_signed_stream", [False, True])
@pytest.mark.parametrize("is_signed_header", [False, True])
@pytest.mark.parametrize("bits", [8, 16])
def test_jpeg_2000_follows_the_header_s_sign(
    is_signed_stream: bool, is_signed_header: bool, bits: int
) -> None:
    patterns = ramp(0, 2**bits - 1).astype(f"u{bits // 8}")
    data = jpeg_2000(patterns, signed=is_signed_stream)
    assert bool(data[42] & 0x80) == is_signed_stream
    values = patterns.view(f"i{bits // 8}") if is_signed_header else patterns
    window = {"WindowCenter": int(values.max()) // 2, "WindowWidth": 2 ** (bits - 1)}
    header = dicom(
        patterns, JPEG2000Lossless, data, bits=bits, allocated=bits, signed=is_signed_header, **window
    )
    native = dicom(patterns.view(values.dtype), bits=bits, allocated=bits, signed=is_signed_header, **window)
    assert np.abs(gray(header) - gray(native)).max() <= 1


def test_jpeg_2000_with_the_boxes_of_a_file() -> None:
    values = ramp(0, 255)
    data = frame(Image.fromarray(values.astype(np.uint8)), "JPEG2000", irreversible=False)
    assert data[4:8] == b"jP  "
    assert_shows(dicom(values, JPEG2000Lossless, data, bits=8, allocated=8), values, full(0, 255))


def test_frame_size_is_checked_before_decoding() -> None:
    data = bytearray(jpeg_2000(ramp(0, 255).astype(np.uint8)))
    data[8:16] = struct.pack(">II", 60_000, 60_000)
    excluded(
        dicom(np.zeros((ROWS, COLUMNS)), JPEG2000Lossless, bytes(data), bits=8, allocated=8), "unreadable"
    )
