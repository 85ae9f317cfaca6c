"""The main job on the real images: fetched from servers that answer as upstream does, curated, counted."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
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


# Which images the servers have: all, those of the shared folder, or one of ten of these. Of the first two the
# images that Cohen and ActualMed lack, those of ActualMed with other bytes, and those that can be built.
WHOLE, AVAILABLE, TENTH = "with stand-ins", "as available", "a tenth"
EXPECTED = {WHOLE: (0, 0, 232, 6354), AVAILABLE: (18, 184, 48, 6311)}


@dataclass(frozen=True)
class World:
    """The four upstream servers: which images they have, their address, and the folder that they serve."""

    images: str
    address: str
    folder: Path

    def lacks(self, source: str) -> set[str]:
        """Return the images of a source's pin that its server does not have."""
        listing = read_source(source).listing
        assert listing is not None
        images = {path for path in listing if path.startswith("images/")}
        return {path for path in images if not (self.folder / source / path).is_file()}


@pytest.fixture(
    scope="module", params=[TENTH, *(pytest.param(one, marks=pytest.mark.slow) for one in EXPECTED)]
)
def world(
    request: pytest.FixtureRequest, shared: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    tool, folder = shared / "tools" / "upstream.py", tmp_path_factory.mktemp("world")
    flags = ["--stand-ins"] if request.param == WHOLE else []
    subprocess.run([sys.executable, tool, "assemble", folder, *flags], check=True, capture_output=True)
    if request.param == TENTH:
        # All of Figure 1, and one of ten images of the others.
        images = [path for name in ("cohen", "actualmed", "mooney") for path in images_in(folder / name)]
        for number, path in enumerate(images):
            if number % 10:
                path.unlink()
    server = subprocess.Popen([sys.executable, tool, "serve", folder], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        yield World(request.param, server.stdout.readline().strip(), folder)
    finally:
        server.terminate()
        server.wait()
        server.stdout.close()


def images_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix in (".jpg", ".jpeg", ".png"))


@pytest.fixture(scope="module")
def data(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    places = {**GITHUB, "mooney": MENDELEY}
    origins = [f"--from={name}={world.address}{path}" for name, path in places.items()]
    ran = run("fetch", *origins, "--allow-unpinned", "--data", folder)
    assert ran.status == 0, ran.err
    return folder


@pytest.mark.slow
def test_figure1_is_verified_without_a_flag_and_the_others_are_refused(world: World, tmp_path: Path) -> None:
    ran = run("fetch", f"--from=figure1={world.address}{GITHUB['figure1']}", "--data", tmp_path, "--json")
    assert ran.status == 0, ran.err
    lock = json.loads(ran.out)["sources"]["figure1"]
    assert (lock["proof"], lock["unpinned"], lock["files"]) == ("git tree", False, 58)
    ran = run("fetch", f"--from=cohen={world.address}{GITHUB['cohen']}", "--data", tmp_path)
    assert ran.status == 1
    assert "1ce61c7afbd499c6b524aabe84f86481bfc26184" in ran.err
    assert "--allow-unpinned" in ran.err


def test_the_lock_lists_what_is_missing_and_different(world: World, data: Path) -> None:
    sources = json.loads((data / "sources.lock.json").read_text())["sources"]
    assert sources["figure1"]["unpinned"] is False
    found = []
    for name in ("cohen", "actualmed"):
        missing = [path for path in sources[name]["missing"] if path.startswith("images/")]
        assert set(missing) == world.lacks(name)
        found.append(len(missing))
    found.append(len(sources["actualmed"]["different"]))
    if world.images == TENTH:
        assert min(found) > 0
        return
    assert tuple(found) == EXPECTED[world.images][:3]
    assert sources["mooney"]["proof"] == "names"


@pytest.mark.slow
def test_both_layouts_of_mooney_end_in_one_tree(world: World, data: Path, tmp_path: Path) -> None:
    ran = run("fetch", f"--from=mooney={world.address}{KAGGLE}", "--allow-unpinned", "--data", tmp_path)
    assert ran.status == 0, ran.err
    one, other = data / "sources" / "mooney", tmp_path / "sources" / "mooney"
    listing = read_source("mooney").listing
    assert listing is not None
    there = {path for path in listing if (world.folder / "mooney" / path).is_file()}
    assert there == set(listing) or world.images == TENTH
    for root in (one, other):
        assert {p.relative_to(root).as_posix() for p in root.rglob("*.jpeg")} == there
    assert all((one / path).read_bytes() == (other / path).read_bytes() for path in there)


def test_curate_builds_the_papers_dataset_or_lists_what_is_missing(
    world: World, data: Path, tmp_path: Path
) -> None:
    words = ["curate", "--drop-lateral", "--data", data, "--out", tmp_path / "build", "--format", "parquet"]
    ran = run(*words, "--json", "--quiet")
    if world.images != WHOLE:
        assert ran.status == 3
        assert re.search(r"[\d,]+ images of the dataset missing", ran.err)
        cohen = re.search(r"\n    cohen (\d+) \(missing_file\)\n", ran.err)
        assert cohen
        assert world.images == TENTH or ("43 images of the dataset" in ran.err and int(cohen[1]) == 11)
        ran = run(*words, "--json", "--quiet", "--allow-missing")
    assert ran.status == 0, ran.err
    document = json.loads(ran.out)
    kept = sum(sum(part.values()) for part in document["counts"].values())
    assert len(document["missing"]) == 6354 - kept
    if world.images == TENTH:
        assert 500 < kept < 800
    else:
        assert kept == EXPECTED[world.images][3]
    assert document["unpinned"] == ["cohen", "actualmed", "mooney"]
    if world.images == WHOLE:
        assert {part: sum(labels.values()) for part, labels in document["counts"].items()} == {
            "train": 5614,
            "test": 740,
        }
    ledger = read_records(tmp_path / "build" / "ledger.parquet")
    assert len(ledger) == 6913
    assert len(list((tmp_path / "build" / "images").rglob("*.jpg"))) == kept
    if world.images == AVAILABLE:
        again = json.loads(run(*words, "--json", "--quiet", "--allow-missing").out)
        assert again["changed"] is False
