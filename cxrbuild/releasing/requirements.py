"""What a build must have to be released: unchanged files, images in each class, the key of before."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.artifact import BuildDocument, DocumentError, Problem, names, open_release
from cxrbuild.artifact.published import published_manifest
from cxrbuild.catalog import Recipe, read_recipe, recipe_names
from cxrbuild.catalog.datasheet import NOT_STATED
from cxrbuild.catalog.license import read_licenses
from cxrbuild.comparison import DatasetVersion, compare, read_version
from cxrbuild.curation import DeclarationFiles, as_shipped
from cxrbuild.documents import differing_keys
from cxrbuild.errors import CheckError, CxrbuildError, count_of, name_some
from cxrbuild.files import sha256_of
from cxrbuild.policy import Policy
from cxrbuild.releasing.advice import advise_version

if TYPE_CHECKING:
    import pandas as pd

# What a recipe says of its dataset.
_TEXTS = ("name", "title", "description")


def require_tables(build: Path, document: BuildDocument) -> None:
    """Require ledger and manifest as they were built.

    Raises
    ------
    CheckError
        One of them changed since.
    DocumentError
        The ``build.json`` does not have their hashes.
    """
    for name in (names.LEDGER, names.MANIFEST):
        if name not in document.files:
            raise DocumentError(
                build / names.BUILD, document.KIND, [Problem(f"files.{name}", "missing")], document.NEXT_STEP
            )
        wanted = document.files[name].sha256
        if not (build / name).is_file() or (digest := sha256_of(build / name)) != wanted:
            raise CheckError(
                "the file has changed since it was built", where=build / name, expected=f"SHA-256 {wanted}",
                found=digest if (build / name).is_file() else "no file", todo="Run `cxrbuild curate` again",
            )  # fmt: skip


def require_version(build: Path, document: BuildDocument, version: str) -> None:
    """Require the version of the build's recipe: an older build is no new version.

    Raises
    ------
    CheckError
        The build is of another version.
    """
    found = document.recipe.version
    if found != version:
        raise CheckError(
            f"the build is of version {found} of its recipe", where=build,
            expected=f"version {version}, as the release", found=found,
            todo=advise_version(build, document.recipe, version),
        )  # fmt: skip


def require_classes(build: Path, document: BuildDocument) -> None:
    """Require an image of each class in each split, unless the recipe allows that there is none.

    Raises
    ------
    CheckError
        A class is empty.
    """
    if problems := document.recipe.find_empty(document.counts):
        raise CheckError(
            "classes of the build are empty\n  " + "\n  ".join(problems), where=build,
            todo="List the classes under `split.allow_empty` in the recipe, and run `cxrbuild curate` again",
        )  # fmt: skip


def require_own_text(
    build: Path, document: BuildDocument, rows: DatasetVersion, files: DeclarationFiles | None
) -> None:
    """Refuse a changed copy of a shipped recipe that keeps its name, title, description or creator.

    What the original's text says, such as the number of its images, is false of the copy, which its creator
    did not make. A build whose rows are those of the published manifest of its name and version is no changed
    copy; neither is one that only switches rules or adds reviews, which its card says.

    Parameters
    ----------
    build
        The build.
    document
        Its ``build.json``.
    rows
        The version to release.
    files
        Where its declarations are; ``None`` where that is not known.

    Raises
    ------
    CheckError
        The recipe is such a copy.
    """
    recipe = as_shipped(document.recipe, files)
    compared = _compare_with_shipped(recipe)
    texts = _texts_of(recipe)
    # A shipped recipe has texts of its own, which another one may have too.
    own = {key: text for differing, one in compared if not differing for key, text in _texts_of(one).items()}
    for differing, shipped in compared:
        theirs = _texts_of(shipped)
        kept = [key for key, text in texts.items() if text and text == theirs[key] and text != own.get(key)]
        if not kept or not differing or _is_published(document, rows):
            continue
        raise CheckError(
            f"the recipe differs from the shipped {shipped.name} in {name_some(differing)}, and keeps its "
            f"{name_some(kept)}",
            where=build, expected="a name, title, description and creator of its own, which are true",
            todo=f"Write your own {name_some(kept)} into the recipe, what to cite as `citation`, and run "
            "`cxrbuild curate` again",
        )  # fmt: skip


def describe_kept_datasheet(
    document: BuildDocument, rows: DatasetVersion, files: DeclarationFiles | None
) -> str:
    """Return a warning of the texts that a changed copy keeps: of the datasheet, reasons, and the date.

    They are not refused: what images reveal about persons, for example, can be true of the copy too.

    Parameters
    ----------
    document
        The ``build.json``.
    rows
        The version to release.
    files
        Where its declarations are; ``None`` where that is not known.
    """
    recipe = as_shipped(document.recipe, files)
    compared = _compare_with_shipped(recipe)
    if not all(differing for differing, _ in compared):
        return ""
    for differing, shipped in compared:
        kept = [
            f"datasheet.{key}"
            for key in type(shipped.datasheet).model_fields
            if key not in ("creator", "keywords")
            and (text := getattr(recipe.datasheet, key))
            and text == getattr(shipped.datasheet, key)
        ]
        kept += [f"reason of the rule {name}" for name in _kept_reasons(recipe, shipped)]
        if kept and recipe.date == shipped.date is not None:
            kept.append("date")
        if kept and not _is_published(document, rows):
            return (
                f"The recipe differs from the shipped {shipped.name} in {name_some(differing)}, and keeps "
                f"its {', '.join(kept)}: the card states them of your data. Check them, and write your own "
                "where they are not true."
            )
    return ""


def require_attribution(build: Path, document: BuildDocument, embedded: pd.DataFrame, policy: Policy) -> None:
    """Refuse a public release of images whose licence requires credit, and that credit nobody.

    Parameters
    ----------
    build
        The build.
    document
        Its ``build.json``.
    embedded
        The rows whose pixels the release includes.
    policy
        ``public`` or ``private``; a private release is not checked.

    Raises
    ------
    CheckError
        An image has no ``attribution``, and its source neither a homepage nor a citation.
    """
    if policy == "private":
        return
    asking = [name for name, one in read_licenses().items() if "attribution" in one.conditions]
    silent = [
        name for name, one in document.declared_sources.items() if not one.homepage and not one.citation
    ]
    rows = embedded[
        embedded["license"].isin(asking) & embedded["source"].isin(silent) & embedded["attribution"].isna()
    ]
    if rows.empty:
        return
    counts = rows.groupby(["source", "license"]).size()
    raise CheckError(
        "the licence of images requires attribution, and whom to credit is not declared", where=build,
        expected="`attribution` under [columns] of the source, or its `homepage` or `citation`",
        found="; ".join(
            f"{key[0]}: {count_of(int(n), 'image')} under {key[1]}"
            for key, n in zip(counts.index.tolist(), counts.tolist(), strict=True)
        ),
        todo='Write `[columns.attribution]` with `value = "AUTHOR, YEAR"` or `from = "COLUMN"` into the '
        "declaration of the source, and run `cxrbuild curate` again",
    )  # fmt: skip


def _compare_with_shipped(recipe: Recipe) -> list[tuple[list[str], Recipe]]:
    """Return the shipped recipes with the keys in which a recipe differs from each, the nearest first."""
    compared = [(differing_keys(recipe, shipped), shipped) for shipped in _shipped_recipes()]
    return sorted(compared, key=lambda one: len(one[0]))


@cache
def _shipped_recipes() -> list[Recipe]:
    return [read_recipe(name) for name in recipe_names()]


def _texts_of(recipe: Recipe) -> dict[str, str]:
    """Return what a recipe says of its dataset, and who made it; empty where it does not say."""
    creator = recipe.datasheet.creator
    return {key: getattr(recipe, key) for key in _TEXTS} | {
        "datasheet.creator": "" if creator == NOT_STATED else creator
    }


def _kept_reasons(recipe: Recipe, shipped: Recipe) -> list[str]:
    """Return the rules that give the reason of the original, though they or the classes are others."""
    if not set(recipe.sources) & set(shipped.sources):
        return []
    before = {rule.name: rule for rule in shipped.rules}
    return [
        rule.name
        for rule in recipe.rules
        if rule.reason
        and (original := before.get(rule.name)) is not None
        and rule.reason == original.reason
        and (
            recipe.labels != shipped.labels
            or rule.model_copy(update={"enabled": original.enabled}) != original
        )
    ]


def _is_published(document: BuildDocument, rows: DatasetVersion) -> bool:
    name = f"{document.dataset.name}/{document.dataset.version}"
    return published_manifest(name).is_file() and compare(read_version(name), rows).bump is None


def require_images(build: Path, embedded: pd.DataFrame) -> None:
    """Require the JPEGs of a build, with their recorded sizes.

    Parameters
    ----------
    build
        The build.
    embedded
        The rows whose pixels the release includes.

    Raises
    ------
    CheckError
        A JPEG is missing or has another size.
    """
    missing, changed = [], []
    for path, size in zip(embedded["jpeg_path"], embedded["jpeg_bytes"], strict=True):
        if not (build / path).is_file():
            missing.append(path)
        elif (build / path).stat().st_size != size:
            changed.append(path)
    if changed:
        raise CheckError(
            f"{count_of(len(changed), 'image')} of the build changed since the build was made",
            where=build, found=name_some(changed),
            todo="Run `cxrbuild curate` again: it converts again what changed",
        )  # fmt: skip
    if missing:
        raise CheckError(
            f"{count_of(len(missing), 'image')} of the build missing", where=build, found=name_some(missing),
            todo="Run `cxrbuild curate` again: it converts again what is missing",
        )  # fmt: skip


def require_public_previous(policy: Policy, previous: Path | str | None) -> None:
    """Refuse a private release as the one before a public release: the changelog would publish it.

    The changelog lists old values next to new ones: paths, groups, and notes about images.

    Raises
    ------
    CxrbuildError
        The previous release is private.
    """
    if policy == "private" or not isinstance(previous, Path):
        return
    if open_release(previous).document.policy == "private":
        raise CxrbuildError(
            "the changelog of a public release would publish what only a private release has", where=previous,
            expected="a public release as the previous one", found="a private release",
            todo="Name the last public release with --previous, or omit the option for a first version",
        )  # fmt: skip


def require_same_key(document: BuildDocument, previous: Path | str | None) -> None:
    """Refuse patient numbers that are hashed with another key than in the previous release.

    Raises
    ------
    CxrbuildError
        The previous release has another key's fingerprint.
    """
    if not isinstance(previous, Path) or document.patient_key is None:
        return
    expected = open_release(previous).document.patient_key
    if expected not in (None, document.patient_key):
        raise CxrbuildError(
            "patient numbers are hashed with another key than in the previous release", where=previous,
            expected=f"the key with the fingerprint {expected}", found=document.patient_key,
            todo="Every patient would get another id. Set the key of before, and build again",
        )  # fmt: skip
