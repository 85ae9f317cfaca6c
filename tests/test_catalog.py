"""Declarations are read strictly, and all their problems are listed at once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cxrbuild.catalog import (
    Recipe,
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
    if source.download.url is None:
        # A user brings it: nobody here can read its files to pin them.
        assert f"--from {name}=" in source.description
        return
    assert source.pinned
    assert source.listing


@pytest.mark.parametrize("name", recipe_names())
def test_shipped_recipes_read_and_their_rules_describe_themselves(name: str) -> None:
    recipe = read_recipe(name)
    for rule in recipe.rules:
        assert rule.describe().startswith("Excludes images")
        assert rule.reason.endswith(".")


def test_shipped_listings_give_the_pins_trees() -> None:
    from cxrbuild.fetching.record import TreeFile, git_tree_of

    for name in ("cohen", "figure1", "actualmed"):
        source = read_source(name)
        assert source.listing is not None
        files = {path: TreeFile(str(one.mode), str(one.blob)) for path, one in source.listing.items()}
        assert git_tree_of(files) == source.pin.tree


def test_all_problems_of_a_file_are_listed_with_the_nearest_known_key(tmp_path: Path) -> None:
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
        (SOURCE + "[pin]\nlisting = 'lost.tsv'\n", "no file lost.tsv"),
        (SOURCE + f"[pin]\nsha256 = '{'0' * 64}'\n", "`sha256` needs `listing`"),
        (SOURCE + "pattern = '('\n", "not a regular expression"),
        (
            SOURCE + "[columns.finding]\nfrom = 'x'\npattern = 'no group'\n",
            "needs exactly 1 group in parentheses, has 0",
        ),
    ],
)
def test_a_source_with_a_problem_is_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "s.toml"
    path.write_text(text)
    with pytest.raises(DeclarationError) as caught:
        read_source(str(path))
    assert words in str(caught.value)


@pytest.mark.parametrize("ending", ["\n", "\r\n", ""])
def test_a_name_in_a_listing_may_hold_any_space(tmp_path: Path, ending: str) -> None:
    names = ["a b.png", "line\u2028separator.png", "next\x85line.png"]
    (tmp_path / "s.toml").write_text(SOURCE + "[pin]\nlisting = 's.tsv'\n")
    lines = ["mode\tblob\tpath", *(f"100644\t{'0' * 40}\t{name}" for name in names)]
    content = (ending or "\n").join(lines) + ending
    (tmp_path / "s.tsv").write_bytes(content.encode())
    assert list(read_source(str(tmp_path / "s.toml")).listing or {}) == names


def test_an_unknown_name_is_an_error_that_lists_the_shipped_ones() -> None:
    with pytest.raises(DeclarationError, match="cohen, covid19-radiography, figure1, mooney"):
        read_source("kaggle")
    with pytest.raises(DeclarationError, match="covid19-cxr"):
        read_recipe("covid")
    with pytest.raises(DeclarationError, match="no such file"):
        read_recipe("lost.toml")


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
        (RECIPE + LABELLED + LABELLED, "rules: two are called other"),
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
        (RECIPE.replace("title", 'date = "2026-02-30"\ntitle') + LABELLED, "date: '2026-02-30' is no day"),
        (RECIPE.replace("title", 'date = "20260228"\ntitle') + LABELLED, "date: '20260228' is no day"),
        (RECIPE.replace('["COVID-19"]', "[]") + LABELLED, "labels.COVID-19: no finding"),
        (RECIPE.replace('"COVID-19"]', '"COVID-19 "]') + LABELLED, "'COVID-19 ' is no finding"),
        (RECIPE + LABELLED.replace('"other"', '"kept"'), "rules.kept: the program uses this name"),
        (RECIPE + LABELLED.replace('"other"', '"withdrawn"'), "rules.withdrawn: the program uses this name"),
        (RECIPE + LABELLED.replace("labelled", "duplicate"), "needs link files under `split.links`"),
        (RECIPE + "allow_empty = { tset = [] }\n" + LABELLED, "split.allow_empty: 'tset' is no split"),
        (RECIPE + "allow_empty = { test = ['Normal'] }\n" + LABELLED, "test: 'Normal' is no class"),
        (RECIPE + LABELLED + "[expect.tset]\n", "expect: 'tset' is no split"),
        (RECIPE + LABELLED + "[optional_findings]\ncohen = ['SARS']\n", "'SARS' is not in `labels`"),
        (
            RECIPE + "[[split.declared]]\nsource = 'cohen'\nmap = { a = 'tset' }\n" + LABELLED,
            "split is 'test'",
        ),
        (RECIPE.replace("1.0.0", "\N{ARABIC-INDIC DIGIT ONE}.0.0") + LABELLED, "version"),
        (RECIPE.replace('"mine"', '"../mine"', 1) + LABELLED, "name"),
    ],
)
def test_a_recipe_with_a_problem_is_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "r.toml"
    path.write_text(text)
    with pytest.raises(DeclarationError) as caught:
        read_recipe(str(path))
    assert words in str(caught.value)


def with_classes(folder: Path, *names: str) -> str:
    path = folder / "r.toml"
    classes = "\n".join(f'{json.dumps(name)} = {{ cohen = ["{i}"] }}' for i, name in enumerate(names))
    path.write_text(RECIPE.replace('"COVID-19" = { cohen = ["COVID-19"] }', classes) + LABELLED)
    return str(path)


@pytest.mark.parametrize(
    "name",
    [
        "", ".", "..", "../../../escaped", "a/b", "a\\b", "a|b", ".hidden", "Normal.", "Normal ", " Normal",
        "two  spaces", "a\tb", "a\nb", "a\0b", "<b>", "a:b", "a*", "[a](b)", "`a`", "-a",
        "\N{NO-BREAK SPACE}a", "a\N{RIGHT-TO-LEFT OVERRIDE}b", "\N{COMBINING ACUTE ACCENT}a",
        "con", "NUL", "Com1.x", "x" * 61,
    ],
)  # fmt: skip
def test_a_class_name_that_cannot_be_a_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        read_recipe(with_classes(tmp_path, name, "Normal"))
    assert f"labels: {name!r} " in str(caught.value)
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize(
    ("one", "other"),
    [("Normal", "NORMAL"), ("ﬁne", "fine")],
)
def test_classes_that_would_share_a_folder_are_refused(tmp_path: Path, one: str, other: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        read_recipe(with_classes(tmp_path, one, other))
    assert f"labels: {one!r} and {other!r} differ only in case" in str(caught.value)


def test_classes_of_any_script_are_read(tmp_path: Path) -> None:
    names = [
        "COVID-19", "Pneumonia (viral)", "E. coli +", "no_finding", "2nd wave", "Console", "common",
        "Lungenentz\N{LATIN SMALL LETTER U WITH DIAERESIS}ndung",
        "\N{CJK UNIFIED IDEOGRAPH-80BA}\N{CJK UNIFIED IDEOGRAPH-708E}",
        "\N{DEVANAGARI LETTER NA}\N{DEVANAGARI VOWEL SIGN I}",
    ]  # fmt: skip
    assert read_recipe(with_classes(tmp_path, *names)).classes == names


def test_a_review_file_that_is_not_csv_is_refused_with_its_line(tmp_path: Path) -> None:
    header, path = "source,path,mark,marks_finding,note\n", tmp_path / "r.csv"
    path.write_text(
        header + 'cohen,a.png,clean,no,"so\nfar"\ncohen,b.png,clean,no,"open\ncohen,c.png,clean,no,\n'
    )
    with pytest.raises(DeclarationError) as caught:
        read_reviews("r.csv", tmp_path)
    assert f"{path}: not CSV. Found: line 4: unexpected end of data. A quote" in str(caught.value)
    path.write_text(header + 'cohen,a.png,clean,no,"so" far\n')
    with pytest.raises(DeclarationError, match=r"not CSV\. Found: line 2: "):
        read_reviews("r.csv", tmp_path)
    path.write_text(header + f"cohen,a.png,clean,no,{'x' * 200_000}\n")
    with pytest.raises(DeclarationError, match=r"not CSV\. Found: line 2: field larger than field limit"):
        read_reviews("r.csv", tmp_path)
    path.write_text(header + "cohen,a.png,clean,no,\ncohen,b\0.png,clean,no,\ncohen,c.png,clean,no,\0\n")
    with pytest.raises(DeclarationError) as caught:
        read_reviews("r.csv", tmp_path)
    assert "line 3: holds a NUL byte\n  line 4: holds a NUL byte" in str(caught.value)
    # Quotes within a cell and blank lines are allowed.
    path.write_text(header + '\ncohen,a.png,clean,no,6" wide\n\ncohen,b.png,clean,no,"6"" wide"\n')
    assert [review.note for review in read_reviews("r.csv", tmp_path)] == ['6" wide', '6" wide']
    links = tmp_path / "l.csv"
    links.write_text('source_a,path_a,source_b,path_b,kind,note\ncohen,a.png,cohen,b.png,"duplicate,\n')
    with pytest.raises(DeclarationError, match=r"not CSV\. Found: line 2: unexpected end of data"):
        read_links("l.csv", tmp_path)


def test_review_files_are_read_strictly(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text(
        "source,path,mark,marks_finding,note\ncohen,a.png,arow,yes,\ncohen,a.png,arrow,maybe,\n"
    )
    with pytest.raises(DeclarationError) as caught:
        read_reviews("r.csv", tmp_path)
    words = str(caught.value)
    assert "line 2: unknown mark 'arow'" in words
    assert "line 3: marks_finding is 'maybe'" in words
    assert "line 3: cohen a.png is in line 2 already" in words
    (tmp_path / "short.csv").write_text("source,path,mark,marks_finding,note\ncohen,a.png\n")
    with pytest.raises(DeclarationError, match="line 2: 2 cells, not 5"):
        read_reviews("short.csv", tmp_path)
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DeclarationError, match="not a file of reviews"):
        read_reviews("other.csv", tmp_path)


def test_link_files_are_read_strictly(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text(
        "source_a,path_a,source_b,path_b,kind,note\n"
        "cohen,a.png,cohen,a.png,duplicate,\n"
        "cohen,a.png,cohen,b.png,twins,\n"
        "cohen,a.png,cohen,b.png,same patient,two days apart\n"
    )
    with pytest.raises(DeclarationError) as caught:
        read_links("l.csv", tmp_path)
    assert "line 2: links a.png with itself" in str(caught.value)
    assert "line 3: kind is 'twins'" in str(caught.value)
    assert "line 4" not in str(caught.value)


def recipe_with(folder: Path, split: str, labels: str = "") -> Recipe:
    path = folder / "r.toml"
    labels = f'Well = {{ cohen = ["No Finding"] }}\n{labels}\n[split]'
    path.write_text(RECIPE.replace("[split]", labels) + split + LABELLED)
    return read_recipe(str(path))


@pytest.mark.parametrize(
    ("split", "counts", "empty"),
    [
        ("", {}, ["no image is kept"]),
        ("", {"train": {"COVID-19": 0, "Well": 0}}, ["no image is kept"]),
        ("", {"train": {"COVID-19": 1, "Well": 1}}, []),
        ("", {"train": {"COVID-19": 1}}, ["no image of the class Well is in train"]),
        (
            "test = { share = 0.5 }\n",
            {"train": {"COVID-19": 1, "Well": 1}, "test": {"Well": 1}},
            ["no image of the class COVID-19 is in test"],
        ),
        (
            "test = { count = { Well = 1, COVID-19 = 0 } }\n",
            {"train": {"COVID-19": 1, "Well": 1}, "test": {"Well": 1}},
            [],
        ),
        (
            "test = { share = 0.5 }\nallow_empty = { test = ['COVID-19'], train = ['Well'] }\n",
            {"train": {"COVID-19": 1}, "test": {"Well": 1}},
            [],
        ),
        (
            "[[split.declared]]\nsource = 'cohen'\nmap = { a = 'test', b = 'train' }\n",
            {"train": {"COVID-19": 1, "Well": 1}},
            ["no image of the class COVID-19 is in test", "no image of the class Well is in test"],
        ),
    ],
)
def test_each_class_needs_an_image_in_train_and_test(
    tmp_path: Path, split: str, counts: dict[str, dict[str, int]], empty: list[str]
) -> None:
    assert recipe_with(tmp_path, split).find_empty(counts) == empty


def test_a_class_that_is_expected_to_be_empty_may_be_empty(tmp_path: Path) -> None:
    recipe = recipe_with(tmp_path, "[expect.train]\nWell = 0\n")
    assert recipe.find_empty({"train": {"COVID-19": 1}}) == []


def test_withdrawals_are_read_from_the_file_next_to_the_source(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    path.write_text(SOURCE.replace("\n[reader]", 'withdrawn = "w.csv"\n\n[reader]'))
    with pytest.raises(DeclarationError, match=r"withdrawn: no file w\.csv in"):
        read_source(str(path))
    (tmp_path / "w.csv").write_text('path,date,reason\na.dcm,2026-02-28,"consent, withdrawn"\n')
    source = read_source(str(path))
    assert {p: w.describe() for p, w in source.withdrawals.items()} == {
        "a.dcm": "2026-02-28: consent, withdrawn"
    }


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("title = 1", "title: expected text; found 1"),
        ("public = 'perhaps'", "public: expected true or false; found 'perhaps'"),
        ("download = 'here'", "download: expected a table; found 'here'"),
        ("download = { strip = -1 }", "download.strip: expected a number of 0 or more; found -1"),
        ("name = 'My Source'", "name: expected text of the form ^[a-z][a-z0-9-]*$; found 'My Source'"),
        ("reader = { kind = 'csv', patient_id = 'kep' }", "'kep'; the nearest is 'keep'"),
        ("withdrawn = ['a']", "withdrawn: expected text"),
    ],
)
def test_values_of_another_kind_are_reported_in_plain_words(line: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(f"{line}\n")
    with pytest.raises(DeclarationError) as raised:
        read_source("s.toml", tmp_path)
    assert said in str(raised.value)
    assert "Input should" not in str(raised.value)
