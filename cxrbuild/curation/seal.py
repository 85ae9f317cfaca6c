"""Find out whether a finished build is unchanged without reading its files.

``build.json`` is written last: it is the seal. A file that changed later has a change time (ctime, which no
program can set) at or after the seal's; a file or folder that was added or removed changes its folder's time.
So names and times are enough, and no times are stored. ``.cxrbuild/seal`` has the SHA-256 of ``build.json``
itself; the earlier of the two files' times counts, so that a touched ``build.json`` proves nothing. Only
reading detects changes with forged times: ``cxrbuild verify``.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from cxrbuild import __version__
from cxrbuild.artifact import BuildDocument, names
from cxrbuild.curation.plan import Declared
from cxrbuild.files import sha256_of, write_bytes
from cxrbuild.lockfile import LockedSource
from cxrbuild.patient_key import key_fingerprint

# The libraries that a JPEG's bytes depend on. The last one is optional; it decodes more kinds of compressed
# DICOM files.
_CONVERTING = ("numpy", "pillow", "pydicom", "python-gdcm")
_PACKING = ("pandas", "pyarrow")
_TICK_S = 0.02


def converting_libraries() -> dict[str, str]:
    """Return the versions of the libraries that a JPEG's bytes depend on."""
    return {name: version(name) for name in _CONVERTING if _is_installed(name)}


def libraries(formats: Sequence[str]) -> dict[str, str]:
    """Return the versions of the libraries that a build's bytes depend on."""
    packing = [*_PACKING, "tensorflow"] if "tfrecord" in formats else _PACKING
    return dict(sorted((converting_libraries() | {name: version(name) for name in packing}).items()))


def _is_installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def inputs_hash(declared: Declared, locked: Mapping[str, LockedSource], formats: Sequence[str]) -> str:
    """Return a hash of all inputs of a build: declarations, fetched files, formats, versions."""
    document = {
        "cxrbuild": __version__,
        "libraries": libraries(formats),
        "formats": sorted(formats),
        "recipe": declared.recipe.model_dump(mode="json", exclude={"audit", "baseline"}),
        "sources": [source.model_dump(mode="json") for source in declared.sources],
        "listings": [repr(source.listing) for source in declared.sources],
        "reviews": [repr(review) for review in declared.reviews],
        "links": [repr(link) for link in declared.links],
        # Another key gives the patients other names, and so changes groups and splits.
        "patient_key": (
            key_fingerprint()
            if any(source.reader.patient_id == "hash" for source in declared.sources)
            else None
        ),
        "locked": {
            source.name: locked[source.name].tree for source in declared.sources if source.name in locked
        },
    }
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def sealed_build(out: Path, inputs: str, sources: Iterable[Path]) -> BuildDocument | None:
    """Return the ``build.json`` of a build that did not change since it was finished, else ``None``.

    Parameters
    ----------
    out
        The build's folder.
    inputs
        The hash of the inputs that it should have been built from.
    sources
        The folders of its sources.
    """
    seal = out / names.BUILD
    if not seal.is_file():
        return None
    stamp = _stamp(out)
    if not stamp.is_file() or stamp.read_bytes() != sha256_of(seal).encode():
        return None
    document = BuildDocument.read(seal)
    if document.inputs != inputs:
        return None
    sealed_ns = min(seal.stat().st_mtime_ns, stamp.stat().st_mtime_ns)
    for name, entry in document.files.items():
        path = out / name
        if not path.is_file() or path.stat().st_size != entry.bytes:
            return None
    made = {name.partition("/")[0] for name in document.files if "/" in name}
    if any(count for split in document.counts.values() for count in split.values()):
        made.add(names.IMAGES)
    folders = [
        *sources,
        *(out / name for name in (names.IMAGES, names.PARQUET, names.TFRECORD) if name in made),
    ]
    top = [out / name for name in document.files if "/" not in name]
    untouched = all(_untouched(folder, sealed_ns) for folder in folders)
    return document if untouched and all(p.lstat().st_ctime_ns < sealed_ns for p in top) else None


def write_seal(out: Path, document: BuildDocument) -> None:
    """Write ``build.json`` and its hash, in a later tick of the disk's clock than the build's files."""
    time.sleep(_TICK_S)
    content = document.to_bytes()
    write_bytes(_stamp(out), hashlib.sha256(content).hexdigest().encode())
    write_bytes(out / names.BUILD, content)


def _stamp(out: Path) -> Path:
    return out / names.STATE / "seal"


def _untouched(folder: Path, sealed_ns: int) -> bool:
    # A link may have replaced a folder, or its target may have changed.
    if not folder.is_dir() or max(folder.stat().st_ctime_ns, folder.lstat().st_ctime_ns) >= sealed_ns:
        return False
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_symlink():
                return False  # its target may have changed, or be another one
            if entry.is_dir(follow_symlinks=False):
                if not _untouched(Path(entry.path), sealed_ns):
                    return False
            elif entry.stat(follow_symlinks=False).st_ctime_ns >= sealed_ns:
                return False
    return True
