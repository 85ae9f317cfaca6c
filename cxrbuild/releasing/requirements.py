"""What a build must have to be released: unchanged files, images in each class, the key of before."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.artifact import BuildDocument, DocumentError, Problem, names, open_release
from cxrbuild.errors import CheckError, CxrbuildError, count_of, name_some
from cxrbuild.files import sha256_of

if TYPE_CHECKING:
    import pandas as pd


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
