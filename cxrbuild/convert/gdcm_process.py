"""Decode compressed DICOM frames with GDCM in a process of its own.

GDCM ends the whole process on some damaged or unusual frames (an uncaught C++ exception). The process here
is started for the first frame that needs GDCM, serves further frames, and ends with its parent. If it dies
or takes too long, only the frame at fault is excluded, and the next frame starts another process.
"""

from __future__ import annotations

import atexit
import importlib.util
import os
import struct
import subprocess
import sys
import threading
from contextlib import suppress
from typing import IO, NamedTuple

# Transfer syntax, rows, columns, samples, bits allocated, bytes of the frame.
_REQUEST = struct.Struct("<64sIIBBQ")
_REPLY = struct.Struct("<?Q")
_SECONDS = 120.0
_CODE = "import sys; sys.path[:] = sys.argv[1:]; from cxrbuild.convert.gdcm_process import serve; serve()"


class Frame(NamedTuple):
    """Hold a compressed frame and the layout of its samples.

    Parameters
    ----------
    data
        The codestream.
    syntax
        The UID of the transfer syntax.
    rows, columns, samples
        The size in pixels and the samples of a pixel.
    allocated
        Bits of a decoded sample: 8 or 16.
    """

    data: bytes
    syntax: str
    rows: int
    columns: int
    samples: int
    allocated: int


class DecoderDiedError(Exception):
    """Report a frame that ended its decoder, or that it could not decode."""


def is_available() -> bool:
    """Return whether GDCM is installed."""
    return importlib.util.find_spec("gdcm") is not None


def decode_frame(frame: Frame) -> bytes:
    """Decode a frame to unsigned little-endian samples, pixel by pixel.

    Raises
    ------
    DecoderDiedError
        GDCM cannot decode the frame, ended on it, or took longer than two minutes.
    """
    with _lock:
        process = _running_process()
        timer = threading.Timer(_SECONDS, process.kill)
        timer.daemon = True
        timer.start()
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            request = _REQUEST.pack(frame.syntax.encode(), *frame[2:], len(frame.data))
            process.stdin.write(request + frame.data)
            process.stdin.flush()
            is_decoded, length = _REPLY.unpack(_read(process.stdout, _REPLY.size))
            samples = _read(process.stdout, length)
        except (OSError, EOFError) as error:
            stop()
            raise DecoderDiedError("it ends the decoder GDCM") from error
        finally:
            timer.cancel()
    if not is_decoded:
        raise DecoderDiedError("the decoder GDCM cannot decode it")
    return samples


_lock = threading.Lock()
_processes: dict[int, subprocess.Popen[bytes]] = {}


def _running_process() -> subprocess.Popen[bytes]:
    # A forked process must not share its parent's pipes.
    process = _processes.get(os.getpid())
    if process is None or process.poll() is not None:
        process = subprocess.Popen(  # noqa: S603 - this interpreter and this file
            [sys.executable, "-c", _CODE, *sys.path],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        _processes[os.getpid()] = process
    return process


@atexit.register
def stop() -> None:
    """End the decoding process, if one is running."""
    process = _processes.pop(os.getpid(), None)
    if process is not None:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):  # of a broken pipe; Windows has another one
                    pipe.close()


def _read(stream: IO[bytes], length: int) -> bytes:
    data = stream.read(length)
    if len(data) < length:
        raise EOFError
    return data


def serve() -> None:
    """Decode the frames that come in on standard input, until it ends."""
    replies = os.fdopen(os.dup(1), "wb")
    # GDCM may print, which must not mix with the replies.
    os.dup2(2, 1)
    requests = sys.stdin.buffer
    while header := requests.read(_REQUEST.size):
        syntax, rows, columns, samples, allocated, length = _REQUEST.unpack(header)
        name = syntax.rstrip(b"\0").decode()
        decoded = _decode(Frame(requests.read(length), name, rows, columns, samples, allocated))
        replies.write(_REPLY.pack(decoded is not None, len(decoded or b"")) + (decoded or b""))
        replies.flush()


def _decode(frame: Frame) -> bytes | None:
    import gdcm

    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(frame.data)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((frame.columns, frame.rows, 1))
    image.SetDataElement(element)
    colour = "MONOCHROME2" if frame.samples == 1 else "RGB"
    kind = gdcm.PhotometricInterpretation.GetPIType(colour)
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(kind))
    if frame.samples > 1:
        image.SetPlanarConfiguration(0)
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(frame.syntax)))
    # All allocated bits count as stored: GDCM ends the process on JPEG Lossless of fewer than 8 bits
    # otherwise, and declines JPEG of 12 bits.
    highest = frame.allocated - 1
    image.SetPixelFormat(gdcm.PixelFormat(frame.samples, frame.allocated, frame.allocated, highest, 0))
    # GDCM returns bytes as text.
    text = image.GetBuffer()
    return None if text is None else bytes(text.encode("utf-8", "surrogateescape"))
