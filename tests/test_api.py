"""The public API: small, documented, and the only way into the package."""

from __future__ import annotations

import doctest
import importlib
import inspect
import json
import pkgutil
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from command import CHECKOUT, run

import cxrbuild
from cxrbuild.releasing import foresee


def test_import_loads_nothing_heavy() -> None:
    code = (
        "import sys; before = set(sys.modules); import cxrbuild; dir(cxrbuild);"
        "print(*sorted({name.partition('.')[0] for name in set(sys.modules) - before}))"
    )
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    loaded = set(ran.stdout.split())
    assert "cxrbuild" in loaded
    heavy = {"pandas", "numpy", "pyarrow", "pydantic", "PIL", "pydicom", "requests", "tensorflow", "scipy"}
    assert not loaded & (heavy | {"click", "sklearn", "jinja2"})


def test_every_public_name_is_there_and_documented() -> None:
    for name in cxrbuild.__all__:
        value = getattr(cxrbuild, name)
        assert inspect.getdoc(value), name
        if inspect.isfunction(value):
            doc = inspect.getdoc(value) or ""
            named = re.findall(r"^([a-z_, ]+)$", doc.partition("Parameters")[2], re.MULTILINE)
            described = {word.strip() for line in named for word in line.split(",")}
            assert "\nReturns\n-------\n" in doc, f"{name} does not say what it returns"
            missing = set(inspect.signature(value).parameters) - described
            assert not missing, f"{name} does not describe {missing}"
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        cxrbuild.nonsense  # noqa: B018
    assert dir(cxrbuild) == sorted({*cxrbuild.__all__, "__version__"})


def test_documents_import_from_the_package_alone() -> None:
    """Submodules are private: no page shows how to import from one."""
    for path in [CHECKOUT / "README.md", *(CHECKOUT / "docs").glob("*.md")]:
        if path.name == "layers.md":
            continue
        found = re.findall(r"^\s*(?:from|import) cxrbuild\.[\w.]+.*", path.read_text("utf-8"), re.MULTILINE)
        assert not found, f"{path.name}: {found}"


# Examples that take many seconds.
LONG = {"cxrbuild.api.checking.audit"}


def run_examples(name: str, *, long: bool) -> None:
    """Run the examples of a module's docstrings: those that take long, or the others."""
    module = importlib.import_module(name)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS, verbose=False)
    for found in doctest.DocTestFinder(exclude_empty=True).find(module):
        if (found.name in LONG) == long:
            runner.run(found)
    assert runner.tries
    assert not runner.summarize(verbose=False).failed


def modules_with_examples() -> dict[str, str]:
    """Return the text of each module whose docstrings have examples."""
    found = {}
    for module in pkgutil.walk_packages(cxrbuild.__path__, "cxrbuild."):
        path = CHECKOUT / Path(*module.name.split("."))
        path = path / "__init__.py" if module.ispkg else path.with_suffix(".py")
        if ">>>" in (text := path.read_text("utf-8")):
            found[module.name] = text
    return dict(sorted(found.items()))


EXAMPLES = modules_with_examples()


