"""Pack a build as a release."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxrbuild import __version__
from cxrbuild.comparison import DatasetVersion, parse_version
from cxrbuild.contents import Contents
from cxrbuild.documents import audited_contents, croissant, texts
from cxrbuild.errors import CheckError, CxrbuildError, name_some
from cxrbuild.files import files_under, locked, read_json, sha256_of, write_bytes, write_json
from cxrbuild.policy import Policy, withheld
from cxrbuild.progress import Progress, silent
from cxrbuild.records import read_records, write_records
from cxrbuild.releasing.changelog import changelog, check_version, find_previous
from cxrbuild.report import write_report
from cxrbuild.shards import lay_out, require_tensorflow, write_parquet, write_tfrecord
from cxrbuild.verification import refuse_faults, verify
from cxrbuild.verification.document import is_release, read_document
from cxrbuild.verification.finding import Finding
from cxrbuild.verification.results import RESULTS, claims
from cxrbuild.verification.sums import SUMS, check_files, read_sums

if TYPE_CHECKING:
    import pandas as pd


def release(
    build: Path,
    version: str,
    out: Path,
    *,
    policy: Policy = "public",
    previous: Path | None = None,
    progress: Progress = silent,
) -> tuple[dict[str, Any], bool]:
    """Pack a build as a release.

    The same build, version and previous release give the same bytes. The date is that of
    ``SOURCE_DATE_EPOCH``, else the recipe's.

    Parameters
    ----------
    build
        A finished build.
    version
        The release's version, MAJOR.MINOR.PATCH.
    out
        The release's folder: a new one, or one that holds this very release.
    policy
        ``public`` embeds what may be passed on, ``private`` everything.
    previous
        The release before, unless it stands beside ``out`` or is published.
    progress
        Told how far each stage is.

    Returns
    -------
    tuple
        The release's ``build.json``, and whether anything was written: a release that is there already with
        the same bytes stays as it is.

    Raises
    ------
    CxrbuildError
        There is no build, or another release is in the folder.
    CheckError
        The version is too small a step, or the build is not what it says.
    """
    parse_version(version)
    document = _read_build(build)
    _require_tables(build, document)
    name = document["dataset"]["name"]
    if "tfrecord" in document["formats"]:
        require_tensorflow("packing TFRecord")
    records = _with_withheld(read_records(build / "ledger.parquet"), policy)
    outcomes = _read_results(build, document)
    audit = outcomes["audit"][1] if "audit" in outcomes else None
    described = _document(document, version, policy, records)
    try:
        contents = audited_contents(described, records, audit)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise CxrbuildError(
            "not as `cxrbuild audit` writes it", where=build / RESULTS["audit"], found=repr(error),
            todo="Run `cxrbuild audit` again, or move the file away",
        ) from None  # fmt: skip
    # A release that is there is not a step back, whatever came after it.
    before = previous or find_previous(name, version, policy, out, back=(out / SUMS).is_file())
    new = DatasetVersion(
        str(build),
        contents.kept,
        contents.recipe.classes,
        released=True,
        missing=document["missing"],
        unpinned=document["unpinned"],
    )
    found = check_version(name, version, new, before)
    _require_images(build, contents.embedded)
    # Beside the release, so that it can be moved into place in one step.
    workshop = out.parent / f".{out.name}.part"
    with locked(workshop):
        try:
            staging = workshop / out.name
            # What a killed run left.
            shutil.rmtree(staging, ignore_errors=True)
            staging.mkdir()
            words = changelog(version, contents.document["date"], contents.notices, before, found)
            packed = _write(build, staging, contents, outcomes, words, progress)
            refuse_faults(verify(staging, progress=progress), build)
            return packed, _put(staging, out)
        finally:
            shutil.rmtree(workshop)


def default_folder(build: Path, version: str, policy: Policy) -> Path:
    """Return where a release goes unless a folder is named: ``release/NAME-VERSION``, ``-private`` if it is.

    Raises
    ------
    CxrbuildError
        There is no build.
    """
    name = _read_build(build)["dataset"]["name"]
    return Path("release") / f"{name}-{version}{'-private' if policy == 'private' else ''}"


def _read_build(build: Path) -> dict[str, Any]:
    path = build / "build.json"
    if not path.is_file():
        raise CxrbuildError(
            "no finished build", where=build, expected="a folder with build.json",
            todo="Run `cxrbuild curate`, or name the build with --build",
        )  # fmt: skip
    if is_release(build):
        raise CxrbuildError("this is a release, no build", where=build, todo="Name the build it was made of")
    faults: list[Finding] = []
    document = read_document(build, faults, released=False)
    if document is None:
        lines = "\n".join(f"  {fault}" for fault in faults)
        raise CxrbuildError(
            f"this is not the build.json of a finished build\n{lines}", where=path,
            todo="Run `cxrbuild curate` again, in a new folder if the build is of an older cxrbuild",
        )  # fmt: skip
    return document


def _require_tables(build: Path, document: dict[str, Any]) -> None:
    for name in ("ledger.parquet", "manifest.parquet"):
        wanted = document["files"][name]["sha256"]
        if not (build / name).is_file() or (digest := sha256_of(build / name)) != wanted:
            raise CheckError(
                "the file is not as it was built", where=build / name, expected=f"SHA-256 {wanted}",
                found=digest if (build / name).is_file() else "no file", todo="Run `cxrbuild curate` again",
            )  # fmt: skip


def _require_images(build: Path, embedded: pd.DataFrame) -> None:
    gone, other = [], []
    for path, size in zip(embedded["jpeg_path"], embedded["jpeg_bytes"], strict=True):
        if not (build / path).is_file():
            gone.append(path)
        elif (build / path).stat().st_size != size:
            other.append(path)
    if other:
        raise CheckError(
            f"{len(other)} images of the build are not as they were built",
            where=build, found=name_some(other),
            todo="Run `cxrbuild curate` again: it makes anew what is not as it was",
        )  # fmt: skip
    if gone:
        raise CheckError(
            f"{len(gone)} images of the build are not there", where=build, found=name_some(gone),
            todo="Run `cxrbuild curate` again: it makes anew what is gone",
        )  # fmt: skip


def _document(build: dict[str, Any], version: str, policy: Policy, records: pd.DataFrame) -> dict[str, Any]:
    """Return the release's ``build.json``: the build's, without the hashes of its files."""
    reasons = records["withheld"].value_counts()
    told = {key: value for key, value in build.items() if key != "files"}
    return told | {
        "dataset": build["dataset"] | {"version": version},
        "policy": policy,
        "date": _date(build["recipe"].get("date")),
        "withheld": {str(reason): int(n) for reason, n in reasons.items()},
        "packed": {
            "cxrbuild": __version__,
            # Of the build, whose `withheld` is blank: audit and baseline name it.
            "manifest_sha256": build["files"]["manifest.parquet"]["sha256"],
        },
    }


def _date(declared: str | None) -> str:
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if epoch:
        try:
            return datetime.fromtimestamp(int(epoch), UTC).date().isoformat()
        except (ValueError, OverflowError, OSError):
            raise CxrbuildError(
                "not a time", where="environment variable SOURCE_DATE_EPOCH",
                expected="seconds since 1970: https://reproducible-builds.org/specs/source-date-epoch/",
                found=epoch,
            ) from None  # fmt: skip
    if declared is None:
        raise CxrbuildError(
            "the release has no date", where="the recipe's `date`",
            todo='Write `date = "YYYY-MM-DD"` into the recipe and curate again, or set SOURCE_DATE_EPOCH: '
            "the clock is not asked, so that the same build gives the same release on every day",
        )  # fmt: skip
    return declared


def _with_withheld(ledger: pd.DataFrame, policy: Policy) -> pd.DataFrame:
    kept = ledger["exclusion"].isna()
    ledger = ledger.copy()
    ledger.loc[kept, "withheld"] = withheld(ledger[kept], policy)
    return ledger


def _write(
    build: Path,
    root: Path,
    contents: Contents,
    outcomes: Mapping[str, tuple[Path, Any]],
    words: str,
    progress: Progress,
) -> dict[str, Any]:
    """Write every file of the release, ``SHA256SUMS`` last; return its ``build.json``."""
    write_records(root / "ledger.parquet", contents.records)
    write_records(root / "manifest.parquet", contents.kept)
    shards = _write_shards(build, root, contents, progress)
    write_bytes(root / "CHANGELOG.md", words.encode())
    for name, (path, _) in outcomes.items():
        write_bytes(root / f"{name}.json", path.read_bytes())
    _write_report(root / "report.html", contents, build, outcomes)
    # What does not follow from the data stands with its hash: the rest is made again and compared.
    others = ["CHANGELOG.md", "report.html", *(f"{name}.json" for name in outcomes)]
    packed = contents.document["packed"] | {"files": {name: sha256_of(root / name) for name in others}}
    document = contents.document | {"packed": packed}
    write_json(root / "build.json", document)
    for name, text in texts(
        root, contents, _splits([path for path in shards if path.suffix == ".parquet"]), outcomes
    ).items():
        write_bytes(root / name, text.encode())
    hashes = _hashes(root)
    write_json(root / "croissant.json", croissant(root, contents, hashes))
    hashes["croissant.json"] = sha256_of(root / "croissant.json")
    sums = "".join(f"{digest}  {name}\n" for name, digest in sorted(hashes.items()))
    write_bytes(root / SUMS, sums.encode())
    return document


def _write_report(
    path: Path, contents: Contents, build: Path, outcomes: Mapping[str, tuple[Path, Any]]
) -> None:
    from jinja2 import TemplateRuntimeError

    try:
        write_report(path, contents, build, {name: outcome for name, (_, outcome) in outcomes.items()})
    except (TemplateRuntimeError, LookupError, TypeError, ValueError, AttributeError) as error:
        if not outcomes:
            raise
        raise CxrbuildError(
            "no report can be made of what it says", where=" or ".join(str(p) for p, _ in outcomes.values()),
            expected="what this cxrbuild writes", found=error,
            todo="Run `cxrbuild audit` and `cxrbuild train-baseline` again, or move the files away",
        ) from error  # fmt: skip


def _hashes(root: Path) -> dict[str, str]:
    names = (Path(entry.path).relative_to(root).as_posix() for entry in files_under(root))
    return {name: sha256_of(root / name) for name in names}


def _write_shards(build: Path, root: Path, contents: Contents, progress: Progress) -> list[Path]:
    recipe = contents.recipe
    shards = lay_out(contents.embedded)
    paths = write_parquet(shards, build, recipe.classes, progress, out=root)
    if "tfrecord" in contents.document["formats"]:
        paths += write_tfrecord(
            shards, build, recipe.classes, name=recipe.name, version=contents.version, out=root,
            description=contents.description, citation=recipe.citation or "", progress=progress,
        )  # fmt: skip
    return paths


def _read_results(build: Path, document: dict[str, Any]) -> dict[str, tuple[Path, Any]]:
    """Return the outcome of the audit and of the baseline, where there is one, and its file.

    Raises
    ------
    CxrbuildError
        The outcome is another build's or recipe's, or does not say whose it is.
    """
    outcomes = {}
    for name, place in RESULTS.items():
        path = build / place
        if not path.is_file():
            continue
        outcome = read_json(path)
        manifest = document["files"]["manifest.parquet"]["sha256"]
        of, names = claims(outcome)
        if of != manifest:
            raise CxrbuildError(
                f"this {name} is of another build", where=path,
                expected=f"one of the manifest with SHA-256 {manifest}",
                found=of or "none",
                todo="Run it again on this build, or move the file away",
            )  # fmt: skip
        # What a baseline is held against is its recipe's, which need not be the build's.
        if names != {document["dataset"]["name"]}:
            raise CxrbuildError(
                f"this {name} is by another recipe", where=path, expected=document["dataset"]["name"],
                found=", ".join(sorted(names)) or "no name of one",
                todo="Run it again with the build's own recipe (--recipe), or move the file away",
            )  # fmt: skip
        outcomes[name] = (path, outcome)
    return outcomes


def _splits(parquet: list[Path]) -> dict[str, dict[str, int]]:
    """Return for each part the rows of its shards and their uncompressed bytes."""
    import pyarrow.parquet as pq

    splits: dict[str, dict[str, int]] = {}
    for path in parquet:
        split = splits.setdefault(path.name.split("-")[0], {"num_bytes": 0, "num_examples": 0})
        metadata = pq.read_metadata(path)
        split["num_bytes"] += sum(
            metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups)
        )
        split["num_examples"] += metadata.num_rows
    return splits


def _put(staging: Path, out: Path) -> bool:
    """Move the release into place; one that is there with the same bytes stays.

    Raises
    ------
    CheckError
        It is there, and a file of it is no longer as it was packed.
    CxrbuildError
        Something else is there.
    """
    if out.exists():
        there = out / SUMS
        if not out.is_dir() or (any(out.iterdir()) and not there.is_file()):
            raise CxrbuildError("something else is there", where=out, todo="Name another folder with --out")
        if there.is_file():
            _refuse_damage(out)
            if there.read_bytes() == (staging / SUMS).read_bytes():
                return False
            raise CxrbuildError(
                "another release is there, and a release never changes", where=out,
                todo="Name a later version or another folder, or remove it if nobody has it yet",
            )  # fmt: skip
        out.rmdir()
    staging.replace(out)
    return True


def _refuse_damage(out: Path) -> None:
    faults: list[Finding] = []
    check_files(out, read_sums(out, faults), silent, faults, only_these=True)
    if faults:
        lines = "\n".join(f"  {fault}" for fault in faults)
        raise CheckError(
            f"this release is there already, and is no longer as it was packed\n{lines}", where=out,
            todo="Move it away and run `cxrbuild release` again",
        )  # fmt: skip
