"""Rows of reviews, links, corrections and withdrawals that name images which a new version lacks."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from command import run
from test_pins import make_world, propose

from cxrbuild.catalog import CATALOG, read_reviews, read_source
from cxrbuild.catalog.withdrawal import require_known
from cxrbuild.errors import CxrbuildError
from cxrbuild.pins import PinDiff
from cxrbuild.pins.rows import find_naming_rows
from cxrbuild.records import conform
from cxrbuild.rules import add_reviews


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """A source that is pinned and fetched, and a newer version of it in `new`."""
    return make_world(tmp_path)


def test_rows_that_name_images_which_left_are_listed(world: Path) -> None:
    declared = world / "declared"
    (declared / "reviews.csv").write_text(
        "source,path,mark,marks_finding,note\nmine,images/a.png,clean,no,\nmine,images/f.png,clean,no,\n"
        "mine,images/e.png,clean,no,\nother,images/f.png,clean,no,\n"
    )
    (declared / "links.csv").write_text(
        "source_a;path_a;source_b;path_b;kind;note\nother;images/f.png;mine;images/f.png;duplicate;\n"
    )
    # A table of something else is none of these files.
    (declared / "metadata.csv").write_text("path,finding\nimages/f.png,sick\n")
    result = propose(world, "--from", f"mine={world / 'new'}")
    reviews, links = str(declared / "reviews.csv"), str(declared / "links.csv")
    of_links = {"file": links, "line": 2, "content": "links", "path": "images/f.png", "new": ""}
    of_reviews = [
        {"file": reviews, "line": 3, "content": "reviews", "path": "images/f.png", "new": ""},
        {"file": reviews, "line": 4, "content": "reviews", "path": "images/e.png", "new": "images/g.png"},
    ]
    assert result["naming_rows"] == [of_links, *of_reviews]
    ran = run("fetch", "--propose-pin", declared / "mine.toml", "--data", world / "data",
              "--from", f"mine={world / 'new'}", "--out", world / "again")  # fmt: skip
    said = " ".join(ran.out.split())
    assert "Rows that name images which this version does not have:" in said
    assert "reviews.csv, line 4: images/e.png -> images/g.png" in said
    assert "`plan` of the new version refuses reviews, links and corrections of such images" in said
    assert "withdrawn" not in said

    # A withdrawn image keeps its row in the ledger, so that reviews and links of it stay.
    (declared / "withdrawn.csv").write_text(
        "path,date,reason\nimages/f.png,2026-02-28,error\nimages/e.png,2026-02-28,error\n"
    )
    text = (declared / "mine.toml").read_text()
    (declared / "mine.toml").write_text(
        text.replace("public = true", 'public = true\nwithdrawn = "withdrawn.csv"')
    )
    result = propose(world, "--from", f"mine={world / 'new'}", "--out", world / "third")
    row = {"file": str(declared / "withdrawn.csv"), "content": "withdrawals"}
    assert result["naming_rows"] == [
        row | {"line": 2, "path": "images/f.png", "new": ""},
        row | {"line": 3, "path": "images/e.png", "new": "images/g.png"},
    ]
    # As the message says, these rows stay: the new pin knows the names.
    proposed = read_source(result["declaration"])
    assert {"images/e.png", "images/f.png"} <= proposed.former.keys()
    require_known("withdrawn.csv", proposed.withdrawals, {*(proposed.listing or {}), *proposed.former})


def test_rows_of_shipped_reviews_are_listed(metadata_only: Path, tmp_path: Path) -> None:
    """Upstream removes an image that `covid_frontal` has reviewed."""
    source = read_source("cohen")
    assert source.listing is not None
    reviewed = next(one for one in read_reviews("covid_frontal", Path()) if one.source == "cohen")
    lines = [
        f"{one.mode} blob {one.blob}\t{path}\n"
        for path, one in source.listing.items()
        if path != reviewed.path
    ]
    (tmp_path / "listing.tsv").write_text("".join(lines), encoding="utf-8")
    ran = run("fetch", "--propose-pin", "cohen", "--data", metadata_only, "--from",
              f"cohen={metadata_only / 'sources' / 'cohen'}", "--listing", tmp_path / "listing.tsv",
              "--out", tmp_path, "--json", cwd=tmp_path)  # fmt: skip
    assert ran.status == 0, ran.err
    rows = {
        (Path(row["file"]).name, row["content"], row["path"]) for row in json.loads(ran.out)["naming_rows"]
    }
    assert ("covid_frontal.csv", "reviews", reviewed.path) in rows


def test_a_plan_that_shipped_reviews_stop_names_the_next_step() -> None:
    records = conform(pd.DataFrame({"source": ["cohen"], "source_path": ["images/a.png"]}))
    with pytest.raises(CxrbuildError) as stopped:
        add_reviews(records, read_reviews("covid_frontal", Path()))
    message = str(stopped.value)
    assert message.startswith(f"{CATALOG / 'reviews' / 'covid_frontal.csv'}: ")
    assert (
        "If upstream removed or renamed the images since, remove or correct the rows in a copy of" in message
    )
    assert "covid_frontal.csv, and name the copy under `reviews` in a copy of the recipe." in message


@pytest.mark.parametrize(("reviews", "listed"), [("[]", False), ('["covid_frontal"]', True)])
def test_shipped_files_that_no_recipe_of_the_user_names_are_not_looked_at(
    reviews: str, listed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.toml").write_text("sources = [")
    (tmp_path / "recipe.toml").write_text(
        f'name = "own"\nsources = ["cohen"]\nreviews = {reviews}\n[labels]\n[split]\n'
    )
    reviewed = next(one for one in read_reviews("covid_frontal", Path()) if one.source == "cohen")
    changes = pd.DataFrame({"change": ["removed"], "path": [reviewed.path], "new": [""]})
    diff = PinDiff("old", "new", (1, 0), changes, 0)
    assert bool(find_naming_rows(read_source("cohen"), diff)) is listed
