"""Remember where the declarations of a build are, so that what was declared since can be read.

``.cxrbuild/declarations.json`` has the place of each source's declaration and of each review file: the name
of a shipped one, the path of any other. Paths have a meaning on one machine only, and can be private: neither
``build.json`` nor a release has them, and builds in object storage have no such file.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from cxrbuild.artifact import names
from cxrbuild.curation.declared import Declared
from cxrbuild.files import json_bytes, write_bytes
from cxrbuild.parsing import parse_json


class DeclarationFiles(NamedTuple):
    """Hold the places of a build's declarations.

    Parameters
    ----------
    sources
        For each source the name of a shipped one, or the path of its declaration.
    reviews
        The review files, by name or path; of two reviews of one image the later one counts.
    """

    sources: dict[str, str]
    reviews: list[str]


def write_declaration_files(build: Path, declared: Declared) -> None:
    """Write the places of the declarations that a build was made from, unless they are written already.

    Parameters
    ----------
    build
        The build's folder.
    declared
        What it was made from.
    """
    sources = {
        source.name: source.name if source.address == source.name else str(source.file.resolve())
        for source in declared.sources
    }
    reviews = [
        *_places(declared.recipe.reviews, declared.recipe.folder),
        *_places((one.file for one in declared.overrides.reviews), Path()),
    ]
    files = DeclarationFiles(sources, reviews)
    if read_declaration_files(build) != files:
        write_bytes(_path(build), json_bytes(files._asdict()))


def read_declaration_files(build: Path) -> DeclarationFiles | None:
    """Read the places of a build's declarations; ``None`` where the file is missing or damaged."""
    try:
        return DeclarationFiles(**parse_json(_path(build).read_bytes()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def _places(files: Iterable[str], beside: Path) -> list[str]:
    return [str((beside / name).resolve()) if name.endswith(".csv") else name for name in files]


def _path(build: Path) -> Path:
    return build / names.STATE / "declarations.json"
