"""The commands `sources`, `recipes`, `doctor` and `completion`."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from command import run

import cxrbuild.environment
from cxrbuild import check_environment, list_recipes, list_sources
from cxrbuild.catalog import CATALOG, read_recipe, read_source, recipe_names, source_names
from cxrbuild.catalog.copying import copy_recipe, copy_source
from cxrbuild.curation import as_shipped, declaration_files, read_declared
from cxrbuild.documents import differing_keys
from cxrbuild.environment import _check_host, _check_packages
from cxrbuild.lockfile import LockedSource, source_folder, write_lock
from cxrbuild.releasing.advice import advise_version


def lock(data: Path, *, unpinned: bool = False, name: str = "figure1", pinned: str = "figure1") -> None:
    pin = read_source(pinned).pin
    source_folder(data, name).mkdir(parents=True)
    write_lock(data, {name: LockedSource("here", pin, "git tree", unpinned,
                                         pin.tree or "", 56, 1)})  # fmt: skip


@pytest.mark.parametrize("name", recipe_names())
def test_a_copied_recipe_is_the_shipped_one_with_its_own_files(name: str, tmp_path: Path) -> None:
    ran = run("recipes", name, "--copy", tmp_path / "new" / "copy", "--json")
    assert ran.status == 0, ran.err
    files = [Path(path) for path in json.loads(ran.out)["files"]]
    assert files[0] == tmp_path / "new" / "copy" / "recipe.toml"
    copy, shipped = read_recipe(str(files[0])), read_recipe(name)
    named = {*copy.reviews, *copy.split.links}
    assert named == {f"{one}.csv" for one in (*shipped.reviews, *shipped.split.links)}
    if copy.split.published is not None:
        named.add(copy.split.published.list)
    assert {path.name for path in files[1:]} == named
    same = copy.split.model_copy(update={"links": shipped.split.links, "published": shipped.split.published})
    place = {"folder": shipped.folder, "file": shipped.file}
    assert copy.model_copy(update={"reviews": shipped.reviews, "split": same} | place) == shipped
    for path in files[1:]:
        kind = "lists" if path.suffix == ".toml" else "reviews"
        assert path.read_bytes() == (CATALOG / kind / path.name).read_bytes()


@pytest.mark.parametrize("name", recipe_names())
def test_an_unchanged_copy_does_not_differ_from_the_shipped_recipe(name: str, tmp_path: Path) -> None:
    """Its own files have other names, and the same content; so have the copies of its sources."""
    recipe, *tables = copy_recipe(name, tmp_path).files
    text = recipe.read_text(encoding="utf-8")
    first = read_recipe(name).sources[0]
    copy_source(first, tmp_path)
    recipe.write_text(text.replace(f'"{first}"', f'"{first}.toml"', 1), encoding="utf-8")

    def differing() -> list[str]:
        declared = read_declared(recipe, {})
        return differing_keys(as_shipped(declared.recipe, declaration_files(declared)), read_recipe(name))

    assert differing() == []
    with (tmp_path / f"{first}.toml").open("a", encoding="utf-8") as stream:
        stream.write("# A comment.\n")
    reviews = next(one for one in tables if one.suffix == ".csv")
    content = reviews.read_text(encoding="utf-8")
    reviews.write_text(content.replace("\n", "\r\n"), encoding="utf-8-sig", newline="")
    assert differing() == []
    # What differs is named by its key.
    reviews.write_text("".join(content.splitlines(keepends=True)[:-1]), encoding="utf-8")
    assert {*differing()} <= {"reviews", "split.links"}
    assert differing()
    recipe.write_text(text.replace('\nsalt = "', '\nsalt = "other '), encoding="utf-8")
    assert "split.salt" in differing()


@pytest.mark.parametrize("name", source_names())
def test_a_copied_source_is_the_shipped_one_with_its_own_listing(name: str, tmp_path: Path) -> None:
    ran = run("sources", name, "--copy", tmp_path, "--json")
    assert ran.status == 0, ran.err
    files = [Path(path) for path in json.loads(ran.out)["files"]]
    copy, shipped = read_source(str(files[0])), read_source(name)
    assert copy.listing == shipped.listing
    pin = copy.pin.model_copy(update={"listing": shipped.pin.listing})
    assert copy.model_copy(update={"pin": pin, "file": shipped.file}) == shipped
    assert sorted(files) == sorted(tmp_path.iterdir())


def test_a_copy_overwrites_nothing_and_says_the_next_step(tmp_path: Path) -> None:
    (tmp_path / "known_duplicates.csv").write_text("mine")
    ran = run("recipes", "covid19-cxr", "--copy", tmp_path)
    assert ran.status == 1
    assert "a copy overwrites no file. Found: known_duplicates.csv." in " ".join(ran.err.split())
    assert [path.name for path in tmp_path.iterdir()] == ["known_duplicates.csv"]
    ran = run("recipes", "covid19-cxr", "--copy", "copy", cwd=tmp_path, COLUMNS="300")
    said = " ".join(ran.out.split())
    assert "give it its own name, version, title, description, date, citation and creator" in said
    assert "if its classes change, [baseline] too" in said
    assert f"Next: cxrbuild plan --recipe {Path('copy', 'recipe.toml')}\n" in ran.out


def test_sources_are_listed_with_pin_and_state(tmp_path: Path) -> None:
    ran = run("sources", "--json", "--data", tmp_path)
    assert ran.status == 0
    by_name = {source["name"]: source for source in json.loads(ran.out)["sources"]}
    assert sorted(by_name) == [
        "actualmed", "cohen", "covid19-radiography", "figure1", "mooney", "rsna-pneumonia",
    ]  # fmt: skip
    assert by_name["mooney"]["archive_bytes"] == 1_235_512_464
    assert by_name["cohen"]["pin"] == "git tree 1ce61c7a"
    assert all(source["fetched"] is None for source in by_name.values())
    assert by_name["mooney"]["recipes"] == ["covid19-cxr"]
    lines = run("sources", "--data", tmp_path).out.splitlines()
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in lines if line}
    assert rows["cohen"] == "738 varies one per image tree 1ce61c7a no"
    assert rows["figure1"] == "55 varies unknown tree 6260483d no"
    assert rows["mooney"].startswith("5,856 1,236 MB CC-BY-4.0 ")
    one = run("sources", "cohen", "--data", tmp_path).out
    assert "  licence: one per image\n" in one
    assert "archive size" not in one


def test_no_shipped_recipe_uses_a_source_of_the_user(demo: Path, tmp_path: Path) -> None:
    own, shipped = list_sources(tmp_path, [str(demo / "declared/mooney.toml"), "mooney"])
    assert (own.recipes, shipped.recipes) == ([], ["covid19-cxr"])


@pytest.mark.parametrize(
    ("options", "state"),
    [({}, "verified"), ({"unpinned": True}, "unpinned"), ({"pinned": "cohen"}, "another version")],
)
def test_the_state_of_a_source_is_that_of_the_lock(tmp_path: Path, options: dict, state: str) -> None:
    lock(tmp_path, **options)
    states = {source.name: source.fetched for source in list_sources(tmp_path)}
    assert states.pop("figure1") == state
    assert set(states.values()) == {None}
    shutil.rmtree(source_folder(tmp_path, "figure1"))
    assert {source.fetched for source in list_sources(tmp_path)} == {None}


def test_recipes_are_listed_with_the_sources_to_fetch(tmp_path: Path) -> None:
    lock(tmp_path)
    recipes = {recipe.name: recipe for recipe in list_recipes(tmp_path)}
    assert recipes["covid19-cxr"].images == 6354
    assert recipes["covid19-cxr"].missing == ["cohen", "actualmed", "mooney"]
    ran = run("recipes", "--data", tmp_path)
    assert ran.status == 0
    assert "To fetch: cohen, actualmed." in ran.out.replace("\n", " ")


def test_a_damaged_lock_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "sources.lock.json").write_text('{"format": 2}')
    ran = run("sources", "--data", tmp_path)
    assert ran.status == 1
    assert "not a lock of sources" in " ".join(ran.err.split())


def test_doctor_reports_this_environment(tmp_path: Path) -> None:
    ran = run("doctor", "--offline", "--json", "--data", tmp_path / "data", "--out", tmp_path / "build")
    assert ran.status == 0, ran.err
    found = {one["subject"]: one for one in json.loads(ran.out)["observations"]}
    assert found["packages"]["status"] == "ok"
    assert "pydicom" in found["packages"]["found"]
    assert "libjpeg-turbo" in found["image decoders"]["found"]
    assert not {"extra test", "extra test-all"} & set(found)
    assert list(tmp_path.iterdir()) == []


def test_doctor_never_shows_a_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("CXRBUILD_PATIENT_KEY", "")
    environment = check_environment(tmp_path, tmp_path, network=False)
    assert "HF_TOKEN" in json.dumps(environment.to_dict())
    assert "CXRBUILD_PATIENT_KEY" not in json.dumps(environment.to_dict())  # empty, so that it is not set
    assert "hf_secret" not in json.dumps(environment.to_dict()) + environment._repr_html_()


def test_a_folder_that_is_a_file_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    ran = run("doctor", "--offline", "--data", tmp_path / "data", "--out", tmp_path)
    assert ran.status == 3
    assert "data folder: PROBLEM" in ran.out
    assert "Name another folder" in ran.out


@pytest.fixture
def port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_host_is_reached_or_named(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert _check_host(("http", "127.0.0.1", port)).status == "ok"
    closed = _check_host(("http", "127.0.0.1", 1))
    assert closed.status == "problem"
    assert "--from SOURCE=FILE" in closed.todo


def test_a_version_that_is_too_old_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = cxrbuild.environment.version
    monkeypatch.setattr(
        cxrbuild.environment, "version", lambda name: "1.5.3" if name == "pandas" else installed(name)
    )
    (packages,) = [one for one in _check_packages() if one.subject == "packages"]
    assert packages.status == "problem"
    assert packages.found == "pandas 1.5.3 is not >=3.0"


def test_a_missing_extra_is_listed_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(cxrbuild.environment, "version", version)
    found = {one.subject: one for one in _check_packages()}
    assert found["packages"].status == "problem"
    assert found["extra dicom"].status == "optional"
    assert found["extra dicom"].todo == 'Run `pip install "cxrbuild[dicom]"`'


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_installed_where_the_shell_looks(
    shell: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "ZDOTDIR"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    (tmp_path / ".zshrc").write_text("setopt nobeep")
    for _ in range(2):
        ran = run("completion", shell, "--json")
        assert ran.status == 0, ran.err
    script = Path(json.loads(ran.out)["written"][0])
    assert "_CXRBUILD_COMPLETE" in script.read_text()
    lines = (tmp_path / ".zshrc").read_text().splitlines()
    assert lines[0] == "setopt nobeep"
    assert len(lines) == (2 if shell == "zsh" else 1)


def test_completion_of_an_unknown_shell_names_the_known_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/bin/tcsh")
    ran = run("completion")
    assert ran.status == 1
    assert "bash, zsh, fish" in ran.err


@pytest.mark.parametrize(
    ("words", "expected"),
    [("cxrbuild cur", ["curate"]), ("cxrbuild curate --recipe covid19-cxr-", ["covid19-cxr-adult"]),
     ("cxrbuild fetch m", ["mooney"])],
)  # fmt: skip
def test_the_script_completes_commands_and_names(words: str, expected: list[str]) -> None:
    environment = {
        "PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).parents[1]),
        "_CXRBUILD_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1),
    }  # fmt: skip
    done = subprocess.run([sys.executable, "-m", "cxrbuild"], env=environment, capture_output=True, text=True)
    assert [line.partition(",")[2] for line in done.stdout.split()] == expected, done.stderr


def test_another_version_of_a_shipped_recipe_needs_a_copy(tmp_path: Path) -> None:
    shipped = read_recipe("covid19-cxr")
    advice = advise_version(tmp_path, shipped, "2.0.0", or_later=True)
    assert "copy it with `cxrbuild recipes covid19-cxr --copy DIR`" in advice
    assert '`version = "2.0.0"` or a later one and a name of its own into DIR/recipe.toml' in advice
    into = 'Write `version = "2.0.0"` into the recipe, run '
    for own in (shipped.model_copy(update={"version": "1.1.0"}), None):
        assert advise_version(tmp_path, own, "2.0.0").startswith(into)
    # A build records which recipe it is of: an unchanged copy is one to edit.
    for name, expected in (("covid19-cxr", "The recipe is a shipped one"), ("/copy/recipe.toml", into)):
        (tmp_path / ".cxrbuild").mkdir(exist_ok=True)
        content = {"sources": {}, "reviews": [], "options": ["--recipe", name]}
        (tmp_path / ".cxrbuild" / "declarations.json").write_text(json.dumps(content))
        assert advise_version(tmp_path, shipped, "2.0.0").startswith(expected)
