"""A folder laid out as the demo's, with few images of two of its sources: its commands take half the time."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from command import run

SOURCES = ("cohen", "mooney")
# Of cohen: the patients 1 to 4, and each image that a rule excludes.
LEFT_OUT = [f"case-{patient:02d}-" for patient in range(5, 17)]
# Of mooney: so many images of each class and split.
OF_EACH_FOLDER = 3
COUNTS = {"COVID-19": 8, "Normal": 6, "Pneumonia": 6}
IMAGES = sum(COUNTS.values())


@pytest.fixture(scope="session")
def small_demo(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recipe, fetched images and a build of them; a test that changes it works on a copy."""
    folder = tmp_path_factory.mktemp("small")
    shutil.copytree(demo / "declared", folder / "declared")
    recipe, sources = folder / "declared" / "recipe.toml", folder / "given"
    text = recipe.read_text().replace("COVID-19 = 6", "COVID-19 = 2")
    for name in ("figure1", "actualmed"):
        text = text.replace(f'    "{name}.toml",\n', "").replace(f'{name} = [\n    "COVID-19",\n]\n', "")
    recipe.write_text(text)
    for name in SOURCES:
        shutil.copytree(demo / "data" / "sources" / name, sources / name)
    table = sources / "cohen" / "metadata.csv"
    rows = table.read_text().splitlines(keepends=True)
    table.write_text("".join(row for row in rows if not any(image in row for image in LEFT_OUT)))
    unused = [path for image in LEFT_OUT for path in sources.rglob(f"{image}*")]
    for of_class in sources.glob("mooney/chest_xray/*/*"):
        unused += sorted(of_class.iterdir())[OF_EACH_FOLDER:]
    for path in unused:
        path.unlink()
    declared = [folder / "declared" / f"{name}.toml" for name in SOURCES]
    origins = [f"--from={name}={sources / name}" for name in SOURCES]
    data = ("--data", folder / "data")
    ran = run("fetch", *declared, *origins, "--pin", "--allow-unpinned", *data)
    assert ran.status == 0, ran.err
    words = ("--recipe", recipe, *data, "--out", folder / "build", "--format", "parquet", "--workers", 1)
    ran = run("curate", *words)
    assert ran.status == 0, ran.err
    return folder
