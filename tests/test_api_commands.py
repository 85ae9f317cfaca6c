"""Everything that a command does can be done from Python: each has a function, each option an argument."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from command import run

import cxrbuild
from cxrbuild.cli.main import cli

# The functions that do what a command does.
FUNCTIONS = {
    "fetch": ("fetch", "propose_pin"),
    "plan": ("plan",),
    "curate": ("curate",),
    "audit": ("audit", "audit_lists"),
    "why": ("why", "list_excluded"),
    "review": ("write_review_page", "compare_reviews", "merge_reviews"),
    "train-baseline": ("train_baseline", "compare_baselines"),
    "explain": ("explain",),
    "release": ("release",),
    "sign": ("sign",),
    "verify": ("verify",),
    "diff": ("diff", "diff_sources"),
    "export": ("export",),
    "fingerprint": ("fingerprint",),
    "overlap": ("overlap",),
    "publish": ("publish",),
    "demo": ("run_demo",),
    "init": ("propose",),
    "sources": ("list_sources", "list_sources_of", "read_source", "copy_source"),
    "recipes": ("list_recipes", "read_recipe", "copy_recipe"),
    "doctor": ("check_environment",),
}
# Commands without a function, and why.
NONE = {"completion": "it writes a script for the shell"}
# Options about the terminal.
TERMINAL = {"quiet", "as_json", "verbose", "log_file"}
# Options whose argument has another name, and the argument.
ARGUMENTS = {
    ("fetch", "names"): "sources",
    ("fetch", "propose_pin"): "source",
    ("plan", "lateral"): "switches",
    ("plan", "ct"): "switches",
    ("plan", "annotated"): "switches",
    ("curate", "lateral"): "switches",
    ("curate", "ct"): "switches",
    ("curate", "annotated"): "switches",
    ("fingerprint", "thumbnails"): "level",
    ("init", "columns"): "columns",
    ("sources", "artifact"): "build",
    ("doctor", "offline"): "network",
    ("export", "build"): "folder",
    ("review", "embed"): "embed_images",
    ("review", "compare"): "a",
    ("review", "merge"): "a",
}
# Options without an argument, and what does the same in Python.
METHODS = {
    ("why", "excluded"): "list_excluded is the function of it",
    ("diff", "form"): "Diff.to_markdown and Diff.to_html",
    ("init", "out"): "Proposal.write",
    ("init", "yes"): "a function asks nothing",
    ("train-baseline", "gate"): "BaselineResult.document.gate",
    ("explain", "gate"): "ExplanationResult.document.surviving",
}


def commands() -> dict[str, click.Command]:
    context = click.Context(cli)
    found = {name: cli.get_command(context, name) for name in cli.list_commands(context)}
    return {name: one for name, one in found.items() if one is not None and not one.hidden}


def options() -> Iterator[tuple[str, str]]:
    for name, command in commands().items():
        if name not in NONE:
            yield from ((name, str(one.name)) for one in command.params if one.name not in TERMINAL)


def test_each_command_has_a_function() -> None:
    assert set(FUNCTIONS) | set(NONE) == set(commands())
    assert not set(FUNCTIONS) & set(NONE)
    functions = {name for names in FUNCTIONS.values() for name in names}
    assert functions <= set(cxrbuild.__all__)


@pytest.mark.parametrize(("command", "option"), list(options()))
def test_each_option_has_an_argument(command: str, option: str) -> None:
    arguments = {
        name for one in FUNCTIONS[command] for name in inspect.signature(getattr(cxrbuild, one)).parameters
    }
    if (command, option) in METHODS:
        assert option not in arguments, "it has an argument by now"
        owner, _, members = METHODS[command, option].split(" ")[0].partition(".")
        if members:
            kind = getattr(cxrbuild, owner)
            assert hasattr(kind, members.split(".")[0]) or members.split(".")[0] in kind.__annotations__
        return
    assert ARGUMENTS.get((command, option), option) in arguments


def test_the_lists_name_options_that_there_are() -> None:
    assert {*ARGUMENTS, *METHODS} <= set(options())


def test_a_copy_is_what_the_command_writes(tmp_path: Path) -> None:
    copied = cxrbuild.copy_source("cohen", tmp_path / "a")
    ran = run("sources", "cohen", "--copy", tmp_path / "b", "--json")
    assert [Path(name).name for name in json.loads(ran.out)["files"]] == [path.name for path in copied.files]
    for path in copied.files:
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()
    with pytest.raises(cxrbuild.CxrbuildError, match="a copy overwrites no file"):
        cxrbuild.copy_source("cohen", tmp_path / "a")
    recipe = cxrbuild.copy_recipe("covid19-cxr", tmp_path / "recipe")
    assert cxrbuild.read_recipe(recipe.files[0]).title == cxrbuild.read_recipe().title
    assert str(recipe.files[0]) in recipe._repr_html_()


def test_plan_writes_and_refuses_as_the_command_does(demo: Path, tmp_path: Path) -> None:
    recipe, data = demo / "declared" / "recipe.toml", tmp_path / "data"
    cxrbuild.plan(recipe, demo / "data", tmp_path / "a", allow_missing=False)
    assert run("plan", "--recipe", recipe, "--data", demo / "data", "--out", tmp_path / "b").status == 0
    written = {path.name: path.read_bytes() for path in (tmp_path / "a").iterdir()}
    assert written == {path.name: path.read_bytes() for path in (tmp_path / "b").iterdir()}
    assert "ledger.parquet" in written

    import shutil

    shutil.copytree(demo / "data", data)
    image = cxrbuild.plan(recipe, data).kept.iloc[0]
    (data / "sources" / image["source"] / image["source_path"]).unlink()
    planned = cxrbuild.plan(recipe, data)
    assert planned.records["exclusion"].eq("missing_file").sum() == 1
    cxrbuild.plan(recipe, data, allow_missing=True)
    with pytest.raises(cxrbuild.CheckError, match="images of demo-cxr are missing"):
        cxrbuild.plan(recipe, data, tmp_path / "c", allow_missing=False)
    assert (tmp_path / "c" / "ledger.parquet").is_file()


HEADER = "source,path,mark,marks_finding,note\n"


def test_reviews_are_compared_merged_and_shown(demo: Path, tmp_path: Path) -> None:
    recipe, data = demo / "declared" / "recipe.toml", demo / "data"
    kept = cxrbuild.plan(recipe, data).kept
    rows = kept[kept["source"] == "cohen"].iloc[:3]
    marks = {"a": ["clean", "arrow", "clean"], "b": ["clean", "clean", "clean"]}
    for reader, given in marks.items():
        lines = [f"cohen,{path},{mark},,\n" for path, mark in zip(rows["source_path"], given, strict=True)]
        (tmp_path / f"{reader}.csv").write_text(HEADER + "".join(lines), "utf-8")
    a, b = tmp_path / "a.csv", tmp_path / "b.csv"
    agreement = cxrbuild.compare_reviews(a, b)
    assert (agreement.mark.images, len(agreement.conflicts)) == (3, 1)
    assert "1 conflict" in agreement._repr_html_()
    ran = run("review", "--compare", a, b, "--json")
    assert json.loads(ran.out) == agreement.to_dict() | {"schema": "review-comparison-1"}
    merged = cxrbuild.merge_reviews(a, b, tmp_path / "merged.csv")
    assert (len(merged.reviews), merged.agreed, len(merged.conflicts)) == (2, 2, 1)
    ran = run("review", "--merge", a, b, "--out", tmp_path / "other.csv", "--json")
    assert ran.status == 3
    assert (tmp_path / "other.csv").read_bytes() == (tmp_path / "merged.csv").read_bytes()
    page = cxrbuild.write_review_page(
        None, recipe, data, tmp_path / "page.html", conflicts=[a, b], propose=False, workers=1
    )
    assert page is not None
    assert (page.images, page.page) == (1, tmp_path / "page.html")
    assert rows["source_path"].iloc[1] in page.page.read_text("utf-8")
    assert "Review page: 1 image" in page._repr_html_()
    assert cxrbuild.write_review_page(None, recipe, data, tmp_path / "none.html", conflicts=[b, b]) is None
    assert not (tmp_path / "none.html").exists()
    whole = cxrbuild.write_review_page(
        demo / "build", out=tmp_path / "build.html", data=data, labels=["Normal"], propose=False, workers=1
    )
    assert whole is not None
    assert whole.images == (cxrbuild.load(demo / "build").rows["label"] == "Normal").sum()
    with pytest.raises(cxrbuild.CxrbuildError, match="conflicts are those of two review files"):
        cxrbuild.write_review_page(demo / "build", conflicts=[a])
