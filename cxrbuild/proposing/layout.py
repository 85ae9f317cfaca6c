"""The files of a folder: which are images, which are tables, and how they are arranged."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from cxrbuild.artifact import names
from cxrbuild.errors import CxrbuildError, count_of, name_some
from cxrbuild.files import files_under, is_desktop_file
from cxrbuild.image_files import has_image_suffix, image_format, read_head
from cxrbuild.ingest.header import Headers, read_headers
from cxrbuild.progress import Progress

_DEEPEST_TABLE = 3
# Folders of programs, by name; those of virtual environments have a file `pyvenv.cfg`.
_OF_PROGRAMS = {"site-packages", "node_modules", "__pycache__", "__MACOSX"}


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
    others
        The paths of all other files next to the images, tables among them.
    outside
        How many images the folder has outside of the folder of this source's images.
    skipped
        The folders that are not looked into: of programs, hidden ones, builds, releases and data folders.
    """

    root: Path
    images: tuple[str, ...]
    dicom: tuple[str, ...]
    tables: tuple[str, ...]
    compressed: tuple[str, ...]
    others: tuple[str, ...] = ()
    outside: int = 0
    skipped: tuple[str, ...] = ()
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


def look(root: Path, folder: str = ".") -> Layout:
    """List the images and tables below a folder. A file is an image by its first bytes, or by its suffix.

    Virtual environments, hidden folders, builds, releases and data folders are skipped.

    Parameters
    ----------
    root
        The folder.
    folder
        The folder of the images, from the root: images outside of it belong to others.

    Raises
    ------
    CxrbuildError
        The folder holds no image.
    OSError
        The folder, or a file in it, cannot be read.
    """
    skipped: list[str] = []

    def skips(path: str) -> bool:
        relative = Path(path).relative_to(root).as_posix()
        # The folder that is named is looked into, whatever it is in.
        if f"{folder}/".startswith(f"{relative}/") or not _is_foreign(Path(path)):
            return False
        skipped.append(relative)
        return True

    found = files_under(root, skips)
    entries = [entry for entry in found if entry.is_file() and not is_desktop_file(entry.name)]
    paths = sorted(Path(entry.path).relative_to(root).as_posix() for entry in entries)
    tables, compressed, images, dicom, others, outside = [], [], [], [], [], 0
    for path in paths:
        low = path.lower()
        inside = folder == "." or path.startswith(f"{folder}/")
        if low.endswith((".csv", ".tsv")):
            tables.append(path)
            others.append(path)
        elif low.endswith((".csv.gz", ".csv.zip")):
            compressed.append(path)
            others.append(path)
        elif low.endswith((".txt", ".json", ".md", ".toml", ".py", ".pdf", ".zip", ".gz")):
            others.append(path)
        else:
            kind = image_format(read_head(root / path))
            if kind is None and not has_image_suffix(path):
                others.append(path)
            elif not inside:
                outside += 1
            else:
                images.append(path)
                dicom += [path] if kind == "DICOM" else []
    if not images:
        raise CxrbuildError(
            "no image is there", where=root / folder, expected="PNG, JPEG, DICOM or other image files",
            found=(count_of(len(paths), "other file") if paths else "no file")
            + (f"; skipped: {name_some(skipped, 3)}" if skipped else ""),
            todo="Name the folder of the images, or with a CSV file `--images DIR`",
        )  # fmt: skip
    tables = [path for path in tables if path.count("/") < _DEEPEST_TABLE]
    tables.sort(key=lambda path: (path.count("/"), path))
    compressed = [path for path in compressed if path.count("/") < _DEEPEST_TABLE]
    return Layout(
        root, tuple(images), tuple(dicom), tuple(tables), tuple(compressed), tuple(others), outside,
        tuple(sorted(skipped)),
    )  # fmt: skip


def _is_foreign(folder: Path) -> bool:
    """Return whether a folder is of a program, hidden, a build, a release, a plan or a data folder."""
    if folder.name in _OF_PROGRAMS or folder.name.startswith("."):
        return True
    marks = ("pyvenv.cfg", names.LEDGER, names.STATE, "sources.lock.json")
    return any((folder / mark).exists() for mark in marks)


def image_patterns(paths: Sequence[str], others: Sequence[str] = ()) -> dict[str, list[str]]:
    """Return the keys of a reader that list some images: by their only top folder, and by their suffixes.

    No pattern says that a name has no suffix: where images have none, other files are ignored instead.

    Parameters
    ----------
    paths
        The paths of the images.
    others
        The paths of files that are none.

    Examples
    --------
    >>> image_patterns(["a/1.dcm", "a/2.DCM"]), image_patterns(["1", "2.dcm"], ["list.csv", "NOTES"])
    ({'images': ['a/*.dcm']}, {'images': ['*'], 'ignore': ['*.csv', 'NOTES']})
    """
    tops = {path.partition("/")[0] if "/" in path else "" for path in paths}
    top = tops.pop() if len(tops) == 1 else ""
    prefix = f"{_escaped(top)}/" if top else ""
    suffixes = {_suffix(path) for path in paths}
    if "" not in suffixes:
        return {"images": [f"{prefix}*{_escaped(suffix)}" for suffix in sorted(suffixes)]}
    matched = [path for path in others if not top or path.startswith(f"{top}/")]
    patterns = {
        f"{prefix}*{_escaped(suffix)}" if (suffix := _suffix(path)) not in suffixes else _escaped(path)
        for path in matched
    }
    return {"images": [f"{prefix}*"], **({"ignore": sorted(patterns)} if patterns else {})}


def _suffix(path: str) -> str:
    """Return the suffix of a name in lower case, blank where it is a number, as at the end of a UID."""
    suffix = os.path.splitext(path)[1].lower()  # noqa: PTH122 - of text, not a path
    return "" if suffix[1:].isdecimal() else suffix


def _escaped(text: str) -> str:
    import glob

    return glob.escape(text)
