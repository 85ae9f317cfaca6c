"""An installed wheel works away from the checkout: catalogue and published manifests travel in it."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from command import CHECKOUT


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
         "--wheel-dir", folder, CHECKOUT],
        check=True, capture_output=True,
    )  # fmt: skip
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def python(installed: Path, *words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    # -P and an empty working folder keep the checkout out of the import path; an editable install comes last.
    return subprocess.run(
        [sys.executable, "-P", *map(str, words)],
        cwd=cwd, env=os.environ | {"PYTHONPATH": str(installed)}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_catalogue_and_manifest_travel_in_the_wheel(installed: Path, tmp_path: Path) -> None:
    program = (
        "import cxrbuild\n"
        "from cxrbuild.catalog import read_source, source_names, recipe_names, read_recipe\n"
        "from cxrbuild.artifact.published import published_manifest\n"
        "from cxrbuild.records import read_records\n"
        "print(cxrbuild.__file__)\n"
        "print(sum(len(read_source(name).listing or ()) for name in source_names()))\n"
        "print(len(read_records(published_manifest(read_recipe('covid19-cxr').manifest))))"
    )
    done = python(installed, "-c", program, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    file, listed, published = done.stdout.split()
    assert Path(file).is_relative_to(installed)
    assert int(listed) == 969 + 58 + 240 + 5856
    assert int(published) == 6354


@pytest.mark.slow
def test_the_demo_and_the_plan_run_from_the_wheel(
    installed: Path, metadata_only: Path, tmp_path: Path
) -> None:
    done = python(installed, "-m", "cxrbuild", "demo", "--quiet", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "demo" / "build" / "build.json").exists()
    done = python(
        installed, "-m", "cxrbuild", "plan", "--as-pinned", "--quiet", "--data", metadata_only, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
