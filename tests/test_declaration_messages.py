"""What is answered to declarations that are nearly right: the key, what was expected, and what was found."""

from __future__ import annotations

from pathlib import Path

import pytest

from cxrbuild.catalog import read_recipe, read_source
from cxrbuild.curation import make_plan, read_declared
from cxrbuild.errors import CxrbuildError, DeclarationError

SOURCE = """name = "mine"
title = "Mine"
[reader]
kind = "csv"
file = "t.csv"
path = "img/{file}"
images = ["img/*"]
[columns.finding]
from = "status"
"""
RECIPE = """name = "my-cxr"
version = "0.1.0"
date = "2026-11-26"
title = "Mine"
sources = ["source.toml"]
[labels]
"Sick" = { mine = ["sick"] }
[[rules]]
name = "other_finding"
kind = "labelled"
reason = "None."
[split]
salt = "s"
test = { count = { Sick = 1 } }
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        # It decides whether patient numbers are published: no text is taken as true.
        ('title = "Mine"', 'title = "Mine"\npublic = "no"', "public: expected true or false; found 'no'"),
        (
            "images =",
            'match_case = "yes"\nimages =',
            "reader.match_case: expected true or false; found 'yes'",
        ),
        ("[reader]", "[[reader]]", "reader: expected a table; found a list"),
    ],
)
def test_sources(old: str, new: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "source.toml").write_text(SOURCE.replace(old, new, 1))
    with pytest.raises(DeclarationError) as caught:
        read_source("source.toml", tmp_path)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('kind = "labelled"\n', "", "rules.other_finding: needs the key 'kind'"),
        ("[[rules]]", "[rules]", "rules: expected a list; found a table; its heading needs double brackets"),
        ('{ mine = ["sick"] }', '["sick"]', "labels.Sick: expected a table; found a list"),
        ("[split]", "[bplit]\n[split]", "bplit: unknown key; the nearest known key is `split`"),
        ('date = "2026-11-26"', "date = 2026-11-26T00:00:00", "date: expected text"),
    ],
)
def test_recipes(old: str, new: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(RECIPE.replace(old, new, 1))
    with pytest.raises(DeclarationError) as caught:
        read_recipe(str(tmp_path / "recipe.toml"))
    assert message in str(caught.value)
    assert "folder" not in str(caught.value)


def test_a_day_needs_no_quotes(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(RECIPE.replace('"2026-11-26"', "2026-11-26"))
    assert read_recipe(str(tmp_path / "recipe.toml")).date == "2026-11-26"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("", "t.csv: the CSV file is empty"),
        ("\n", "t.csv: the CSV file is empty"),
        ("file,status\nother.png,sick\n", "Rows that find no file: mine 1. Correct `reader.path`"),
    ],
)
def test_a_table_without_rows_of_images(table: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "source.toml").write_text(SOURCE)
    (tmp_path / "recipe.toml").write_text(RECIPE)
    root = tmp_path / "data" / "sources" / "mine"
    (root / "img").mkdir(parents=True)
    (root / "img" / "0.png").write_bytes(b"image")
    (root / "t.csv").write_text(table)
    with pytest.raises(CxrbuildError) as caught:
        make_plan(read_declared(str(tmp_path / "recipe.toml"), {}), tmp_path / "data")
    assert message in str(caught.value)
