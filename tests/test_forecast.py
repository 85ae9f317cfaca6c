"""`plan` says what a public release of its build would refuse: the errors of `release`, before any image."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from command import run
from test_withdrawals import NAMES, write_world

import cxrbuild
from cxrbuild.catalog import CATALOG, recipe_names
from cxrbuild.comparison import DatasetVersion
from cxrbuild.curation import Plan, build_document, declaration_files, read_declared
from cxrbuild.errors import CheckError
from cxrbuild.patient_key import KEY_VARIABLE
from cxrbuild.records import conform
from cxrbuild.releasing.forecast import foresee
from cxrbuild.releasing.requirements import describe_kept_datasheet, require_own_text

KEY = "a secret of some length"
PUBLIC = ('title = "Mine"\n', 'title = "Mine"\npublic = true\n')
HASHED = ('patient_id = "keep"', 'patient_id = "hash"')
CREDIT = ('license = "CC0-1.0"', 'license = "CC-BY-4.0"')
Change = tuple[str, str]


def write(folder: Path, source: list[Change], recipe: list[Change]) -> None:
    """Write a source and a recipe with these changes, and fetch the source."""
    write_world(folder, NAMES, "")
    for file, changes in (("source.toml", source), ("recipe.toml", recipe)):
        text = (folder / file).read_text()
        for old, new in changes:
            assert old in text
            text = text.replace(old, new, 1)
        (folder / file).write_text(text)
    ran = run("fetch", "source.toml", "--from", "mine=in", "--pin", cwd=folder)
    assert ran.status == 0, ran.err


def problem(error: dict[str, Any]) -> dict[str, Any]:
    # The place is the build, which is not there yet when a plan is made.
    return {key: error[key] for key in ("status", "what", "expected", "found", "todo")}


@pytest.mark.parametrize(
    ("source", "recipe", "what"),
    [
        ([], [], "a public release would publish the patient numbers of sources that are not public"),
        pytest.param(
            [HASHED],
            [('reason = "No class."', 'reason = "No class, as p-sick1 was."')],
            "a public release would give patient numbers away",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            [PUBLIC], [('date = "2026-02-01"\n', "")], "the release has no date", marks=pytest.mark.slow
        ),
        ([PUBLIC, CREDIT], [],
         "the licence of images requires attribution, and whom to credit is not declared"),
        pytest.param(
            [PUBLIC], [('title = "Mine"', 'title = "COVID-19-CXR Dataset"')], None, marks=pytest.mark.slow
        ),
    ],
)  # fmt: skip
def test_a_plan_says_what_release_refuses(
    source: list[Change], recipe: list[Change], what: str | None, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    write(tmp_path, source, recipe)
    planned = run("plan", "--recipe", "recipe.toml", "--json", cwd=tmp_path)
    # It is a note: the plan itself is made.
    assert planned.status == 0, planned.err
    refusals = json.loads(planned.out)["release_refusals"]
    ran = run("curate", "--recipe", "recipe.toml", "--format", "parquet", "--out", "build", cwd=tmp_path)
    assert ran.status == 0, ran.err
    released = run("release", "1.0.0", "--build", "build", "--out", "out", "--json", cwd=tmp_path)
    said = " ".join(planned.err.split())
    if what is None:
        assert refusals == []
        assert "would be refused" not in said
        assert released.status == 0, released.err
        return
    (foreseen,) = refusals
    assert foreseen["what"] == what
    assert problem(foreseen) == problem(json.loads(released.out)["error"])
    assert (
        f"A public release of this plan would be refused: {foreseen['where']}: {' '.join(what.split())}"
        in said
    )


@pytest.mark.slow
def test_a_release_of_a_shipped_recipe_is_not_refused(metadata_only: Path) -> None:
    ran = run("plan", "--as-pinned", "--data", metadata_only, "--json", "--recipe", "covid19-cxr")
    assert ran.status == 0, ran.err
    assert json.loads(ran.out)["release_refusals"] == []


def test_a_changed_copy_of_a_shipped_recipe_is_named_before_the_build(
    metadata_only: Path, tmp_path: Path
) -> None:
    words = ("plan", "--as-pinned", "--data", metadata_only, "--json", "--recipe")
    text = (CATALOG / "recipes" / "covid19-cxr.toml").read_text(encoding="utf-8")
    other = re.sub('^salt = "', 'salt = "another ', text, count=1, flags=re.MULTILINE)
    assert other != text
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(other.replace('manifest = "covid19-cxr/1.0.0"\n', ""), encoding="utf-8")
    ran = run(*words, recipe)
    assert ran.status == 0, ran.err
    (foreseen,) = json.loads(ran.out)["release_refusals"]
    assert foreseen["what"] == (
        "the recipe differs from the shipped covid19-cxr in split.salt, and keeps its name, title, "
        "description, datasheet.creator"
    )
    said = " ".join(ran.err.split())
    # What the text says, the document has too.
    notes = json.loads(ran.out)["notes"]
    assert any("in split.salt, and keeps its datasheet" in " ".join(note.split()) for note in notes)
    assert all(" ".join(note.split()) in said for note in notes)
    assert "keeps its datasheet.homepage" in said or "keeps its datasheet.motivation" in said
    assert "datasheet.biases, datasheet.limitations" in said
    assert ", date: the card states them of your data" in said
    # Its classes and rules are those of the original, so their reasons are true of it.
    assert "reason of the rule" not in said
    other = other.replace('column = "modality"', 'column = "modality_text"', 1)
    recipe.write_text(other.replace('manifest = "covid19-cxr/1.0.0"\n', ""), encoding="utf-8")
    (note,) = foresee(cxrbuild.plan(recipe, metadata_only, as_pinned=True)).notes
    assert "reason of the rule ct, date: the card" in " ".join(note.split())


@pytest.mark.parametrize("name", recipe_names())
def test_a_shipped_recipe_is_no_changed_copy_of_another_one(name: str) -> None:
    declared = read_declared(name, {})
    plan = Plan(declared, {}, True, {}, conform(pd.DataFrame()))
    document, files = build_document(plan), declaration_files(declared)
    rows = DatasetVersion(name, plan.kept, declared.recipe.classes, released=False)
    require_own_text(Path(name), document, rows, files)
    assert describe_kept_datasheet(document, rows, files) == ""
    # One that is changed is compared with the nearest.
    split = declared.recipe.split.model_copy(update={"salt": "another"})
    changed = document.model_copy(update={"recipe": declared.recipe.model_copy(update={"split": split})})
    with pytest.raises(
        CheckError, match=rf"differs from the shipped {name} in split\.salt, and keeps its name"
    ):
        require_own_text(Path(name), changed, rows, files)
