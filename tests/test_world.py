"""The main job on the real images: fetched from servers that answer as upstream does, curated, counted."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import run

from cxrbuild.catalog import read_source
from cxrbuild.records import read_records

GITHUB = {
    "cohen": "/ieee8023/covid-chestxray-dataset/tar.gz/584034aa7fbf06496741f11008d72fd791c8e443",
    "figure1": "/agchung/Figure1-COVID-chestxray-dataset/tar.gz/95bb569e55f4110d3b734c0f355340e04e16989a",
    "actualmed": "/agchung/Actualmed-COVID-chestxray-dataset/tar.gz/27240dd8dec9454bc97f9f3c0c432ef434de2517",
}
MENDELEY = "/public-files/datasets/rscbjbr9sj/files/f12eaf6d-6023-432f-acc9-80c9d7393433/file_downloaded"
KAGGLE = "/api/v1/datasets/download/paultimothymooney/chest-xray-pneumonia"

pytestmark = pytest.mark.xdist_group("world")


@pytest.fixture(
    scope="module", params=["with stand-ins", pytest.param("as available", marks=pytest.mark.slow)]
)
def world(
    request: pytest.FixtureRequest, shared: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[bool, str]]:
    """The four upstream servers: whether every image is there, and their address."""
    whole = request.param == "with stand-ins"
    tool, folder = shared / "tools" / "upstream.py", tmp_path_factory.mktemp("world")
    flags = ["--stand-ins"] if whole else []
    subprocess.run([sys.executable, tool, "assemble", folder, *flags], check=True, capture_output=True)
    server = subprocess.Popen([sys.executable, tool, "serve", folder], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        yield whole, server.stdout.readline().strip()
    finally:
        server.terminate()
        server.wait()
        server.stdout.close()


@pytest.fixture(scope="module")
def data(world: tuple[bool, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    _, address = world
    folder = tmp_path_factory.mktemp("data")
    origins = [f"--from={name}={address}{path}" for name, path in {**GITHUB, "mooney": MENDELEY}.items()]
    ran = run("fetch", *origins, "--allow-unpinned", "--data", folder)
    assert ran.status == 0, ran.err
    return folder


@pytest.mark.slow
def test_figure1_is_verified_without_a_flag_and_the_others_are_refused(
    world: tuple[bool, str], tmp_path: Path
) -> None:
    _, address = world
    ran = run("fetch", f"--from=figure1={address}{GITHUB['figure1']}", "--data", tmp_path, "--json")
    assert ran.status == 0, ran.err
    lock = json.loads(ran.out)["sources"]["figure1"]
    assert (lock["proof"], lock["unpinned"], lock["files"]) == ("git tree", False, 58)
    ran = run("fetch", f"--from=cohen={address}{GITHUB['cohen']}", "--data", tmp_path)
    assert ran.status == 1
    assert "1ce61c7afbd499c6b524aabe84f86481bfc26184" in ran.err
    assert "--allow-unpinned" in ran.err


def test_the_lock_lists_what_is_missing_and_different(world: tuple[bool, str], data: Path) -> None:
    whole, _ = world
    sources = json.loads((data / "sources.lock.json").read_text())["sources"]
    assert sources["figure1"]["unpinned"] is False
    images = [path for path in sources["actualmed"]["missing"] if path.startswith("images/")]
    assert len(images) == (0 if whole else 184)
    images = [path for path in sources["cohen"]["missing"] if path.startswith("images/")]
    assert len(images) == (0 if whole else 18)
    assert len(sources["actualmed"]["different"]) == (232 if whole else 48)
    assert sources["mooney"]["proof"] == "names"


@pytest.mark.slow
def test_both_layouts_of_mooney_end_in_one_tree(world: tuple[bool, str], data: Path, tmp_path: Path) -> None:
    _, address = world
    ran = run("fetch", f"--from=mooney={address}{KAGGLE}", "--allow-unpinned", "--data", tmp_path)
    assert ran.status == 0, ran.err
    one, other = data / "sources" / "mooney", tmp_path / "sources" / "mooney"
    listing = read_source("mooney").listing
    assert listing is not None
    for root in (one, other):
        assert {p.relative_to(root).as_posix() for p in root.rglob("*.jpeg")} == set(listing)
    assert all((one / path).read_bytes() == (other / path).read_bytes() for path in listing)


def test_curate_builds_the_papers_dataset_or_lists_what_is_missing(
    world: tuple[bool, str], data: Path, tmp_path: Path
) -> None:
    whole, _ = world
    words = ["curate", "--drop-lateral", "--data", data, "--out", tmp_path / "build", "--format", "parquet"]
    ran = run(*words, "--json", "--quiet")
    if not whole:
        assert ran.status == 3
        assert "43 images of the dataset missing" in ran.err
        assert "\n    cohen 11 (missing_file)\n" in ran.err
        ran = run(*words, "--json", "--quiet", "--allow-missing")
    assert ran.status == 0, ran.err
    document = json.loads(ran.out)
    kept = 6354 if whole else 6311
    assert sum(sum(part.values()) for part in document["counts"].values()) == kept
    if whole:
        assert {part: sum(labels.values()) for part, labels in document["counts"].items()} == {
            "train": 5614,
            "test": 740,
        }
    assert len(document["missing"]) == 6354 - kept
    assert document["unpinned"] == ["cohen", "actualmed", "mooney"]
    ledger = read_records(tmp_path / "build" / "ledger.parquet")
    assert len(ledger) == 6913
    assert len(list((tmp_path / "build" / "images").rglob("*.jpg"))) == kept
    if not whole:
        again = json.loads(run(*words, "--json", "--quiet", "--allow-missing").out)
        assert again["changed"] is False
