"""The files of a folder: which are images, which are tables, and how they are arranged."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from cxrbuild.errors import CxrbuildError
from cxrbuild.files import files_under, is_desktop_file
from cxrbuild.image_files import has_image_suffix, image_format, read_head
from cxrbuild.ingest.header import Headers, read_headers
from cxrbuild.progress import Progress

_DEEPEST_TABLE = 3


@dataclass(frozen=True)
class Layout:
    """The files below a folder.

    Attributes
    ----------
    root
        The folder.
    images
        The paths of files that are images, sorted, with ``/``.
    dicom
        Those of them that begin as DICOM.
    tables
        The paths of CSV files, sorted by depth and name.
    compressed
        The paths of compressed CSV files.
    """

    root: Path
    images: tuple[str, ...]
    dicom: tuple[str, ...]
    tables: tuple[str, ...]
    compressed: tuple[str, ...]
    _headers: list[Headers] = field(default_factory=list, repr=False)

    @property
    def label(self) -> str:
        """The name of the folder, also where it was given as ``.``."""
        return Path(os.path.abspath(self.root)).name  # noqa: PTH100 - resolving would follow a link

    def headers(self, progress: Progress) -> Headers:
        """Return the headers of the DICOM files; they are read once."""
        if not self._headers:
            self._headers.append(read_headers(self.root, self.dicom, progress))
        return self._headers[0]

    @cached_property
    def by_name(self) -> Mapping[str, list[str]]:
        """The paths of the images by file name in lower case."""
        found: dict[str, list[str]] = {}
        for path in self.images:
            found.setdefault(path.rpartition("/")[2].lower(), []).append(path)
        return found

    @cached_property
    def by_stem(self) -> Mapping[str, list[str]]:
        """The paths of the images by file name without its last suffix, in lower case."""
        found: dict[str, list[str]] = {}
        for path in self.images:
            found.setdefault(path.rpartition("/")[2].lower().rpartition(".")[0], []).append(path)
        return found


def look(root: Path) -> Layout:
    """List the images and tables below a folder. A file is an image by its first bytes, or by its suffix.

    Raises
    ------
    CxrbuildError
        The folder holds no image.
    OSError
        The folder, or a file in it, cannot be read.
    """
    entries = [entry for entry in files_under(root) if entry.is_file() and not is_desktop_file(entry.name)]
    paths = sorted(Path(entry.path).relative_to(root).as_posix() for entry in entries)
    tables, compressed, images, dicom = [], [], [], []
    for path in paths:
        low = path.lower()
        if low.endswith((".csv", ".tsv")):
            tables.append(path)
        elif low.endswith((".csv.gz", ".csv.zip")):
            compressed.append(path)
        elif not low.endswith((".txt", ".json", ".md", ".toml", ".py", ".pdf", ".zip", ".gz")):
            kind = image_format(read_head(root / path))
            if kind == "DICOM":
                dicom.append(path)
            if kind is not None or has_image_suffix(path):
                images.append(path)
    if not images:
        raise CxrbuildError(
            "no image is there", where=root, expected="PNG, JPEG, DICOM or other image files",
            found=f"{len(paths)} other files" if paths else "no file",
            todo="Name the folder of the images, or with a CSV file `--images DIR`",
        )  # fmt: skip
    tables = [path for path in tables if path.count("/") < _DEEPEST_TABLE]
    tables.sort(key=lambda path: (path.count("/"), path))
    return Layout(root, tuple(images), tuple(dicom), tuple(tables), tuple(compressed))


def image_patterns(paths: list[str]) -> list[str]:
    """Return glob patterns of some images: their only top folder, else their suffixes."""
    tops = {path.partition("/")[0] if "/" in path else "" for path in paths}
    if len(tops) == 1 and (top := tops.pop()):
        return [f"{_escaped(top)}/*"]
    suffixes = Counter(os.path.splitext(path)[1].lower() for path in paths)  # noqa: PTH122 - of text, not a path
    if "" in suffixes:
        return ["*"]
    return [f"*{_escaped(suffix)}" for suffix in sorted(suffixes)]


def _escaped(text: str) -> str:
    import glob

    return glob.escape(text)
