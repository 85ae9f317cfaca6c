"""Declarations are read strictly, and all their faults are told at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from cxrbuild.catalog import (
    read_links,
    read_recipe,
    read_reviews,
    read_source,
    recipe_names,
    source_names,
)
from cxrbuild.errors import DeclarationError

SOURCE = """
name = "hospital"
title = "A hospital"

[reader]
kind = "dicom"
"""


@pytest.mark.parametrize("name", source_names())
def test_shipped_sources_are_pinned_and_list_their_files(name: str) -> None:
    source = read_source(name)
    assert source.pinned
    assert source.listing


@pytest.mark.parametrize("name", recipe_names())
def test_shipped_recipes_read_and_their_rules_describe_themselves(name: str) -> None:
    recipe = read_recipe(name)
    for rule in recipe.rules:
        assert rule.describe().startswith("Leaves out images")
        assert rule.reason.endswith(".")


def test_shipped_listings_give_the_pins_trees() -> None:
    from cxrbuild.fetch.prove import TreeFile, git_tree_of

    for name in ("cohen", "figure1", "actualmed"):
        source = read_source(name)
        assert source.listing is not None
        files = {path: TreeFile(str(one.mode), str(one.blob)) for path, one in source.listing.items()}
        assert git_tree_of(files) == source.pin.tree


def test_all_faults_of_a_file_are_told_with_the_nearest_known_key(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(
        SOURCE
        + """
patient_idd = "hash"

[columns.finding]
frm = "SeriesDescription"

[columns.modality]
from = "Modality"
value = "CR"

[pin]
tree = "not a hash"
"""
    )
    with pytest.raises(DeclarationError) as caught:
        read_source(str(path))
    words = str(caught.value)
    assert str(path) in words
    assert "the nearest known key is `patient_id`" in words
    assert "the nearest known key is `from`" in words
    assert "give either `from` or `value`" in words
    assert "pin.tree" in words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name = ", "not valid TOML"),
        (SOURCE.replace('"hospital"', '"My Hospital"'), "name: "),
        (SOURCE.replace("dicom", "excel"), "reader: "),
        (SOURCE + "[pin]\nlisting = 'gone.tsv'\n", "no file gone.tsv"),
        (SOURCE + f"[pin]\nsha256 = '{'0' * 64}'\n", "`sha256` needs `listing`"),
        (SOURCE + "pattern = '('\n", "not a regular expression"),
        (
            SOURCE + "[columns.finding]\nfrom = 'x'\npattern = 'no group'\n",
            "needs exactly 1 group in parentheses, has 0",
        ),
    ],
)
def test_a_faulty_source_is_told(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "s.toml"
    path.write_text(text)
    with pytest.raises(DeclarationError) as caught:
        read_source(str(path))
    assert words in str(caught.value)


def test_names_that_are_not_shipped_are_told_with_those_that_are() -> None:
    with pytest.raises(DeclarationError, match="cohen, figure1, mooney"):
        read_source("kaggle")
    with pytest.raises(DeclarationError, match="covid19-cxr"):
        read_recipe("covid")
    with pytest.raises(DeclarationError, match="no such file"):
        read_recipe("gone.toml")


RECIPE = """
name = "mine"
version = "1.0.0"
title = "Mine"
sources = ["cohen"]

[labels]
"COVID-19" = { cohen = ["COVID-19"] }

[split]
salt = "mine"
"""
LABELLED = '\n[[rules]]\nname = "other"\nkind = "labelled"\nreason = "Other."\n'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (RECIPE, "none of kind `labelled`"),
        (RECIPE + LABELLED + LABELLED, "rules: other stands twice"),
        (RECIPE + "test = { count = { Normal = 3 } }\n" + LABELLED, "'Normal' is no class"),
        (
            RECIPE + "test = { share = 0.1, count = { 'COVID-19' = 3 } }\n" + LABELLED,
            "either `count` or `share`",
        ),
        (RECIPE + "test = { share = 1.5 }\n" + LABELLED, "split.test.share"),
        (RECIPE + LABELLED + "[expect.test]\nNormal = 1\n", "expect.test: 'Normal' is no class"),
        (RECIPE + LABELLED.replace("labelled", "labeled"), "labelled"),
        (RECIPE + LABELLED + "colum = 'finding'\n", "unknown key"),
        (RECIPE.replace("1.0.0", "1.0") + LABELLED, "version"),
    ],
)
def test_a_faulty_recipe_is_told(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "r.toml"
    path.write_text(text)
    with pytest.raises(DeclarationError) as caught:
        read_recipe(str(path))
    assert words in str(caught.value)


def test_review_files_are_read_strictly(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text(
        "source,path,mark,marks_finding,note\ncohen,a.png,arow,yes,\ncohen,a.png,arrow,maybe,\n"
    )
    with pytest.raises(DeclarationError) as caught:
        read_reviews("r.csv", tmp_path)
    words = str(caught.value)
    assert "line 2: unknown mark 'arow'" in words
    assert "line 3: marks_finding is 'maybe'" in words
    assert "line 3: cohen a.png stands here a second time" in words
    (tmp_path / "short.csv").write_text("source,path,mark,marks_finding,note\ncohen,a.png\n")
    with pytest.raises(DeclarationError, match="line 2: 2 cells, not 5"):
        read_reviews("short.csv", tmp_path)
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DeclarationError, match="not a file of this kind"):
        read_reviews("other.csv", tmp_path)


def test_link_files_are_read_strictly(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text(
        "source_a,path_a,source_b,path_b,kind,note\n"
        "cohen,a.png,cohen,a.png,same film,\n"
        "cohen,a.png,cohen,b.png,twins,\n"
        "cohen,a.png,cohen,b.png,same patient,two days apart\n"
    )
    with pytest.raises(DeclarationError) as caught:
        read_links("l.csv", tmp_path)
    assert "line 2: links a.png with itself" in str(caught.value)
    assert "line 3: kind is 'twins'" in str(caught.value)
    assert "line 4" not in str(caught.value)
