"""The ``build.json`` of a release, made from that of its build."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cxrbuild import __version__
from cxrbuild.artifact import BuildDocument, DatasetDocument, ReleaseDocument, names
from cxrbuild.artifact.build import Packaging, RemovedImage
from cxrbuild.errors import CxrbuildError
from cxrbuild.policy import Policy, confidential_sources, listed_corrections, without_file_names
from cxrbuild.previous_split import groups_joined
from cxrbuild.split import groups_in_several_splits
from cxrbuild.verification.results import build_manifest_hash

if TYPE_CHECKING:
    import pandas as pd


def release_document(
    build: BuildDocument,
    version: str,
    policy: Policy,
    records: pd.DataFrame,
    sizes: Sequence[int] = (),
    removed: Sequence[RemovedImage] = (),
) -> ReleaseDocument:
    """Return the release's ``build.json``: the build's, without the hashes of its files.

    Parameters
    ----------
    build
        The ``build.json`` of the build.
    version, policy, sizes
        The release's.
    records
        Its ledger.
    removed
        The images of former releases that it no longer has and does not list.
    """
    listed = frozenset(records["image_id"])
    confidential = confidential_sources(build, policy)
    reasons = records["withheld"].value_counts()
    previous = build.previous
    if previous is not None:
        # A public release names no group after an image or patient that it does not list.
        joined = groups_joined(records, build.recipe.split).to_dict()
        previous = previous.model_copy(update={"groups_in_several_splits": joined})
        if confidential:
            previous = previous.model_copy(update={"sha256": None})
    # A hash without a key confirms a guess of what it covers: none may cover what the release omits.
    manifest_sha256 = build.files[names.MANIFEST].sha256
    if confidential:
        manifest_sha256 = build_manifest_hash(records[records["exclusion"].isna()])
    shared = {name: getattr(build, name) for name in DatasetDocument.model_fields}
    return ReleaseDocument(
        **shared
        | {
            "dataset": build.dataset.model_copy(update={"version": version}),
            "inputs": None if policy == "public" else build.inputs,
            # A public release names no file, and no excluded image, of a source that is not public.
            "sources": without_file_names(build, policy, listed),
            "missing": {image: why for image, why in build.missing.items() if image in listed},
            "groups_in_several_splits": groups_in_several_splits(records).to_dict(),
            "previous": previous,
            "corrections": listed_corrections(build, policy, records),
            "policy": policy,
            "date": release_date(build.recipe.date),
            "withheld": {str(reason): int(n) for reason, n in reasons.items()},
            "sizes": list(sizes),
            "removed": list(removed),
            # Of the build, whose `withheld` is null: audit and baseline results name it.
            "packaging": Packaging(cxrbuild=__version__, manifest_sha256=manifest_sha256, files={}),
        }
    )


def release_date(declared: str | None) -> str:
    """Return the date of a release: ``SOURCE_DATE_EPOCH``, else that of the recipe.

    Parameters
    ----------
    declared
        The recipe's date.

    Raises
    ------
    CxrbuildError
        There is none, or ``SOURCE_DATE_EPOCH`` is not a time.
    """
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if epoch:
        try:
            return datetime.fromtimestamp(int(epoch), UTC).date().isoformat()
        except (ValueError, OverflowError, OSError):
            raise CxrbuildError(
                "not a valid time", where="environment variable SOURCE_DATE_EPOCH",
                expected="seconds since 1970: https://reproducible-builds.org/specs/source-date-epoch/",
                found=epoch,
                todo="Set it to a number of seconds, or unset it",
            ) from None  # fmt: skip
    if declared is None:
        raise CxrbuildError(
            "the release has no date", where="the recipe's `date`",
            todo='Write `date = "YYYY-MM-DD"` into the recipe and curate again, or set SOURCE_DATE_EPOCH: '
            "the current date is not used, so that the same build gives the same release on any day",
        )  # fmt: skip
    return declared