@pytest.mark.parametrize(("name", "text"), EXAMPLES.items(), ids=list(EXAMPLES))
def test_docstring_examples_run(
    name: str, text: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if '"demo/' in text:
        # The examples name the folder that `cxrbuild demo` makes.
        shutil.copytree(request.getfixturevalue("demo"), tmp_path / "demo")
        monkeypatch.chdir(tmp_path)
    run_examples(name, long=False)


@pytest.mark.slow
def test_long_docstring_examples_run(demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(demo, tmp_path / "demo")
    monkeypatch.chdir(tmp_path)
    for name in {one.rpartition(".")[0] for one in LONG}:
        run_examples(name, long=True)


def test_a_notebook_does_what_the_commands_do(demo: Path, tmp_path: Path) -> None:
    recipe = demo / "declared" / "recipe.toml"
    planned = cxrbuild.plan(recipe, demo / "data")
    ran = run("plan", "--recipe", recipe, "--data", demo / "data", "--json")
    more = {"schema": "plan-1", "release_refusals": foresee(planned).refusals, "out": None}
    printed = json.loads(ran.out)
    # What the command says is its own: a notebook shows the plan.
    assert printed.pop("notes")
    assert printed == planned.to_dict() | more

    curated = cxrbuild.curate(
        recipe, demo / "data", tmp_path / "build", formats=["parquet"], switches={"lateral": False}, workers=1
    )
    assert curated.changed
    assert [one.rule for one in curated.build.document.overrides.rules] == ["lateral"]
    read = cxrbuild.read_recipe(recipe)
    # Not the shared build: a test before may have changed the states of its sources' files.
    again = cxrbuild.curate(
        read, demo / "data", tmp_path / "build", formats=["parquet"], switches={"lateral": False}, workers=1
    )
    assert not again.changed

    released = cxrbuild.release(demo / "build", "1.0.0", tmp_path / "release", policy="private")
    assert released.written
    changes = cxrbuild.diff(demo / "build", tmp_path / "build")
    assert changes.bump == "minor"
    for result in (planned, curated, released, cxrbuild.load(demo / "build")):
        json.dumps(result.to_dict())
        assert result._repr_html_().startswith("<")
    loaded = cxrbuild.load(demo / "build")
    where = f"demo-cxr 1.0.0, folder={str(demo / 'build')!r}"
    assert repr(loaded.select("test")).startswith(f"Dataset({where}, split='test', images=")


def test_errors_are_one_class(tmp_path: Path) -> None:
    with pytest.raises(cxrbuild.CxrbuildError, match="no finished build"):
        cxrbuild.load(tmp_path)
    with pytest.raises(cxrbuild.DeclarationError, match="no recipe is called"):
        cxrbuild.read_recipe("nonsense")


def test_what_a_plan_returns_can_be_changed(small_demo: Path) -> None:
    planned = cxrbuild.plan(small_demo / "declared" / "recipe.toml", small_demo / "data")
    before = planned.to_dict()
    chart = planned.funnel
    chart["share"] = chart["all"] / 2
    chart.loc["kept"] = 0
    planned.counts["train"]["Normal"] = 0
    planned.exactness.clear()
    assert "share" not in planned.funnel
    assert planned.to_dict() == before


def test_load_a_build(demo: Path) -> None:
    dataset = cxrbuild.load(demo / "build")
    manifest = pd.read_parquet(demo / "build" / "manifest.parquet")
    assert dataset.to_pandas()["image_id"].tolist() == manifest["image_id"].tolist()
    assert len(dataset) == len(manifest)
    assert (dataset.name, dataset.classes) == ("demo-cxr", ["COVID-19", "Normal", "Pneumonia"])
    test = dataset.select("test")
    assert len(test) == (manifest["split"] == "test").sum()
    assert test.to_pandas()["split"].eq("test").all()
    image, row = test[0]
    assert image.mode == "L"
    assert image.size == (row["width"], row["height"])
    assert dataset.read_bytes(row["image_id"]) == (demo / "build" / row["jpeg_path"]).read_bytes()
    assert [found["image_id"] for _, found in test] == test.to_pandas()["image_id"].tolist()
    with pytest.raises(cxrbuild.CxrbuildError, match="no split 'validation'"):
        dataset.select("validation")
    with pytest.raises(cxrbuild.CxrbuildError, match="no image 'nonsense'"):
        dataset.read_image("nonsense")


@pytest.mark.usefixtures("without_verifying")
def test_load_a_release_streams_and_names_withheld_pixels(demo: Path, tmp_path: Path) -> None:
    build = cxrbuild.load(demo / "build")
    cxrbuild.release(demo / "build", "1.0.0", tmp_path / "release")
    released = cxrbuild.load(tmp_path / "release")
    assert isinstance(released.artifact, cxrbuild.Release)
    manifest = released.artifact.manifest
    available = manifest.loc[manifest["withheld"].isna(), "image_id"]
    assert sorted(released.to_pandas()["image_id"]) == sorted(available)
    streamed = {row["image_id"]: image.tobytes() for image, row in released}
    assert len(streamed) == len(released)
    for name in list(streamed)[:5]:
        assert released.read_image(name).tobytes() == streamed[name] == build.read_image(name).tobytes()
    image, row = released.select("test")[0]
    assert image.tobytes() == streamed[row["image_id"]]
    for name in manifest.loc[manifest["withheld"].notna(), "image_id"]:
        with pytest.raises(cxrbuild.CxrbuildError, match="withholds the pixels"):
            released.read_image(name)


def test_load_names_a_missing_image(demo: Path, tmp_path: Path) -> None:
    shutil.copytree(demo / "build", tmp_path / "build")
    dataset = cxrbuild.load(tmp_path / "build")
    name, path = dataset.to_pandas()[["image_id", "jpeg_path"]].iloc[0]
    (tmp_path / "build" / path).unlink()
    with pytest.raises(cxrbuild.CxrbuildError, match="missing from the build") as caught:
        dataset.read_image(name)
    assert path in str(caught.value)
    (tmp_path / "build" / path).write_bytes(b"nothing")
    with pytest.raises(cxrbuild.CxrbuildError, match="cannot be decoded"):
        dataset.read_image(name)


def test_json_errors_are_json() -> None:
    ran = run("curate", "--recipe", "nonsense", "--json")
    assert ran.status == 1
    assert json.loads(ran.out)["error"]["what"] == "no recipe is called 'nonsense'"
    ran = run("curate", "--nonsense", "--json")
    assert ran.status == 2
    assert "--nonsense" in json.loads(ran.out)["error"]["what"]


def test_log_file_has_a_line_for_each_stage(demo: Path, tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    words = ["--recipe", demo / "declared" / "recipe.toml", "--data", demo / "data", "--format", "parquet"]
    ran = run("curate", *words, "--out", tmp_path / "build", "--log-file", log)
    assert ran.status == 0, ran.err
    text = log.read_text("utf-8")
    for stage in ("read demo-cxr", "planned", "converted", "wrote"):
        assert stage in text, stage
    assert not re.search(r"patient[_ ]id", text)
    ran = run("curate", *words, "--out", tmp_path / "build", "-v", "--log-file", tmp_path)
    assert ran.status == 2
    assert "cannot write" in ran.err


def test_the_sources_of_a_dataset_are_those_that_the_command_prints(demo: Path) -> None:
    found = cxrbuild.list_sources_of(demo / "build")
    ran = run("sources", "--of", demo / "build", "--json")
    assert json.loads(ran.out) == found.to_dict() | {"schema": "sources-of-1"}
    assert [source.name for source in found.sources] == list(found.to_dict()["sources"])
    first = found.sources[0]
    assert first.pin.tree == first.files.tree
    [one] = cxrbuild.list_sources_of(str(demo / "build"), [first.name]).sources
    assert one == first
    exact = cxrbuild.list_sources_of(demo / "build", [first.name], exactness=["verified", "missing"]).images
    manifest = cxrbuild.open_build(demo / "build").manifest
    assert [image.image_id for image in exact] == sorted(
        manifest.loc[manifest["source"] == first.name, "image_id"]
    )
    with pytest.raises(
        cxrbuild.CxrbuildError, match=r"no such exactness\. Expected: one of .*Found: exact\."
    ):
        cxrbuild.list_sources_of(demo / "build", exactness=["exact"])
    with pytest.raises(cxrbuild.CxrbuildError, match=r"has no such source\. Expected: one of .*Found: x\."):
        cxrbuild.list_sources_of(demo / "build", ["x"])
