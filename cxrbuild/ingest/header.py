"""Read DICOM headers: of every image that is a DICOM file, whichever reader lists it."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.catalog.column import AgeColumn, Column
from cxrbuild.errors import is_of_memory
from cxrbuild.image_files import is_dicom, read_file_meta, read_head
from cxrbuild.progress import Progress

if TYPE_CHECKING:
    from pydicom import Dataset

# PS3.3: C.7.1.1 Patient, C.7.3.1 General Series, C.8.11.5 DX Positioning, C.7.6.1 General Image.
KEYWORDS = (
    "PatientID",
    "PatientSex",
    "PatientAge",
    "Modality",
    "ViewPosition",
    "BodyPartExamined",
    "StudyDescription",
    "SeriesDescription",
    "BurnedInAnnotation",
)
# To find the images of a row. Nothing else of the header is read, so nothing else can leak.
KEYS = ("SOPInstanceUID", "StudyInstanceUID", "AccessionNumber")
# Elements that identify a patient: no column but `patient_id` takes them.
IDENTIFYING = frozenset({"PatientID", *KEYS})
# How the header fills what the source's declaration leaves unknown.
COLUMNS: dict[str, Column] = {
    "patient_id": Column.model_validate({"from": "PatientID"}),
    "patient_sex": Column.model_validate({"from": "PatientSex"}),
    "patient_age": AgeColumn.model_validate({"from": "PatientAge"}),
    "modality": Column.model_validate({"from": "Modality"}),
    "view_position": Column.model_validate({"from": "ViewPosition"}),
}

_DEFLATED = b"1.2.840.10008.1.2.1.99"
_LARGEST_FILE_META = 1 << 16
_BLOCK = 1 << 20
_PIXELS = 0x7FE00000
# Elements in front of the pixels are within the first, a whole image is within the second.
_LARGEST_HEADER = 64 << 20
_LARGEST_IMAGE = 1 << 30


@dataclass
class Headers:
    """What DICOM headers say.

    Attributes
    ----------
    elements
        By path, the elements of ``KEYWORDS`` and ``KEYS`` as text, empty where absent; several values of one
        element are separated by a backslash, as DICOM writes them.
    unreadable
        By path, why a header cannot be read.
    """

    elements: dict[str, dict[str, str]] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)


def find_dicom(root: Path, paths: Iterable[str]) -> list[str]:
    """Return the paths of files that begin as DICOM.

    Raises
    ------
    OSError
        A file cannot be read.
    """
    return [path for path in paths if is_dicom(read_head(f"{root}/{path}"))]


def read_headers(root: Path, paths: Sequence[str], progress: Progress) -> Headers:
    """Read the headers of files.

    Whatever the parser raises on one file is the result of this file.

    Raises
    ------
    OSError
        A file cannot be read.
    """
    headers = Headers()
    if not paths:
        return headers
    with progress("reading DICOM headers", len(paths), "file") as bar:
        for path in paths:
            try:
                headers.elements[path] = _read_elements(root / path)
            except Exception as error:
                if is_of_memory(error) or (isinstance(error, OSError) and error.errno is not None):
                    raise  # the system's: it says nothing about the header
                # The message can quote the header, which can name a patient.
                headers.unreadable[path] = f"a DICOM header that cannot be parsed ({type(error).__name__})"
            bar.update()
    return headers


def burned_in(element: str) -> str | None:
    """Return whether BurnedInAnnotation excludes an image: ``None``, or the detail, empty where it is YES."""
    value = element.upper()
    if value in ("", "NO"):
        return None
    return "" if value == "YES" else "BurnedInAnnotation is neither YES nor NO"


def _read_elements(path: Path) -> dict[str, str]:
    with warnings.catch_warnings():
        # pydicom warns of values that break the standard's form; mapping checks those that we use.
        warnings.simplefilter("ignore")
        dataset = _read_dataset(path)
        elements = {keyword: _text(dataset.get(keyword)) for keyword in (*KEYWORDS, *KEYS)}
    if not any(elements.values()) and "Rows" not in dataset:
        raise EOFError  # neither an identity nor an image: the file ends before them
    return elements


def _text(value: object) -> str:
    if value is None:
        return ""
    # pydicom's MultiValue; text is a sequence too.
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return "\\".join(str(one).strip() for one in value)
    return str(value).strip()


def _read_dataset(path: Path) -> Dataset:
    from pydicom import dcmread
    from pydicom.filereader import read_dataset

    tags = [*KEYWORDS, *KEYS, "Rows"]
    with path.open("rb") as stream:
        head = stream.read(_LARGEST_FILE_META)
    syntax, start = read_file_meta(head)
    if start > len(head):
        raise OverflowError  # longer than any file meta information
    if syntax != _DEFLATED:
        # Without a preamble pydicom has to be forced to read it as DICOM; anything else is refused.
        return dcmread(path, stop_before_pixels=True, specific_tags=list(tags), force=is_dicom(head))
    # pydicom would inflate all of it at once, however large it gets.
    return read_dataset(
        BytesIO(_inflate(path, start)),
        is_implicit_VR=False,
        is_little_endian=True,
        stop_when=lambda tag, _vr, _length: tag >= _PIXELS,
        specific_tags=_tags(tags),
    )


def _tags(keywords: Iterable[str]) -> list[int]:
    from pydicom.datadict import tag_for_keyword

    return [tag for keyword in keywords if (tag := tag_for_keyword(keyword)) is not None]


def _inflate(path: Path, start: int) -> bytes:
    """Return the beginning of deflated elements; the rest is inflated in blocks, to see that it is whole."""
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    kept, size = bytearray(), 0
    with path.open("rb") as stream:
        stream.seek(start)
        while not inflate.eof and (block := stream.read(_BLOCK)):
            while block and not inflate.eof:
                part = inflate.decompress(block, _BLOCK)
                block = inflate.unconsumed_tail
                size += len(part)
                kept += part[: max(0, _LARGEST_HEADER - len(kept))]
                if size > _LARGEST_IMAGE:
                    raise OverflowError
    if not inflate.eof:
        raise EOFError
    return bytes(kept)
