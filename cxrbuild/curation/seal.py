"""Find out whether a finished build and its sources are unchanged without reading their files.

The seal, ``.cxrbuild/seal``, has the SHA-256 of ``build.json``, the state of the sources before the first of
their files was read, and the state of the build's own files; see `cxrbuild.files.tree_state`. So the next run
notices a source that changed while a build was made. Times are compared for equality only, so the check does
not depend on the clock. Only reading detects changes with forged times: ``cxrbuild verify``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cxrbuild import __version__
from cxrbuild.artifact import BuildDocument, names
from cxrbuild.artifact.build import recorded_recipe
from cxrbuild.curation.declared import Declared
from cxrbuild.fetching.record import record_path
from cxrbuild.files import json_bytes, sha256_of, tree_state, write_bytes
from cxrbuild.lockfile import LockedSource, source_folder
from cxrbuild.parsing import parse_json
from cxrbuild.patient_key import key_fingerprint
from cxrbuild.versions import converting_libraries, version_of

_PACKING = ("pandas", "pyarrow")


def libraries() -> dict[str, str]:
    """Return the versions of the libraries that a build's bytes depend on."""
    return dict(sorted((converting_libraries() | {name: version_of(name) for name in _PACKING}).items()))


def inputs_hash(declared: Declared, locked: Mapping[str, LockedSource], formats: Sequence[str]) -> str:
    """Return a hash of all inputs of a build: declarations, fetched files, formats, versions."""
    document: dict[str, Any] = {
        "cxrbuild": __version__,
        "libraries": libraries(),
        "formats": sorted(formats),
        "recipe": recorded_recipe(declared.recipe),
        "sources": [source.model_dump(mode="json", exclude={"lung_masks"}) for source in declared.sources],
        "listings": [repr(source.listing) for source in declared.sources],
        "withdrawals": [repr(source.all_withdrawals) for source in declared.sources],
        "reviews": [repr(review) for review in declared.reviews],
        "links": [repr(link) for link in declared.links],
        "image_list": _hash_list(declared),
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
    if declared.previous is not None:
        document["previous"] = declared.previous.sha256
    if declared.correction_files:
        document["corrections"] = dict(declared.correction_files)
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def _hash_list(declared: Declared) -> dict[str, Any] | None:
    """Return the declaration of the published list, with the hash of each file."""
    image_list = declared.image_list
    if image_list is None:
        return None
    hashes = {file.file: file.sha256 for file in image_list.files}
    for file in image_list.files:
        place = image_list.place(file, None)
        if place is not None and place.is_file():
            hashes[file.file] = sha256_of(place)
    return image_list.model_dump(mode="json") | {"hashes": hashes}


class SourcesState(NamedTuple):
    """Hold the state of sources and of their records.

    Parameters
    ----------
    digest
        Their state; None if it is not known, see `cxrbuild.files.tree_state`.
    files
        The state of each of their files, by path.
    """

    digest: str | None
    files: dict[str, str]


def sources_state(data: Path, sources: Iterable[str]) -> SourcesState:
    """Return the state of sources and of their records; take it before any of their files is read."""
    folders = [source_folder(data, name) for name in sources]
    files: dict[str, str] = {}
    roots = (path for folder in folders for path in (folder, record_path(folder)))
    return SourcesState(tree_state(roots, files), files)


def sealed_build(out: Path, inputs: str, sources: str | None) -> BuildDocument | None:
    """Return the ``build.json`` of a build if neither it nor its sources changed since it was finished.

    Parameters
    ----------
    out
        The build's folder.
    inputs
        The hash of the inputs that it should have been built from.
    sources
        The state of its sources now.
    """
    seal = out / names.BUILD
    if sources is None or not seal.is_file():
        return None
    try:
        stamp = parse_json(_stamp(out).read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    if not isinstance(stamp, dict) or stamp.get("sources") != sources:
        return None
    if stamp.get("build") != sha256_of(seal):
        return None
    document = BuildDocument.read(seal)
    state = _build_state(out, document) if document.inputs == inputs else None
    return document if state is not None and state == stamp.get("files") else None


def sealed_hash(out: Path) -> str | None:
    """Return the SHA-256 of ``build.json`` as it was written; ``None`` where no seal has it.

    Parameters
    ----------
    out
        The build's folder.
    """
    try:
        stamp = parse_json(_stamp(out).read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return str(stamp["build"]) if isinstance(stamp, dict) and "build" in stamp else None


def remove_seal(out: Path) -> None:
    """Remove ``build.json`` and the seal: while a build is made, it has neither."""
    (out / names.BUILD).unlink(missing_ok=True)
    _stamp(out).unlink(missing_ok=True)


def write_seal(out: Path, document: BuildDocument, sources: str | None) -> dict[str, str]:
    """Write ``build.json`` and the seal.

    Parameters
    ----------
    out
        The build's folder.
    document
        The content of ``build.json``.
    sources
        The state of its sources before the first of them was read.

    Returns
    -------
    dict of str to str
        The state of each file of the build, by path; empty where it is not known.
    """
    content = document.to_bytes()
    write_bytes(out / names.BUILD, content)
    files: dict[str, str] = {}
    stamp = {
        "build": hashlib.sha256(content).hexdigest(),
        "sources": sources,
        "files": _build_state(out, document, files),
    }
    write_bytes(_stamp(out), json_bytes(stamp))
    return files


def _build_state(out: Path, document: BuildDocument, files: dict[str, str] | None = None) -> str | None:
    made = {name.partition("/")[0] for name in document.files}
    if any(count for split in document.counts.values() for count in split.values()):
        made.add(names.IMAGES)
    return tree_state((out / name for name in sorted(made)), files)


def _stamp(out: Path) -> Path:
    return out / names.STATE / "seal"
