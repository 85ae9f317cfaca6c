"""Wrong uses of every command: the answer says what happened and what to do, and nothing is changed."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import tomllib
from pathlib import Path

import pytest
from command import CHECKOUT, run
from test_init import KEY, simple

from cxrbuild.cli.main import cli

USES = tomllib.loads((CHECKOUT / "tests" / "wrong_uses.toml").read_text(encoding="utf-8"))
LEAST = 10


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a source, a recipe, a build and a release of it, and files that are none."""
    folder = tmp_path_factory.mktemp("uses")
    simple(folder / "files")
    for words in (
        "init files --name mine --column finding=status --license CC0-1.0 --yes",
        "fetch mine.toml --from mine=files --pin",
        "curate --recipe mine-recipe.toml --out build --format parquet --workers 1",
        "release 0.1.0 --build build --out release",
    ):
        done = run(*words.split(), cwd=folder, **KEY)
        assert done.status == 0, done.err
    (folder / "empty").mkdir()
    (folder / "notes.txt").write_text("notes\n")
    for name in ("empty.toml", "empty.csv", "nothing.csv", "files/nothing.csv"):
        (folder / name).write_text("")
    source, recipe = ((folder / name).read_text() for name in ("mine.toml", "mine-recipe.toml"))
    declared = {
        "broken.toml": "name = \n",
        "new.toml": source.split("[pin]")[0].replace('"mine"', '"new"'),
        "typo.toml": source.replace("license =", "licence ="),
        "typo-recipe.toml": recipe.replace("salt =", "slat ="),
        "former-recipe.toml": recipe.replace("salt =", 'previous = "former-1.0"\nsalt ='),
        "same-recipe.toml": recipe.replace("salt =", 'previous = "mine-recipe.toml"\nsalt ='),
        "class-recipe.toml": recipe.replace('["sick"]', '["sik"]'),
        "count-recipe.toml": recipe.replace("sick = 2", "sick = 3"),
        "limits-recipe.toml": f"{recipe}\n[audit]\nlimits = {{ duplicate = 0 }}\n",
        "later-recipe.toml": recipe.replace('version = "0.1.0"', 'version = "0.2.0"'),
        "version-recipe.toml": recipe.replace('version = "0.1.0"', 'version = "0.1"'),
        "column-recipe.toml": f'{recipe}\n[[rules]]\nname = "x"\nkind = "present"\ncolumn = "pateint_age"\n'
        'reason = "x"\n',
        "corrections.csv": "source,path,column,old,new,reason\nmine,a.png,view,PA,AP,seen\n",
        "corrected-recipe.toml": f'corrections = ["corrections.csv"]\n{recipe}',
        "uncorrected-recipe.toml": f'corrections = ["corections.csv"]\n{recipe}',
    }
    for name, text in declared.items():
        (folder / name).write_text(text)
    for name, text in (("badlock", "{}"), ("oldlock", '{"format": 1}'), ("jsonlock", "{")):
        (folder / name).mkdir()
        (folder / name / "sources.lock.json").write_text(text)
    shutil.copytree(folder / "release", folder / "damaged")
    (folder / "damaged" / "README.md").write_text("x")
    return folder


def test_every_command_has_ten() -> None:
    assert {name: len(uses) for name, uses in USES.items() if name and len(uses) < LEAST} == {}
    assert set(USES) - {""} == set(cli.commands)


def listed(folder: Path) -> dict[str, int]:
    """Return the files of a folder with their sizes; locks of the program come and go."""
    return {
        str(path.relative_to(folder)): path.stat().st_size
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith(".lock")
    }


@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize("command", USES, ids=lambda command: command or "none")
def test_wrong_uses(command: str, world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ZENODO_TOKEN", "HF_TOKEN", "SHELL"):
        monkeypatch.delenv(name, raising=False)
    before, wrong = listed(world), []
    for words, status, *phrases in USES[command]:
        done = run(*([command, "--json"] if command else []), *shlex.split(words), cwd=world, **KEY)
        said = " ".join((done.err + done.out).split())
        if os.name == "nt":
            said = said.replace("\\\\", "/").replace("\\", "/")
        missing = [phrase for phrase in phrases if phrase not in said]
        if done.status != status or missing or "Traceback" in done.err:
            wrong.append(f"{command} {words}: status {done.status}, without {missing}: {said[:500]}")
        document = (
            json.loads(done.out) if done.out and command and status != 3 else {"error": {"status": status}}
        )
        error = document.get("error", {})
        # A declaration's problems each say what was expected.
        helps = (
            error.get("todo") or error.get("expected") or re.search("problem|nearest", error.get("what", ""))
        )
        if error.get("status") != status or (status == 1 and not helps):
            wrong.append(f"{command} {words}: no next step in {error}")
    assert not wrong, "\n".join(wrong)
    assert listed(world) == before
