"""Remember where the declarations of a build are, so that what was declared since can be read.

``.cxrbuild/declarations.json`` has the place of each source's declaration, of each file of reviews, links or
corrections, and of the published list: the name of a shipped one, the path of any other; the path of the
former version whose split is held; the options of `curate`; and which patients were withdrawn, hashed. Paths
have a meaning on one machine only, and can be private: neither ``build.json`` nor a release has them, and
builds in object storage have no such file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from cxrbuild.artifact import Artifact, names
from cxrbuild.catalog import Recipe, Source
from cxrbuild.catalog.copying import with_shipped_names
from cxrbuild.catalog.declarations import CATALOG
from cxrbuild.curation.declared import Declared
from cxrbuild.files import json_bytes, write_bytes
from cxrbuild.parsing import parse_json
from cxrbuild.patient_key import hash_identifier, read_key
from cxrbuild.shell import join


class DeclarationFiles(NamedTuple):
    """Hold the places of a build's declarations.

    Parameters
    ----------
    sources
        For each source the name of a shipped one, or the path of its declaration.
    reviews
        The review files, by name or path; of two reviews of one image the later one counts.
    links
        The files of links; none in builds of earlier versions.
    image_list
        The published list; ``None`` without one, and in builds of earlier versions.
    previous
        The path of the former version whose split is held; ``None`` where there is none.
    corrections
        The files of corrections; none in builds of earlier versions.
    options
        The options with which `curate` makes the build again, but for its folder; none in builds of earlier
        versions.
    withdrawn
        For each source with withdrawn patients or blobs a hash of these; none in builds of earlier versions.
    """

    sources: dict[str, str]
    reviews: list[str]
    links: list[str] = []  # noqa: RUF012 -- never changed
    image_list: str | None = None
    previous: str | None = None
    corrections: list[str] = []  # noqa: RUF012 -- never changed
    options: list[str] = []  # noqa: RUF012 -- never changed
    withdrawn: dict[str, str] = {}  # noqa: RUF012 -- never changed


def declaration_files(declared: Declared) -> DeclarationFiles:
    """Return where the declarations of a recipe are."""
    recipe, listed = declared.recipe, declared.image_list
    sources = {
        source.name: source.name if source.address == source.name else str(source.file.resolve())
        for source in declared.sources
    }
    reviews = [
        *_places(recipe.reviews, recipe.folder),
        *_places((one.file for one in declared.overrides.reviews), Path()),
    ]
    image_list = None
    if listed is not None and recipe.split.published is not None:
        name = recipe.split.published.list
        image_list = name if name == listed.name else str(listed.declaration.resolve())
    previous = None if declared.previous is None else str(declared.previous.place.resolve())
    links = _places(recipe.split.links, recipe.folder)
    corrections = _places(recipe.corrections, recipe.folder)
    withdrawn = {one.name: hashed for one in declared.sources if (hashed := hash_withdrawn(one))}
    return DeclarationFiles(sources, reviews, links, image_list, previous, corrections, withdrawn=withdrawn)


def hash_withdrawn(source: Source) -> str:
    """Return a hash of the withdrawn patients and blobs of a source, empty without any.

    It has the key of the patient numbers where the source hashes them, so that it reveals none.

    Parameters
    ----------
    source
        The source.

    Raises
    ------
    CxrbuildError
        The source hashes patient numbers, and the environment holds no key.
    """
    patients, blobs = (sorted(one) for one in (source.all_withdrawals.patients, source.all_withdrawals.blobs))
    if not patients and not blobs:
        return ""
    text = json.dumps([patients, blobs])
    if patients and source.hashes_patients:
        return hash_identifier(read_key(), text)
    return hashlib.sha256(text.encode()).hexdigest()


def curate_options(
    declared: Declared, data: Path, formats: Sequence[str], *, allow_missing: bool
) -> list[str]:
    """Return the options with which `curate` makes a build again, but for its folder.

    Parameters
    ----------
    declared
        What it is made from.
    data
        The data folder.
    formats, allow_missing
        See `curate`.
    """
    recipe = declared.recipe
    if recipe.file is None:
        return []  # made in Python
    shipped = recipe.name if recipe.file == CATALOG / "recipes" / f"{recipe.name}.toml" else None
    overrides = declared.overrides
    switches = (f"--{'drop' if one.enabled else 'keep'}-{one.switch}" for one in overrides.rules)
    options = ["--recipe", shipped or str(recipe.file.resolve()), *dict.fromkeys(switches)]
    for name in _places((one.file for one in overrides.reviews), Path()):
        options += ["--reviews", name]
    for name in sorted(formats):
        options += ["--format", name]
    options += ["--allow-missing"] if allow_missing else []
    return [*options, "--data", str(data.resolve())]


def curate_command(build: Path) -> str | None:
    """Return the command that makes a build again; ``None`` where it is not known, or no longer possible.

    Paths below the current folder are relative to it.

    Parameters
    ----------
    build
        The build's folder.
    """
    files = read_declaration_files(build)
    if files is None or not files.options or not Path(files.options[-1]).is_dir():
        return None
    here = Path.cwd()
    options = [
        str(Path(word).relative_to(here)) if Path(word).is_relative_to(here) else word
        for word in files.options
    ]
    return join(["cxrbuild", "curate", *options, "--out", build])


def write_declaration_files(build: Path, declared: Declared, options: Sequence[str] = ()) -> None:
    """Write the places of the declarations that a build was made from, unless they are written already.

    Parameters
    ----------
    build
        The build's folder.
    declared
        What it was made from.
    options
        The options with which `curate` makes it again.
    """
    files = declaration_files(declared)._replace(options=list(options))
    if read_declaration_files(build) != files:
        places = files._asdict()
        if files.previous is None:
            del places["previous"]
        write_bytes(_path(build), json_bytes(places))


def read_declaration_files(build: Path) -> DeclarationFiles | None:
    """Read the places of a build's declarations; ``None`` where the file is missing or damaged."""
    try:
        return DeclarationFiles(**parse_json(_path(build).read_bytes()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def locate_recorded_recipe(artifact: Artifact) -> Recipe | None:
    """Return the recipe that a build records, with its sources where their declarations are.

    ``None`` where they are not known, or one of them is no longer there.
    """
    recipe, files = artifact.document.recipe, read_declaration_files(artifact.folder)
    if files is None:
        return None
    places = [*files.sources.values()]
    if any(place.endswith(".toml") and not Path(place).is_file() for place in places):
        return None
    return recipe.model_copy(update={"sources": places})


def as_shipped(recipe: Recipe, files: DeclarationFiles | None) -> Recipe:
    """Return a recipe that names shipped files where it names unchanged copies of them.

    Parameters
    ----------
    recipe
        A recipe, or one that a build records.
    files
        Where its declarations are; ``None``: that is not known, and no file is a copy.
    """
    if files is None:
        return recipe
    split = recipe.split
    named = [*zip(recipe.sources, files.sources.values(), strict=False)]
    named += zip(recipe.reviews, files.reviews, strict=False)  # those of the command follow
    named += zip(split.links, files.links, strict=False)
    if split.published is not None and files.image_list is not None:
        named.append((split.published.list, files.image_list))
    return with_shipped_names(recipe, {name: Path(place) for name, place in named if name != place})


def _places(files: Iterable[str], base: Path) -> list[str]:
    return [str((base / name).resolve()) if name.endswith(".csv") else name for name in files]


def _path(build: Path) -> Path:
    return build / names.STATE / "declarations.json"
