"""Find the images of former releases that a public release no longer has and does not list."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.artifact import names, open_release
from cxrbuild.artifact.build import RemovedImage
from cxrbuild.exclusions import MISSING, NO_LONGER_UPSTREAM
from cxrbuild.records import read_records

if TYPE_CHECKING:
    import pandas as pd


def find_removed(
    previous: Path | str | None, version: str, ledger: pd.DataFrame, unlisted: Collection[str]
) -> list[RemovedImage]:
    """Return the images of the former releases that a release no longer has, each with the cause.

    The former release lists these images, and the changelog names them. So does this list, for programs.

    Parameters
    ----------
    previous
        The former public release; a published manifest has no images of sources that are not public.
    version
        The version of the release.
    ledger
        ``image_id`` and ``exclusion`` of every upstream image.
    unlisted
        The sources whose excluded images the release does not list.
    """
    if not unlisted or not isinstance(previous, Path):
        return []
    kept = set(ledger.loc[ledger["exclusion"].isna(), "image_id"])
    exclusions = dict(zip(ledger["image_id"], ledger["exclusion"], strict=True))
    known = {
        one.image_id: one
        for one in open_release(previous).document.removed
        if one.source in unlisted
        and one.image_id not in kept
        # Its file may have come, and another reason is no news of the release before.
        and (one.cause not in MISSING or exclusions.get(one.image_id) in MISSING)
    }
    rows = read_records(previous / names.MANIFEST, ["image_id", "source"])
    rows = rows[rows["source"].isin(list(unlisted)) & ~rows["image_id"].isin(list(kept))]
    for image, source in rows.itertuples(index=False):
        cause = exclusions.get(image, NO_LONGER_UPSTREAM)
        known[image] = RemovedImage(image_id=image, source=source, version=version, cause=cause)
    return [known[image] for image in sorted(known)]
