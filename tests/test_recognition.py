"""Folders are recognised by their files: a build, a release, a plan, and how each stores its images."""

from __future__ import annotations

from pathlib import Path

import pytest

from cxrbuild.artifact import is_plan, kind_of, names
from cxrbuild.artifact.stored_images import stored_as
from cxrbuild.curation.plan_folder import require_plan_folder
from cxrbuild.errors import CxrbuildError


def fill(folder: Path, *files: str) -> Path:
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}")
    return folder


@pytest.mark.parametrize(
    ("files", "kind", "plan"),
    [
        ([], None, False),
        ([names.LEDGER], None, True),
        ([names.LEDGER, names.BUILD], "build", False),
        ([names.LEDGER, names.SUMS], "release", False),
        ([names.BUILD, names.SUMS], "release", False),
    ],
)
def test_a_folder_is_a_build_a_release_or_a_plan(
    tmp_path: Path, files: list[str], kind: str | None, plan: bool
) -> None:
    folder = fill(tmp_path, *files)
    assert (kind_of(folder), is_plan(folder)) == (kind, plan)
    if kind is None:
        require_plan_folder(folder, None)
    else:
        with pytest.raises(CxrbuildError, match=f"the folder holds a {kind}"):
            require_plan_folder(folder, None)


@pytest.mark.parametrize(
    ("files", "stored"),
    [
        ([], None),
        ([names.MANIFEST], "nothing"),
        ([names.MANIFEST, names.TFDS_INFO], "nothing"),
        ([names.MANIFEST, "images/train/Normal/a.jpg", "data/train-00000-of-00001.parquet"], "files"),
        ([names.MANIFEST, "data/train-00000-of-00001.parquet"], "parquet"),
        (["data/train-00000-of-00001.parquet", names.TFDS_INFO], "parquet"),
        ([names.TFDS_INFO], "tfrecord"),
    ],
)
def test_a_folder_stores_its_images_in_one_way(tmp_path: Path, files: list[str], stored: str | None) -> None:
    assert stored_as(fill(tmp_path, *files)) == stored
