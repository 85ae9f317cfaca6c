"""The paper's dataset, planned from the real metadata alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from command import CHECKOUT, run

from cxrbuild.artifact.published import published_manifest
from cxrbuild.curation import make_plan, read_declared, write_plan
from cxrbuild.curation.expectation import check_expectation
from cxrbuild.curation.plan import MEMBERSHIP, Plan
from cxrbuild.errors import CheckError, DeclarationError
from cxrbuild.records import read_records
from cxrbuild.split import groups_in_several_splits

PAPER = {
    "train": {"COVID-19": 398, "Normal": 1341, "Pneumonia": 3875},
    "test": {"COVID-19": 100, "Normal": 242, "Pneumonia": 398},
}


@pytest.fixture(scope="module")
def paper(metadata_only: Path) -> Plan:
    return make_plan(read_declared("covid19-cxr", {}), metadata_only, as_pinned=True)


def test_the_recipe_keeps_the_counts_of_the_paper(paper: Plan) -> None:
    assert paper.counts == PAPER
    covid = paper.kept[paper.kept["label"] == "COVID-19"]
    assert covid["source"].value_counts().to_dict() == {"cohen": 405, "actualmed": 58, "figure1": 35}
    assert covid[covid["split"] == "test"]["source"].value_counts().to_dict() == {
        "cohen": 81, "actualmed": 12, "figure1": 7,
    }  # fmt: skip
    check_expectation(paper, allow_missing=False)


def test_every_upstream_row_is_in_the_funnel(paper: Plan) -> None:
    table = paper.funnel
    assert table.loc["upstream"].to_dict() == {
        "cohen": 764, "figure1": 55, "actualmed": 238, "mooney": 5856, "all": 6913,
    }  # fmt: skip
    steps = table.drop(index="upstream")
    assert steps.sum().to_dict() == table.loc["upstream"].to_dict()
    assert steps["all"].to_dict() == {
        "row_without_file": 21, "file_without_row": 13, "listed_twice": 5, "ct": 63, "lateral": 57,
        "other_finding": 371, "annotated": 29, "kept": 6354,
    }  # fmt: skip


def test_no_patient_is_in_two_splits(paper: Plan) -> None:
    assert groups_in_several_splits(paper.records).empty
    kept = paper.kept.dropna(subset="patient_id")
    assert (kept.groupby(["source", "patient_id"])["split"].nunique() == 1).all()


def test_plan_writes_the_published_manifest(paper: Plan, tmp_path: Path) -> None:
    write_plan(paper, tmp_path)
    published = published_manifest("covid19-cxr/1.0.0")
    assert published.is_relative_to(CHECKOUT)
    assert (tmp_path / "manifest.parquet").read_bytes() == published.read_bytes()
    membership = read_records(published)
    assert len(membership) == 6354
    assert membership["image_id"].is_unique
    assert membership[list(MEMBERSHIP)].drop(columns="source_blob").notna().all(axis=None)
    assert (membership["source_blob"].isna() == (membership["source"] == "mooney")).all()


def test_images_too_many_too_few_and_moved_are_listed(paper: Plan) -> None:
    records = paper.records.copy()
    kept = records.index[records["exclusion"].isna()]
    arrow = records.index[records["exclusion"] == "annotated"][0]
    records.loc[arrow, "exclusion"] = None
    records.loc[arrow, "split"] = "train"
    records.loc[kept[0], "exclusion"] = "lateral"
    moved = records.index[(records["split"] == "test") & records["exclusion"].isna()][5]
    records.loc[moved, "split"] = "train"
    lost = kept[-1]
    records.loc[lost, "exclusion"] = "missing_file"
    plan = paper.with_records(records)
    with pytest.raises(CheckError) as caught:
        check_expectation(plan, allow_missing=False)
    words = str(caught.value)
    path, label = records["source_path"], records["label"][moved]
    assert f"1 image not in covid19-cxr/1.0.0:\n    cohen 1 (train COVID-19)\n      {path[arrow]}" in words
    assert f"of covid19-cxr/1.0.0 absent:\n    {records['source'][kept[0]]} 1 (" in words
    assert f"lateral)\n      {path[kept[0]]}" in words
    assert f" 1 (test {label} is now train {label})\n      {path[moved]}" in words
    assert f"of the dataset missing:\n    mooney 1 (missing_file)\n      {path[lost]}" in words
    with pytest.raises(CheckError) as caught:
        check_expectation(plan, allow_missing=True)
    assert "of the dataset missing" not in str(caught.value)
    assert "remove the key `manifest`, which names covid19-cxr/1.0.0" in str(caught.value)
    assert caught.value.status == 3


def test_missing_images_fail_by_name_and_a_dataset_without_images_always_fails(
    metadata_only: Path, paper: Plan
) -> None:
    ran = run("plan", "--data", metadata_only, "--json", COLUMNS="80")
    assert ran.status == 3
    assert "6,354 images of the dataset missing" in ran.err
    assert "\n    actualmed 58 (missing_file)\n" in ran.err
    assert "\n      and 55 more\n" in ran.err
    # A command stays whole, to be copied.
    assert all(len(line) <= 80 or "`cxrbuild fetch" in line for line in ran.err.splitlines())
    assert "`cxrbuild plan --out DIR`, with the same options, writes a ledger" in " ".join(ran.err.split())
    assert json.loads(ran.out)["counts"] == {}
    exclusion = paper.records["exclusion"].fillna("missing_file")
    without = replace(paper, records=paper.records.assign(exclusion=exclusion))
    with pytest.raises(CheckError, match="no image is kept"):
        check_expectation(without, allow_missing=True)


def test_counts_are_not_checked_with_overrides_and_shown_in_80_columns(metadata_only: Path) -> None:
    words = ("--as-pinned", "--drop-lateral", "--keep-annotated")
    ran = run("plan", "--data", metadata_only, *words, COLUMNS="80")
    assert ran.status == 0, ran.err
    assert max(map(len, ran.out.splitlines())) <= 80
    assert "kept                434       35         58   5,856  6,383" in ran.out
    assert "all        5,643   740  6,383" in ran.out
    assert "Overrides of the recipe: rule annotated switched off. Its counts are not\nchecked." in ran.out


def test_the_adult_recipe_keeps_reviewed_images_and_no_duplicate(metadata_only: Path) -> None:
    adult = make_plan(read_declared("covid19-cxr-adult", {}), metadata_only, as_pinned=True)
    check_expectation(adult, allow_missing=False)
    kept = adult.kept
    assert len(kept) == 411
    assert set(kept["review"]) == {"clean", "marker"}
    assert kept["patient_age"].min() >= 18
    assert "mooney" not in set(kept["source"])
    assert groups_in_several_splits(adult.records).empty
    images = set(zip(kept["source"], kept["source_path"], strict=True))
    twice = [link for link in adult.declared.links if link.kind == "duplicate" and {link.a, link.b} <= images]
    assert twice == []
    # The image that Mooney published as a child's.
    assert ("figure1", "images/COVID-00020.jpg") not in images


def test_link_files_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    head = "source_a,path_a,source_b,path_b,kind,note\n"
    (tmp_path / "one.csv").write_text(head + "cohen,images/a.png,cohen,images/b.png,duplicate,\n")
    (tmp_path / "two.csv").write_text(head + "cohen,images/b.png,cohen,images/a.png,same patient,\n")
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        'name = "x"\nversion = "1.0.0"\ntitle = "x"\nsources = ["cohen"]\n[labels.A]\ncohen = ["a"]\n'
        '[[rules]]\nname = "other"\nkind = "labelled"\nreason = "No class."\n'
        '[split]\nsalt = "x"\nlinks = ["one.csv", "two.csv"]\n'
    )
    with pytest.raises(DeclarationError, match=r"contradict each other\n  images/b.png and images/a.png"):
        read_declared(str(recipe), {})


@pytest.mark.parametrize(("key", "header"), [
    ("reviews", "source,path,mark,marks_finding,note\nkohen,images/a.png,clean,no,\n"),
    ("links", "source_a,path_a,source_b,path_b,kind,note\ncohen,a.png,kohen,b.png,duplicate,\n"),
])  # fmt: skip
def test_a_misspelt_source_of_reviews_or_links_is_refused(tmp_path: Path, key: str, header: str) -> None:
    (tmp_path / "lines.csv").write_text(header)
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        'name = "x"\nversion = "1.0.0"\ntitle = "x"\nsources = ["cohen"]\n'
        + 'reviews = ["lines.csv"]\n' * (key == "reviews")
        + '[labels.A]\ncohen = ["a"]\n[[rules]]\nname = "other"\nkind = "labelled"\nreason = "None."\n'
        + '[split]\nsalt = "x"\n'
        + 'links = ["lines.csv"]\n' * (key == "links")
    )
    message = rf"lines\.csv: {key} name unknown sources.*Found: 'kohen': the nearest source is 'cohen'"
    with pytest.raises(DeclarationError, match=message):
        read_declared(str(recipe), {})


def test_an_image_in_two_review_files_needs_one_mark(tmp_path: Path) -> None:
    header = "source,path,mark,marks_finding,note\n"
    (tmp_path / "one.csv").write_text(
        header + "cohen,images/a.png,clean,no,\ncohen,images/b.png,arrow,yes,\n"
    )
    (tmp_path / "two.csv").write_text(
        header + "cohen,images/b.png,arrow,yes,again\ncohen,images/c.png,clean,no,\n"
    )
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        'name = "x"\nversion = "1.0.0"\ntitle = "x"\nsources = ["cohen"]\nreviews = ["one.csv", "two.csv"]\n'
        '[labels.A]\ncohen = ["a"]\n[[rules]]\nname = "other"\nkind = "labelled"\nreason = "None."\n'
        '[split]\nsalt = "x"\n'
    )
    reviews = read_declared(str(recipe), {}).reviews
    assert [review.path for review in reviews] == ["images/a.png", "images/b.png", "images/c.png"]
    (tmp_path / "two.csv").write_text(header + "cohen,images/b.png,arrow,no,\ncohen,images/a.png,tint,no,\n")
    with pytest.raises(
        DeclarationError, match=r"images/a\.png: clean in one\.csv, tint in two\.csv"
    ) as refused:
        read_declared(str(recipe), {})
    assert "images/b.png: marks_finding yes in one.csv, marks_finding no in two.csv" in str(refused.value)


def test_missing_images_without_a_class_explain_lower_counts() -> None:
    from cxrbuild.curation.expectation import _count_problems

    expected = {"train": {"Sick": 5, "Well": 3}, "test": {"Well": 2}}
    lacking = {"train": {"Sick": 5, "Well": 2}, "test": {"Well": 1}}
    assert _count_problems(expected, expected, 0) == []
    assert _count_problems(lacking, expected, 2) == []
    assert len(_count_problems(lacking, expected, 1)) == 2
    too_many = {"train": {"Sick": 6, "Well": 3}, "test": {"Well": 2}}
    assert _count_problems(too_many, expected, 9) == ["  train, Sick: expected 5, found 6"]
