"""Without the name of a build, every command works on the only build, or on that of the only recipe."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from audited import make_only
from command import run
from test_init import KEY, simple

from cxrbuild.api.declarations import recipe_of
from cxrbuild.artifact import only_build
from cxrbuild.errors import CxrbuildError
from cxrbuild.files import read_json, write_json

# Commands that take a build, with what else they need.
COMMANDS = (
    "audit",
    "why mine_pngs-0",
    "verify",
    "fingerprint",
    "export --to csv",
    "release 0.1.0",
    "train-baseline",
    "explain",
)
ARGUMENTS = ("verify", "fingerprint")
TAKEN = "mine-recipe.toml is taken, the only recipe in this folder."


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which `curate` built a dataset of a user's own recipe."""
    folder = tmp_path_factory.mktemp("made")
    simple(folder / "files")
    for words in (
        "init files --name mine --column finding=status --license CC0-1.0 --yes",
        "fetch mine.toml --from mine=files --pin",
        "curate --recipe mine-recipe.toml --format parquet --workers 1",
    ):
        done = run(*words.split(), cwd=folder, **KEY)
        assert done.status == 0, done.err
    assert (folder / "build" / "mine-cxr" / "build.json").is_file()
    return folder


@pytest.mark.usefixtures("without_verifying")
@pytest.mark.parametrize("words", [command for command in COMMANDS if command not in COMMANDS[-2:]])
def test_the_only_build_is_taken(
    words: str, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_only(monkeypatch, "image_integrity")
    folder = shutil.copytree(made, tmp_path / "made")
    command, *rest = words.split()
    if command == "why":
        rest = ["pngs/0.png"]
    done = run(command, *rest, "--json", cwd=folder, **KEY)
    assert done.status == 0, done.err
    assert "mine" in done.out


def test_an_audit_needs_no_recipe_and_says_whose_limits_it_takes(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_only(monkeypatch, "duplicates")
    folder = shutil.copytree(made, tmp_path / "made")
    recipe = folder / "mine-recipe.toml"
    recipe.write_text(f"{recipe.read_text()}\n[audit]\nlimits = {{ duplicates = 5 }}\n")
    done = run("audit", "--build", folder / "build" / "mine-cxr", cwd=tmp_path, COLUMNS="300")
    assert done.status == 0, done.err
    assert "The limits are the checks' own" in done.out
    assert _limit(folder) is None
    for words in ((), ("--recipe", "mine-recipe.toml")):
        done = run("audit", *words, cwd=folder, COLUMNS="300")
        assert done.status == 0, done.err
        assert "The limits are the checks' own" not in done.out
        assert (TAKEN.replace("only recipe", "only recipe of mine-cxr") in done.out) == (not words)
        assert _limit(folder) == 5


def test_the_only_recipe_here_is_taken(made: Path, tmp_path: Path) -> None:
    """By each command that takes a recipe, and each says so."""
    folder = shutil.copytree(made, tmp_path / "made", ignore=shutil.ignore_patterns("build"))
    for words in ("fetch", "plan --out planned"):
        done = run(*words.split(), cwd=folder, **KEY)
        assert done.status == 0, done.err
        assert TAKEN in done.out
    assert read_json(folder / "planned" / "plan.json")["recipe"]["name"] == "mine-cxr"
    done = run("curate", "--allow-missing", "--out", ".", cwd=folder, **KEY)
    assert (done.status, TAKEN in done.out) == (1, True)
    (folder / "planned" / "plan.json").unlink()  # as a plan of an earlier version
    done = run("why", "pngs/0.png", "--build", "planned", cwd=folder, **KEY)
    assert (done.status, TAKEN in done.out) == (0, True)
    assert f"source      mine, {Path('pngs/0.png').as_posix()}" in done.out
    # Of two, none is meant; one of another dataset is not that of a build.
    shutil.copy(folder / "mine-recipe.toml", folder / "second.toml")
    done = run("plan", "--out", "other", "--data", "none", cwd=folder, COLUMNS="300", **KEY)
    assert "The shipped recipe covid19-cxr is taken: this folder has 2 recipes. Name one of them" in done.out


def test_a_model_is_of_the_recipe_of_its_build(made: Path, tmp_path: Path) -> None:
    build = made / "build" / "mine-cxr"
    done = run("train-baseline", "--gate", cwd=made, COLUMNS="300")
    assert TAKEN.replace("only recipe", "only recipe of mine-cxr") in done.out
    assert "covid19-cxr" not in done.err
    done = run("train-baseline", "--gate", "--build", build, cwd=tmp_path, COLUMNS="300")
    assert "no shipped recipe is called 'mine-cxr'" in done.err
    # What the build records has no [baseline], and its sources where their declarations are.
    recipe = recipe_of(build, None, recorded=True)
    assert (recipe.name, recipe.sources) == ("mine-cxr", [str((made / "mine.toml").resolve())])
    copy = shutil.copytree(build, tmp_path / "copy")
    (copy / ".cxrbuild" / "declarations.json").unlink()
    with pytest.raises(CxrbuildError, match="no shipped recipe is called 'mine-cxr'"):
        recipe_of(copy, None, recorded=True)


def _limit(folder: Path) -> float | None:
    checks = json.loads((folder / "build" / "mine-cxr" / "audit.json").read_bytes())["checks"]
    return {check["id"]: check["limit"] for check in checks}["duplicates"]


@pytest.mark.parametrize("words", COMMANDS)
def test_of_several_builds_none_is_taken(words: str, made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "build" / "mine-cxr", tmp_path / "build" / "first")
    second = shutil.copytree(made / "build" / "mine-cxr", tmp_path / "build" / "second")
    # As if built with overrides.
    document = read_json(second / "build.json")
    document["overrides"] = {
        "rules": [{"rule": "lateral", "switch": "lateral", "enabled": False}],
        "reviews": [{"file": "mine.csv", "reviews": 2, "replaced": 0}],
    }
    write_json(second / "build.json", document)
    done = run(*words.split(), cwd=tmp_path, COLUMNS="300")
    assert done.status == 1
    assert "build: 2 builds are there, and the command needs one" in done.err
    option = "" if words in ARGUMENTS else "--build "
    overrides = (
        "rule lateral switched off, 2 reviews added from mine.csv, 0 of them instead of the recipe's, "
    )
    for name, differing in (("first", ""), ("second", overrides)):
        count = f"{sum(sum(one.values()) for one in document['counts'].values())} images"
        place = re.escape(f"  {option}{Path('build', name)}: mine-cxr 0.1.0, {differing}{count}, built ")
        assert re.search(rf"{place}\d{{4}}-\d\d-\d\d \d\d:\d\d\.?\n", done.err)
    assert ("Name one of them with --build" if option else "Name one of them") in done.err


def test_of_several_builds_that_of_the_only_recipe_is_taken(made: Path, tmp_path: Path) -> None:
    builds = tmp_path / "build"
    for name in ("mine-cxr", "other"):
        shutil.copytree(made / "build" / "mine-cxr", builds / name)
    shutil.copy(made / "mine.toml", tmp_path)  # a source, and no recipe
    with pytest.raises(CxrbuildError):
        only_build(builds, recipes=tmp_path)
    recipe = Path(shutil.copy(made / "mine-recipe.toml", tmp_path))
    build, note = only_build(builds, recipes=tmp_path)
    assert build == builds / "mine-cxr"
    assert note.startswith(f"Of 2 builds in {builds}, {build} (mine-cxr 0.1.0, ")
    assert (
        f"is taken: {recipe} names it, the only recipe in this folder. Name another one with --build" in note
    )
    # The commands say so.
    done = run("verify", cwd=tmp_path, COLUMNS="300")
    assert done.status == 0, done.err
    assert "Of 2 builds in build, " in done.out
    assert "Name another one.\n" in done.out
    # Of two recipes, or without a build of its name, none is meant.
    text = recipe.read_text()
    (tmp_path / "second.toml").write_text(text.replace('name = "mine-cxr"', 'name = "other"'))
    with pytest.raises(CxrbuildError, match="2 builds are there"):
        only_build(builds, recipes=tmp_path)
    (tmp_path / "second.toml").unlink()
    (builds / "mine-cxr").rename(builds / "first")
    with pytest.raises(CxrbuildError, match="2 builds are there"):
        only_build(builds, recipes=tmp_path)


@pytest.mark.parametrize("words", COMMANDS)
def test_without_any_build_the_next_step_is_curate(words: str, tmp_path: Path) -> None:
    done = run(*words.split(), cwd=tmp_path, COLUMNS="300")
    assert done.status == 1
    assert "build: no finished build in this folder" in done.err
    assert "no such folder" in done.err
    assert "Run `cxrbuild curate`" in done.err


@pytest.mark.parametrize("words", ["verify build", "fingerprint build", "audit --build build"])
def test_the_folder_of_builds_is_no_build_and_its_builds_are_named(words: str, made: Path) -> None:
    done = run(*words.split(), cwd=made, COLUMNS="300")
    assert done.status == 1
    assert f"Found: {Path('build', 'mine-cxr')}. Name one of these folders." in " ".join(done.err.split())


def test_several_recipes_of_one_dataset_name_its_build(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "build" / "mine-cxr", tmp_path / "build" / "mine-cxr")
    shutil.copytree(made / "build" / "mine-cxr", tmp_path / "build" / "second")
    for name in ("a", "b", "c"):
        shutil.copy(made / "mine-recipe.toml", tmp_path / f"{name}.toml")
    build, why = only_build(tmp_path / "build", recipes=tmp_path)
    assert build == tmp_path / "build" / "mine-cxr"
    assert "b.toml and 1 more, the only recipes in this folder, name it" in why
