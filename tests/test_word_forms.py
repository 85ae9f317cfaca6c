"""Words with accents are equal composed and decomposed, in metadata, names of files and every declaration."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from cxrbuild.curation import make_plan, read_declared
from cxrbuild.errors import DeclarationError

SOURCE = """name = "mine"
title = "Mine"
public = true
finding_separator = "é"
[reader]
kind = "csv"
file = "meta.csv"
path = "{fichié}"
images = ["clichés/*.png"]
patient_id = "keep"
[columns.finding]
from = "résultat"
map = { "œdèmeé" = "œdèmeésigné", "sain" = "sain" }
[columns.upstream_split]
from = "côté"
[columns.modality]
from = "modalité"
"""
RECIPE = """name = "words"
version = "1.0.0"
title = "Words"
sources = ["mine.toml"]
[labels]
"Œdème" = { mine = ["œdème"] }
"Sain" = { mine = ["sain", "évident"] }
[optional_findings]
mine = ["évident"]
[[rules]]
name = "other_finding"
kind = "labelled"
reason = "Other."
[[rules]]
name = "drawn"
kind = "not_in"
column = "modality"
values = ["dessiné"]
reason = "Drawn."
[split]
salt = "s"
allow_empty = { test = ["Œdème"], train = ["Sain", "Œdème"] }
[[split.declared]]
source = "mine"
map = { "entraîné" = "train", "testé" = "test" }
[expect.train]
"Œdème" = 1
[expect.test]
"Sain" = 1
"""
ROWS = """fichié,résultat,côté,modalité
clichés/a.png,œdèmeé,entraîné,CR
clichés/b.png,sain,testé,CR
clichés/c.png,sain,testé,dessiné
"""


def write(folder: Path, rows: str, declared: str, names: str) -> Path:
    """Write source and recipe; rows, declarations and names of files have the forms that are given."""
    root = folder / "data" / "sources" / "mine"
    (root / unicodedata.normalize(names, "clichés")).mkdir(parents=True)
    for name in "abc":
        (root / unicodedata.normalize(names, "clichés") / f"{name}.png").write_bytes(b"image")
    (root / "meta.csv").write_text(unicodedata.normalize(rows, ROWS), encoding="utf-8")
    (folder / "mine.toml").write_text(unicodedata.normalize(declared, SOURCE), encoding="utf-8")
    (folder / "recipe.toml").write_text(unicodedata.normalize(declared, RECIPE), encoding="utf-8")
    return folder / "recipe.toml"


@pytest.mark.parametrize("names", ["NFC", "NFD"])
@pytest.mark.parametrize("declared", ["NFC", "NFD"])
@pytest.mark.parametrize("rows", ["NFC", "NFD"])
def test_composed_and_decomposed_words_are_equal(
    tmp_path: Path, rows: str, declared: str, names: str
) -> None:
    recipe = write(tmp_path, rows, declared, names)
    plan = make_plan(read_declared(str(recipe), {}), tmp_path / "data")
    assert plan.counts == {"train": {"Œdème": 1, "Sain": 0}, "test": {"Œdème": 0, "Sain": 1}}
    assert plan.records["exclusion"].dropna().tolist() == ["drawn"]


def test_a_class_whose_word_is_there_twice_is_refused(tmp_path: Path) -> None:
    recipe = write(tmp_path, "NFC", "NFC", "NFC")
    twice = unicodedata.normalize("NFD", '"Œdème" = { mine = ["autre"] }\n')
    recipe.write_text(RECIPE.replace("[labels]\n", "[labels]\n" + twice), encoding="utf-8")
    with pytest.raises(DeclarationError, match=r"labels: .* is there twice, in two Unicode forms"):
        read_declared(str(recipe), {})


def test_a_value_that_is_mapped_twice_is_refused(tmp_path: Path) -> None:
    recipe = write(tmp_path, "NFC", "NFC", "NFC")
    twice = unicodedata.normalize("NFD", '"œdèmeé" = "sain", ')
    (tmp_path / "mine.toml").write_text(SOURCE.replace("map = { ", "map = { " + twice), encoding="utf-8")
    with pytest.raises(DeclarationError, match=r"columns\.finding\.map: .* is there twice"):
        read_declared(str(recipe), {})


def test_names_of_folders_match_a_pattern_in_either_form(tmp_path: Path) -> None:
    recipe = write(tmp_path, "NFC", "NFC", "NFD")
    reader = 'kind = "folders"\npattern = "^clichés/(?P<résultat>.*)[.]png$"\nimages = ["clichés/*"]\n'
    head = SOURCE.split("finding_separator")[0]
    columns = '[columns.finding]\nfrom = "résultat"\n'
    (tmp_path / "mine.toml").write_text(f"{head}[reader]\n{reader}{columns}", encoding="utf-8")
    labels = '[labels]\nA = { mine = ["a"] }\nB = { mine = ["b", "c"] }\n'
    head, rest = (
        RECIPE.split("[labels]")[0],
        '[[rules]]\nname = "other"\nkind = "labelled"\nreason = "Other."\n',
    )
    recipe.write_text(head + labels + rest + '[split]\nsalt = "s"\n', encoding="utf-8")
    plan = make_plan(read_declared(str(recipe), {}), tmp_path / "data")
    assert plan.counts == {"train": {"A": 1, "B": 2}}
