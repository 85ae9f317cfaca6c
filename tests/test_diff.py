"""What changed between two versions, and how large a step that needs."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from html import escape
from pathlib import Path

import pandas as pd
import pytest
from command import run
from releasing import change_rows, drop_rows, images_of

from cxrbuild import MissingPixelsWarning, load
from cxrbuild.artifact.build import SourceDescription, SourceExactness
from cxrbuild.catalog import Recipe, read_recipe, read_source
from cxrbuild.catalog.declarations import CATALOG
from cxrbuild.catalog.override import Overrides
from cxrbuild.catalog.split import DrawnSplit
from cxrbuild.comparison import (
    DatasetVersion,
    Declarations,
    Diff,
    compare,
    ledger_columns,
    read_version,
    summary,
)
from cxrbuild.comparison.text import conclusion
from cxrbuild.errors import CxrbuildError
from cxrbuild.exactness import MEANINGS
from cxrbuild.files import read_json, write_json
from cxrbuild.records import read_records, write_records
from cxrbuild.releasing.pack import default_folder
from cxrbuild.version_numbers import needed_version, parse_version, versioned_name

ROWS = pd.DataFrame({
    "image_id": ["a", "b", "c"],
    "source": ["one", "one", "two"],
    "label": ["Normal", "COVID-19", "Normal"],
    "split": ["train", "train", "test"],
    "jpeg_sha256": ["0a", "0b", "0c"],
    "jpeg_bytes": [10, 11, 12],
    "patient_age": [None, 4.5, 61.0],
})  # fmt: skip


@cache
def covid19_cxr() -> Recipe:
    """Return the paper's recipe, read once."""
    return read_recipe("covid19-cxr")


@cache
def described_source(name: str) -> SourceDescription:
    """Return what a shipped source declares, read once."""
    return SourceDescription.of(read_source(name))


def version_of(
    rows: pd.DataFrame, classes: list[str] | None = None, *, released: bool = False
) -> DatasetVersion:
    return DatasetVersion("rows", rows, classes, released=released)


def put(column: str, value: object) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def changed(rows: pd.DataFrame) -> pd.DataFrame:
        rows = rows.copy()
        rows.loc[1, column] = value
        return rows

    return changed


def compared(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Diff:
    return compare(version_of(ROWS), version_of(change(ROWS)))


@pytest.mark.parametrize(
    ("kind", "change", "image", "words", "bump"),
    [
        ("removed", lambda rows: rows.drop(index=1), "b", "", "major"),
        ("relabelled", put("label", "Normal"), "b", "label COVID-19 -> Normal", "major"),
        ("moved", put("split", "test"), "b", "split train -> test", "major"),
        ("pixels_changed", put("jpeg_sha256", "ff"), "b", "jpeg_sha256 0b -> ff", "patch"),
        ("metadata_changed", put("patient_age", 5.0), "b", "patient_age 4.5 -> 5.0", "patch"),
        ("metadata_changed", put("patient_age", None), "b", "patient_age 4.5 -> null", "patch"),
    ],
)
def test_diff_names_each_change(
    kind: str, change: Callable[[pd.DataFrame], pd.DataFrame], image: str, words: str, bump: str
) -> None:
    found = compared(change)
    assert {k: list(rows["image_id"]) for k, rows in found.rows.items() if len(rows)} == {kind: [image]}
    assert found.rows[kind]["change"].item() == words
    assert found.bump == bump
    assert [(count.kind, count.rows) for count in found.counts()] == [(kind, 1)]


def test_diff_names_added_rows() -> None:
    found = compare(version_of(ROWS.drop(index=1)), version_of(ROWS))
    assert list(found.rows["added"]["image_id"]) == ["b"]
    assert found.bump == "minor"


def ledger(**exclusions: tuple[str, str | None]) -> pd.DataFrame:
    """Return a ledger of excluded images, each with its exclusion and detail."""
    rows = [
        (image, "one", None, None, exclusion, detail, (detail or "").partition(": ")[2] or None, "LL")
        for image, (exclusion, detail) in exclusions.items()
    ]
    return pd.DataFrame(rows, columns=[*ledger_columns(covid19_cxr())[:7], "view_position"]).astype("str")


def declarations(recipe: Recipe, source: str = "cohen", **pin: str | None) -> Declarations:
    described = described_source(source)
    described = described.model_copy(update={"pin": described.pin.model_copy(update=pin)})
    return Declarations(recipe, Overrides(), {source: described}, {})


def test_diff_shows_why_a_row_was_removed_or_added() -> None:
    short = ROWS.drop(index=[0, 1])
    recipe = declarations(covid19_cxr())
    excluded = ledger(a=("lateral", None), b=("withdrawn", "2026-03-01: asked by the patient"))
    for old, new, kind, before in (
        (version_of(ROWS), replace(version_of(short), ledger=excluded, declarations=recipe), "removed", ""),
        (
            replace(version_of(short), ledger=excluded, declarations=recipe),
            version_of(ROWS),
            "added",
            "before: ",
        ),
    ):
        found = compare(old, new)
        assert list(found.rows[kind]["reason"]) == [
            f"{before}lateral (view_position LL)",
            f"{before}withdrawn (2026-03-01: asked by the patient)",
        ]
        assert [(count.kind, count.cause, count.rows) for count in found.causes()] == [
            (kind, "lateral", 1),
            (kind, "withdrawn", 1),
        ]
    other = replace(version_of(short), ledger=ledger(z=("ct", None)))
    assert compare(version_of(ROWS), other).rows["removed"]["reason"].iloc[0] == "no longer upstream"
    assert compare(other, version_of(ROWS)).rows["added"]["reason"].iloc[0] == "new upstream"
    pins = [declarations(covid19_cxr(), commit=digit * 40, date=None) for digit in "12"]
    of_pins = [replace(one, sources={"one": one.sources["cohen"]}) for one in pins]
    old, new = (
        replace(version_of(rows), ledger=ledger(), declarations=declared)
        for rows, declared in ((ROWS, of_pins[0]), (short, of_pins[1]))
    )
    for a, b, kind, reason in (
        (old, new, "removed", "no longer upstream: removed between pin 11111111 and pin 22222222"),
        (new, old, "added", "new upstream: added between pin 22222222 and pin 11111111"),
    ):
        found = compare(a, b)
        assert list(found.rows[kind]["reason"]) == [reason] * 2
        assert [count.cause for count in found.causes()] == [reason.partition(":")[0]]
    # Upstream did not change where one version does not have the source, or has the same pin.
    without = replace(version_of(short), ledger=ledger(), declarations=declarations(covid19_cxr()))
    for a, b, kind, side in (
        (version_of(ROWS), without, "removed", "new"),
        (without, version_of(ROWS), "added", "old"),
    ):
        found = compare(a, b)
        assert set(found.rows[kind]["reason"]) == {f"the {side} version does not have the source one"}
        assert (
            f"  - one, all 2 rows: the {side} version does not have the source one\n" in found.to_markdown()
        )
    listed = replace(old, manifest=ROWS.assign(listed=["list.csv:2", None, None]))
    found = compare(listed, replace(new, declarations=old.declarations))
    lacks = "both have one pin, and the files of the new version lack it"
    assert list(found.rows["removed"]["reason"]) == [f"{lacks}; the list names it, list.csv:2", lacks]
    # Under another path it is another image, of the same bytes; equal bytes of another source say nothing.
    hashed = ROWS.assign(source_blob=["1a", "1b", "1c"])
    renamed = ledger(z=("ct", None), y=("ct", None)).assign(source=["one", "two"], source_blob=["1a", "1b"])
    found = compare(version_of(hashed), replace(version_of(hashed[2:]), ledger=renamed))
    same = "renamed upstream: z has the same bytes, excluded by ct"
    assert list(found.rows["removed"]["reason"]) == [same, "no longer upstream"]
    assert list(found.rows["removed"]["cause"]) == ["renamed upstream", "no longer upstream"]
    # A name that was there before is that of a duplicate.
    before = replace(version_of(hashed), ledger=renamed)
    found = compare(before, replace(version_of(hashed[2:]), ledger=renamed))
    assert (
        found.rows["removed"]["reason"].iloc[0] == "no longer upstream; z has the same bytes, excluded by ct"
    )
    # From the other side it is a new name, with the pins where they are known.
    found = compare(
        replace(version_of(hashed[2:]), ledger=renamed, declarations=of_pins[0]),
        replace(version_of(hashed), declarations=of_pins[1]),
    )
    pinned = "renamed upstream between pin 11111111 and pin 22222222: z has the same bytes, excluded by ct"
    assert found.rows["added"]["reason"].iloc[0] == pinned
    # A manifest alone does not say why, and the comparison says so.
    found = compare(version_of(ROWS), version_of(short))
    assert (found.rows["removed"]["reason"].iloc[0], found.silent) == ("", ["rows"])
    assert "rows has no ledger: why it lacks these images is not known." in found.to_markdown()


# Of one source that declares no split, and of Mooney, whose images have one.
SPLIT_ROWS = ROWS.assign(
    source=["cohen", "cohen", "mooney"], group=["p1", "p2", "p3"], upstream_split=[None, None, "test"],
    finding=["COVID-19", "COVID-19", "NORMAL"], listed=None,
    patient_id=["1", "2", "3"],
)  # fmt: skip


def recipe_with(**split: object) -> Recipe:
    recipe = covid19_cxr()
    return recipe.model_copy(update={"split": recipe.split.model_copy(update=split)})


@pytest.mark.parametrize(
    ("change", "recipe", "cause", "words"),
    [
        ({"group": "p9"}, recipe_with(), "another group", "its group was p2, and is p9: drawn by"),
        ({}, recipe_with(salt="new"), "another salt", "salt new; the salt was covid19-cxr"),
        (
            {},
            recipe_with(test=DrawnSplit(count={"COVID-19": 90})),
            "another size of a split",
            "the declared size of a split changed",
        ),
        ({}, recipe_with(), "draw with other images", "other images came or left, and the count is exact"),
    ],
)
def test_diff_shows_why_a_row_moved(
    change: dict[str, object], recipe: Recipe, cause: str, words: str
) -> None:
    later = SPLIT_ROWS.copy()
    later.loc[1, ["split", *change]] = ["test", *change.values()]
    found = compare(
        replace(version_of(SPLIT_ROWS), declarations=declarations(recipe_with())),
        replace(version_of(later), declarations=declarations(recipe)),
    )
    row = found.rows["moved"].iloc[0]
    assert (row["image_id"], row["cause"]) == ("b", cause)
    assert words in row["reason"]
    # Its patient is the same, so that links decided.
    assert list(found.rows["metadata_changed"]["cause"]) == ["links"] * len(change)


def test_diff_shows_that_the_source_declares_another_split() -> None:
    later = SPLIT_ROWS.copy()
    later.loc[2, ["split", "upstream_split"]] = ["train", "train"]
    of_recipe = declarations(recipe_with())
    found = compare(*(replace(version_of(rows), declarations=of_recipe) for rows in (SPLIT_ROWS, later)))
    row = found.rows["moved"].iloc[0]
    assert row["cause"] == "declared by the source"
    assert row["reason"] == "declared by the source: test -> declared by the source: train"


@pytest.mark.parametrize(
    ("finding", "cause", "reason"),
    [
        ("SARS", "another finding", "finding COVID-19 -> SARS"),
        ("COVID-19", "other labels", "finding COVID-19 is declared as another class"),
    ],
)
def test_diff_shows_why_a_row_has_another_class(finding: str, cause: str, reason: str) -> None:
    later = SPLIT_ROWS.copy()
    later.loc[1, ["label", "finding"]] = ["Normal", finding]
    row = compare(version_of(SPLIT_ROWS), version_of(later)).rows["relabelled"].iloc[0]
    assert (row["cause"], row["reason"]) == (cause, reason)
    pins = [declarations(recipe_with(), commit=digit * 40, date=None) for digit in "12"]
    versions = (
        replace(version_of(rows), declarations=declared)
        for rows, declared in zip((SPLIT_ROWS, later), pins, strict=True)
    )
    row = compare(*versions).rows["relabelled"].iloc[0]
    if cause == "another finding":
        cause = "relabelled upstream"
        reason += f": {cause} between pin 11111111 and pin 22222222"
    assert (row["cause"], row["reason"]) == (cause, reason)


def test_a_relabelled_image_is_listed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its finding changed too: other metadata, which is the reason of the other class."""
    recipe = covid19_cxr()
    rows = ROWS.assign(finding="Normal", group=["g1", "g2", "g3"], upstream_split="none")
    new = rows.assign(
        label=["COVID-19", "COVID-19", "Normal"],
        finding=["COVID", "Normal", "Normal"],
        split=["train", "test", "test"],
        group=["g1", "g4", "g3"],
    )
    found = compare(*(replace(version_of(side), declarations=declarations(recipe)) for side in (rows, new)))
    assert list(found.rows["metadata_changed"]["image_id"]) == ["a", "b"]
    markdown = found.to_markdown()
    assert [line for line in markdown.splitlines() if line.startswith("  - ")] == [
        "  - a (label Normal -> COVID-19): finding Normal -> COVID",
        "  - b (split train -> test): its group was g2, and is g4: drawn by the hash of its group, salt "
        f"{recipe.split.salt}",
        "  - 2 images listed above, with this change as the reason",
    ]
    assert found.to_html().count("<code>a</code>") == found.to_html().count("<code>b</code>") == 1
    monkeypatch.setattr("cxrbuild.api.diff", lambda *_, **__: found)
    ran = run("diff", "old", "new", COLUMNS="200")
    assert ran.out.count("  a (") == ran.out.count("  b (") == 1
    assert "2 images listed above, with this change as the reason" in ran.out
    # Another value that changed is not the reason of the other class.
    older = new.assign(patient_age=[7.0, 4.5, 61.0])
    found = compare(*(replace(version_of(side), declarations=declarations(recipe)) for side in (rows, older)))
    assert "  - a (patient_age null -> 7.0; finding Normal -> COVID)" in found.to_markdown()


def test_diff_shows_changes_of_recipe_and_pins() -> None:
    recipe = covid19_cxr()
    document = recipe.model_dump(mode="json") | {"folder": recipe.folder, "baseline": None}
    document["rules"] = [rule for rule in document["rules"] if rule["name"] != "ct"]
    document["rules"][0]["values"] = ["LATERAL"]
    document["rules"][-1]["enabled"] = False
    document["labels"]["COVID-19"]["cohen"] = ["COVID-19, ARDS"]
    document["split"]["test"]["count"]["COVID-19"] = 90
    other = Recipe.model_validate(document)
    found = compare(
        replace(version_of(ROWS), declarations=declarations(recipe), ledger=ledger(a=("x", None))),
        replace(
            version_of(ROWS), declarations=declarations(other, commit="a" * 40), ledger=ledger(d=("x", None))
        ),
    )
    assert [(one.of, one.key, one.old, one.new) for one in found.declared] == [
        ("recipe", "rules.ct", "Excludes images whose `modality` is CT; unknown is kept.", None),
        ("recipe", "rules.lateral", recipe.rules[1].describe(), other.rules[0].describe()),
        ("recipe", "rules.annotated, switched", "on", "off"),
        ("recipe", "labels.COVID-19.cohen", "COVID-19", "COVID-19, ARDS"),
        ("recipe", "split.test.count.COVID-19", "100", "90"),
        ("cohen", "commit", "584034aa7fbf06496741f11008d72fd791c8e443", "a" * 40),
        ("one", "images removed upstream", None, "1 image"),
        ("one", "images added upstream", None, "1 image"),
    ]
    assert found.bump is None
    assert found.titles == ("rows", "rows")
    assert "whose <code>modality</code> is CT" in found.to_html()
    text = found.to_markdown()
    assert "- Recipe:\n  - rules.ct: removed Excludes images whose `modality` is CT" in text
    assert f"- Source cohen:\n  - commit: 584034aa7fbf06496741f11008d72fd791c8e443 -> {'a' * 40}\n" in text
    assert "  - images removed upstream: 1 image\n  - images added upstream: 1 image\n" in text
    assert "What it was built from is declared otherwise." in text


def test_pages_are_headed_by_the_datasets_where_these_differ() -> None:
    recipe = covid19_cxr()
    old, new = (
        replace(version_of(ROWS), declarations=declarations(recipe.model_copy(update={"version": version})))
        for version in ("1.0.0", "2.0.0")
    )
    found = compare(old, new)
    assert found.to_markdown().startswith("# covid19-cxr 1.0.0 -> covid19-cxr 2.0.0\n")
    assert "<h1>covid19-cxr 1.0.0 → covid19-cxr 2.0.0</h1>" in found.to_html()


@pytest.mark.parametrize(
    ("old", "new", "step", "said"),
    [
        ("1.0.0", "1.0.0", "needed", "The version needs a MAJOR step."),
        ("1.2.0", "2.0.0", "made", "The changes need a MAJOR step, and the version made it: 1.2.0 -> 2.0.0."),
        (
            "1.2.0",
            "1.3.0",
            "too_small",
            "The changes need a MAJOR step, and 1.2.0 -> 1.3.0 is too small: 2.0.0 or later.",
        ),
        (
            "2.0.0",
            "1.0.0",
            "backwards",
            "The first version, 2.0.0, is later than the second, 1.0.0. Compare them in the other order to "
            "see which step the changes need.",
        ),
        (
            "0.9.0",
            "0.9.0",
            "needed",
            "The version must increase. Before 1.0.0 any step is enough; from 1.0.0 on such changes need a "
            "MAJOR step.",
        ),
        (
            "0.9.0",
            "0.9.1",
            "made",
            "The version increased, 0.9.0 -> 0.9.1. Before 1.0.0 any step is enough; from 1.0.0 on such "
            "changes need a MAJOR step.",
        ),
    ],
)
def test_diff_says_whether_the_version_made_the_step(old: str, new: str, step: str, said: str) -> None:
    recipe = covid19_cxr()
    before, after = (
        replace(version_of(rows), declarations=declarations(recipe.model_copy(update={"version": version})))
        for rows, version in ((ROWS, old), (ROWS.drop(index=1), new))
    )
    found = compare(before, after)
    assert (found.bump, found.step, found.to_dict()["step"]) == ("major", step, step)
    for text in (found.to_markdown(), found.to_html(), found._repr_html_()):
        assert escape(said, quote=False) in text or said in text


def test_a_version_without_changes_needs_no_step() -> None:
    recipe = covid19_cxr()
    before, after = (
        replace(version_of(ROWS), declarations=declarations(recipe.model_copy(update={"version": version})))
        for version in ("1.2.0", "2.0.0")
    )
    unchanged = compare(before, after)
    assert (unchanged.bump, unchanged.step) == (None, None)


def test_numbers_that_differ_are_not_said_to_be_equal() -> None:
    """Other findings of excluded images: no row and no declaration changed."""
    of_recipe = declarations(covid19_cxr())
    old, new = (
        replace(
            version_of(ROWS), declarations=of_recipe,
            ledger=ledger(x=("other_finding", None)).assign(finding=finding, label=None),
        )
        for finding in ("SARS", "MERS")
    )  # fmt: skip
    found = compare(old, new)
    assert [(one.of, one.name, one.old, one.new) for one in found.totals if one.old != one.new] == [
        ("finding", "MERS", 0, 1),
        ("finding", "SARS", 1, 0),
    ]
    assert "The dataset is the same. Other numbers of images differ." in found.to_markdown()
    assert "Nothing changed." not in found.to_html()


def test_another_former_version_is_no_change_of_the_dataset() -> None:
    held = ROWS.assign(previous_split=["train", None, "test"])
    for old, new, count in (
        (ROWS, held, "2 images"),
        (held, held.assign(previous_split="train"), "2 images"),
    ):
        found = compare(version_of(old), version_of(new))
        assert (found.bump, found.held_otherwise) == (None, 2)
        text = found.to_markdown()
        assert (
            "The dataset is the same. The splits that a former version gives its images are others." in text
        )
        assert f"- Another `previous_split`, the split in the former version: {count}." in text
    assert compare(version_of(held), version_of(held)).held_otherwise == 0
    assert "previous_split" not in compare(version_of(ROWS), version_of(held.drop(index=1))).to_markdown()


def test_two_datasets_need_no_step_of_a_version() -> None:
    recipe = covid19_cxr()
    old, new = (
        replace(version_of(rows), declarations=declarations(recipe.model_copy(update={"name": name})))
        for name, rows in (("covid19-cxr", ROWS), ("mine-cxr", ROWS.drop(index=1)))
    )
    said = "covid19-cxr 1.0.0 and mine-cxr 1.0.0 are two datasets, not versions of one."
    for text in (compare(old, new).to_markdown(), compare(old, new).to_html()):
        assert said in text
        assert "MAJOR" not in text
    assert said in compare(old, new)._repr_html_()
    assert compare(old, new).step is None
    assert "needs a MAJOR step" in compare(old, replace(new, declarations=old.declarations)).to_markdown()


def test_diff_result_is_json_and_html() -> None:
    found = compared(put("label", "<b>"))
    assert json.loads(json.dumps(found.to_dict()))["counts"] == [
        {"kind": "relabelled", "source": "one", "label": "<b>", "rows": 1}
    ]
    assert "rows with another class" in found._repr_html_()
    page = found.to_html()
    assert "label COVID-19 -&gt; &lt;b&gt;" in page
    assert "<b>" not in page
    assert "(label COVID-19 -> &lt;b>)" in found.to_markdown()


def test_diff_ignores_order_and_equal_nulls() -> None:
    assert compared(lambda rows: rows.iloc[::-1].reset_index(drop=True)).bump is None


def test_diff_separates_missing_from_removed_rows() -> None:
    whole = version_of(ROWS)
    short = DatasetVersion("short", ROWS.drop(index=1), None, released=False, missing={"b": "missing_file"})
    for old, new, side in ((whole, short, "new"), (short, whole, "old")):
        found = compare(old, new)
        assert {kind: len(rows) for kind, rows in found.rows.items() if len(rows)} == {"missing": 1}
        assert found.rows["missing"]["reason"].item() == f"{side}: missing_file"
        assert found.bump is None
    # Another row that was removed did leave.
    found = compare(
        whole, DatasetVersion("", ROWS.iloc[[0]], None, released=False, missing={"b": "missing_file"})
    )
    assert (list(found.rows["removed"]["image_id"]), found.bump) == (["c"], "major")


def test_diff_separates_other_bytes_of_an_unpinned_source_from_changes() -> None:
    rows = ROWS.assign(source_sha256=["1a", "1b", "1c"])
    other = rows.assign(source_sha256=["1a", "ff", "1c"], jpeg_sha256=["0a", "ff", "0c"])
    pinned, loose = version_of(rows), DatasetVersion("", other, None, released=False, unpinned=["one"])
    found = compare(pinned, loose)
    assert {kind: len(rows) for kind, rows in found.rows.items() if len(rows)} == {"other_bytes": 1}
    assert found.rows["other_bytes"]["change"].item() == "jpeg_sha256 0b -> ff; source_sha256 1b -> ff"
    assert conclusion(found).endswith("1 file with other bytes, of sources that one version has unpinned.")
    assert found.bump is None
    # Where both versions are unpinned there is no pin to differ from; nor does one excuse another source's.
    for old, new in (
        (DatasetVersion("", rows, None, released=False, unpinned=["one"]), loose),
        (pinned, DatasetVersion("", other, None, released=False, unpinned=["two"])),
    ):
        found = compare(old, new)
        assert [kind for kind, rows in found.rows.items() if len(rows)] == [
            "pixels_changed",
            "metadata_changed",
        ]
        assert found.bump == "patch"
    # The same file, other pixels: the conversion changed.
    found = compare(pinned, DatasetVersion("", put("jpeg_sha256", "ff")(rows), None, False, unpinned=["one"]))
    assert [kind for kind, rows in found.rows.items() if len(rows)] == ["pixels_changed"]
    # A reviewer's note about an image is not a file.
    found = compare(pinned, DatasetVersion("", put("patient_age", 5.0)(rows), None, False, unpinned=["one"]))
    assert [kind for kind, rows in found.rows.items() if len(rows)] == ["metadata_changed"]


def test_another_kind_of_pin_changes_no_image() -> None:
    """A listing of names has no git hashes; one of a git tree has them."""
    named, hashed = ROWS.assign(source_blob=None), ROWS.assign(source_blob=["1a", "1b", "1c"])
    for old, new in ((named, hashed), (hashed, named)):
        assert not compare(version_of(old), version_of(new)).counts()
        loose = DatasetVersion("", new, None, released=False, unpinned=["one", "two"])
        assert not compare(version_of(old), loose).counts()
    found = compare(version_of(hashed), version_of(put("source_blob", "ff")(hashed)))
    assert found.rows["metadata_changed"]["change"].item() == "source_blob 1b -> ff"


def test_diff_shows_images_that_both_exclude_for_another_reason() -> None:
    was = {"a": ("lateral", None), "b": ("annotated", "arrow: left"), "c": ("ct", None), "d": ("ct", None)}
    now = {
        "a": ("withdrawn", "2026-03-01: error"), "b": ("annotated", "arrow: right"), "c": ("ct", None),
        "e": ("ct", None),
    }  # fmt: skip
    of_recipe = declarations(covid19_cxr())
    old, new = (
        replace(version_of(ROWS[:0]), ledger=ledger(**rows), declarations=of_recipe) for rows in (was, now)
    )
    found = compare(old, new)
    columns = ["image_id", "change", "cause", "reason"]
    assert found.rows["exclusion_changed"][columns].to_numpy().tolist() == [
        [
            "a", "exclusion lateral -> withdrawn", "lateral -> withdrawn",
            "before: lateral (view_position LL); now: withdrawn (2026-03-01: error)",
        ],
        ["b", "exclusion_detail arrow: left -> arrow: right", "another detail", ""],
    ]  # fmt: skip
    # No row of the dataset changed.
    assert (found.bump, [count.kind for count in found.counts()]) == (None, ["exclusion_changed"])
    assert "The dataset is the same. Some images are excluded for another reason." in found.to_markdown()
    for page in (found.to_markdown(), found.to_html()):
        assert "withdrawn (2026-03-01: error)" in page
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["exclusion_changed"][0]["label"] == ""
    # A release omits the notes of sources that are not public: that is no change.
    silent = ledger(a=("withdrawn", "2026-03-01"), b=("annotated", "arrow"), c=("ct", None), e=("ct", None))
    assert not compare(new, replace(new, ledger=silent)).counts()
    # A build of an earlier version does not say which part is a note.
    earlier = replace(new, ledger=ledger(**now).assign(exclusion_note=pd.Series([None] * 4, dtype="str")))
    assert not compare(earlier, new).counts()
    # Which version says nothing is not known.
    assert not compare(old, version_of(ROWS[:0])).counts()


def test_diff_shows_changes_of_withdrawals() -> None:
    of_recipe = declarations(covid19_cxr())
    old, new = (
        replace(version_of(ROWS[:0]), ledger=ledger(**rows), declarations=of_recipe)
        for rows in (
            {"a": ("withdrawn", "2026-03-01: x"), "b": ("withdrawn", "2026-03-01: x"),
             "c": ("withdrawn", "2026-03-01: x"), "d": ("lateral", None)},
            {"a": ("withdrawn", "2026-03-01: x"), "b": ("withdrawn", "2026-03-01: y: z"),
             "d": ("withdrawn", "2026-04-01: x")},
        )
    )  # fmt: skip
    found = compare(old, new)
    # An image that is in a changed row is listed there alone, with day and reason.
    assert [(one.of, one.key, one.old, one.new) for one in found.declared if "withdrawn" in one.key] == [
        ("one", "withdrawn.c", "2026-03-01: x", None),
    ]  # fmt: skip
    page = found.to_markdown()
    for once in (
        "2026-03-01: x -> 2026-03-01: y: z",
        "now: withdrawn (2026-04-01: x)",
        "withdrawn.c: removed",
    ):
        assert page.count(once) == 1
    removed = compare(
        replace(version_of(ROWS), ledger=ledger(), declarations=of_recipe),
        replace(
            version_of(ROWS[1:]), ledger=ledger(a=("withdrawn", "2026-04-01: x")), declarations=of_recipe
        ),
    )
    assert removed.to_markdown().count("2026-04-01: x") == 1


def test_an_error_has_all_counts_and_the_first_rows_that_matter() -> None:
    numbers = [f"n{number}" for number in range(8)]
    rows = pd.DataFrame({"image_id": numbers, "source": "one", "label": "Normal", "split": "train",
                         "patient_age": range(8)})  # fmt: skip
    old = version_of(rows)
    aged = rows.assign(patient_age=[*range(6), 66, 77])
    text = summary(compare(old, version_of(aged[5:])), 3)
    assert text == (
        "  5 removed rows:\n    n0 (train Normal)\n    n1 (train Normal)\n    n2 (train Normal)\n"
        "    and 2 more\n  2 rows with other metadata\n"
        "  rows has no ledger: why it lacks these images is not known"
    )
    # Where metadata alone changed, its rows decide.
    assert summary(compare(old, version_of(aged)), 1) == (
        "  2 rows with other metadata:\n    n6 (patient_age 6 -> 66)\n    and 1 more"
    )


def test_diff_has_totals_before_and_after() -> None:
    of_recipe = declarations(covid19_cxr())
    classes = ["Normal", "COVID-19"]
    old = replace(version_of(ROWS, classes), ledger=ledger(d=("lateral", None)), declarations=of_recipe)
    after = ledger(c=("ct", None), d=("lateral", None))
    new = replace(version_of(ROWS[:2], classes), ledger=after, declarations=of_recipe)
    found = compare(old, new)
    assert [(one.of, one.name, one.split, one.old, one.new) for one in found.totals] == [
        ("upstream", "", None, 1, 2), ("dataset", "", None, 3, 2),
        ("class", "Normal", "train", 1, 1), ("class", "Normal", "test", 1, 0),
        ("class", "COVID-19", "train", 1, 1),
        ("source", "one", None, 2, 2), ("source", "two", None, 1, 0),
        ("exclusion", "ct", None, 0, 1), ("exclusion", "lateral", None, 1, 1),
    ]  # fmt: skip
    assert "\n| Normal, test | 1 | 0 | -1 |\n" in found.to_markdown()
    assert '<th scope="row" class="words">excluded: ct</th><td>0</td><td>1</td><td>+1</td>' in found.to_html()
    # Without a ledger it is not known what was excluded.
    found = compare(version_of(ROWS), new)
    assert "| excluded: ct | not known | 1 |  |" in found.to_markdown()


def test_diff_says_how_exact_both_versions_are() -> None:
    """Of images whose name alone is known, equal rows do not mean equal pixels."""

    def exact(**counts: int) -> dict[str, SourceExactness]:
        return {"one": SourceExactness(**dict.fromkeys(MEANINGS, 0) | counts)}

    old = replace(
        version_of(ROWS), exactness=exact(verified=2, name_only=1) | {"two": exact(name_only=4)["one"]}
    )
    new = replace(version_of(ROWS), exactness=exact(verified=1, other_bytes=2))
    found = compare(old, new)
    exactness = [one for one in found.totals if one.of == "exactness"]
    assert [(one.name, one.old, one.new) for one in exactness] == [
        ("verified", 2, 1), ("other_bytes", 0, 2), ("name_only", 5, 0),
    ]  # fmt: skip
    assert "\n| by the pin: name only | 5 | 0 | -5 |\n" in found.to_markdown()
    assert '<th scope="row" class="words">by the pin: name only</th><td>5</td><td>0</td>' in found.to_html()
    # A published manifest does not say it.
    found = compare(version_of(ROWS), new)
    assert "\n| by the pin: other bytes | not known | 2 |  |\n" in found.to_markdown()
    verified = replace(version_of(ROWS), exactness=exact(verified=3))
    assert not [one for one in compare(verified, verified).totals if one.of == "exactness"]


def test_diff_shows_that_equal_builds_are_known_by_name_alone(demo: Path, tmp_path: Path) -> None:
    old, new = (shutil.copytree(demo / "build", tmp_path / name) for name in ("old", "new"))
    for build in (old, new):
        document = read_json(build / "build.json")
        one = document["exactness"]["mooney"]
        one |= {"name_only": one["verified"], "verified": 0}
        write_json(build / "build.json", document)
    images = one["name_only"]
    assert images
    ran = run("diff", old, new)
    assert ran.status == 0
    assert re.search(rf"^by the pin: name only +{images} +{images}$", ran.out, re.M)
    total = {"of": "exactness", "name": "name_only", "split": None, "old": images, "new": images}
    assert total in json.loads(run("diff", old, new, "--json").out)["totals"]


def test_diff_has_findings_without_a_class_that_are_new() -> None:
    of_recipe = declarations(covid19_cxr())
    excluded = {"c": ("other_finding", None), "d": ("other_finding", None)}
    before = ledger(**excluded).assign(finding="Tumor", label=None)
    after = before.assign(finding=["Tumor", "Atypical"])
    old, new = (
        replace(version_of(ROWS[:2]), ledger=rows, declarations=of_recipe) for rows in (before, after)
    )
    found = [one for one in compare(old, new).totals if one.of == "finding"]
    assert [(one.name, one.old, one.new) for one in found] == [("Atypical", 0, 1)]
    assert "\n| without a class: Atypical | 0 | 1 | +1 |\n" in compare(old, new).to_markdown()
    assert not [one for one in compare(new, new).totals if one.of == "finding"]


def test_diff_names_added_and_removed_columns() -> None:
    wider = ROWS.assign(view="PA")
    assert compare(version_of(ROWS), version_of(wider)).columns_added == ["view"]
    assert compare(version_of(ROWS), version_of(wider)).bump == "minor"
    assert compare(version_of(wider), version_of(ROWS)).columns_removed == ["view"]
    assert compare(version_of(wider), version_of(ROWS)).bump == "major"


def test_diff_requires_major_for_another_class_number() -> None:
    same, swapped, longer = ["Normal", "COVID-19"], ["COVID-19", "Normal"], ["Normal", "COVID-19", "New"]
    assert compare(version_of(ROWS, same), version_of(ROWS, swapped)).bump == "major"
    assert compare(version_of(ROWS, same), version_of(ROWS, longer)).bump is None


def test_diff_compares_withheld_between_releases_only() -> None:
    hidden = ROWS.assign(withheld=[None, "unseen", None])
    free = ROWS.assign(withheld=[None, None, None])
    both = compare(version_of(hidden, released=True), version_of(free, released=True))
    assert list(both.rows["metadata_changed"]["change"]) == ["withheld unseen -> null"]
    assert compare(version_of(free), version_of(hidden, released=True)).bump is None


@pytest.mark.parametrize(
    ("old", "bump", "needed"),
    [
        ("1.4.2", "major", "2.0.0"), ("1.4.2", "minor", "1.5.0"), ("1.4.2", "patch", "1.4.3"),
        ("1.4.2", None, "1.4.2"), ("0.1.0", "major", "0.1.1"), ("0.1.0", None, "0.1.0"),
    ],
)  # fmt: skip
def test_needed_version(old: str, bump: str, needed: str) -> None:
    assert needed_version(old, bump) == needed  # type: ignore[arg-type]


def test_a_version_is_once_in_a_name(demo: Path, tmp_path: Path) -> None:
    assert versioned_name("mine", "1.0.0") == versioned_name("mine-1-0-0", "1.0.0") == "mine-1.0.0"
    assert versioned_name("mine-1-0-0", "2.0.0") == "mine-1-0-0-2.0.0"
    document = read_json(demo / "build" / "build.json")
    document["recipe"]["name"] = document["dataset"]["name"] = "demo-cxr-1-0-0"
    write_json(tmp_path / "build.json", document)
    for policy, end in (("public", ""), ("private", "-private")):
        assert default_folder(tmp_path, "1.0.0", policy) == Path("release", f"demo-cxr-1.0.0{end}")  # type: ignore[arg-type]


def test_parse_version_orders_by_number() -> None:
    assert parse_version("1.10.0") > parse_version("1.9.9")


def test_diff_command_shows_changes(demo: Path, tmp_path: Path) -> None:
    build = demo / "build"
    shutil.copytree(build, tmp_path / "later")
    moved = images_of(build, source="cohen", split="train")["image_id"].iloc[0]
    change_rows(tmp_path / "later", moved, split="test")
    ran = run("diff", build, tmp_path / "later" / "manifest.parquet", COLUMNS="200")
    assert ran.status == 0, ran.err
    assert f"  {moved} (split train -> test)" in ran.out
    assert "The version needs a MAJOR step." in ran.out
    assert "Images in both: 89 of 89 before and 89 now." in ran.out
    document = json.loads(run("diff", build, tmp_path / "later", "--json", "--quiet").out)
    assert (document["bump"], document["shared"]) == ("major", 89)
    assert [row["image_id"] for row in document["moved"]] == [moved]
    assert "Nothing changed." in run("diff", build, build / "manifest.parquet").out
    for form, begin in (("markdown", "# "), ("html", "<!doctype html>")):
        page = run("diff", build, tmp_path / "later", "--format", form)
        assert page.status == 0, page.err
        assert page.out.startswith(begin)
        assert moved in page.out
        assert "The version needs a MAJOR step." in page.out
        assert "://" not in page.out  # a page loads nothing from elsewhere


def test_classes_that_differ_in_case_are_named_and_unknown_datasets_need_no_step(
    demo: Path, tmp_path: Path
) -> None:
    """A folder of `plan --out` does not say of which dataset it is."""
    rows = read_records(demo / "build" / "manifest.parquet")
    write_records(tmp_path / "manifest.parquet", rows[5:].assign(label=rows["label"].str.lower()))
    ran = run("diff", demo / "build", tmp_path / "manifest.parquet")
    assert "Images in both: 84 of 89 before and 84 now." in ran.out
    assert "Pneumonia and pneumonia are two classes here: their names differ in case." in ran.out
    assert "If both are versions of one dataset, the new one needs a MAJOR step." in ran.out


def test_diff_command_says_what_it_does(demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while it imports libraries, which can take longer than the comparison."""
    monkeypatch.setattr("cxrbuild.cli.bars._FIRST_LINE_S", 0)
    build = demo / "build"
    ran = run("diff", build, build / "manifest.parquet", COLUMNS="300")
    assert ran.out == "Nothing changed.\n"
    assert [re.split(r":(?: |$)", line)[0] for line in ran.err.splitlines()] == [
        f"comparing {build} with {build / 'manifest.parquet'}",
        f"reading {build}",
        f"reading {build / 'manifest.parquet'}",
        "comparing",
    ]
    source = demo / "declared" / "cohen.toml"
    assert f"reading {source}" in run("diff", source, source, "--data", demo / "data", COLUMNS="300").err


def test_diff_text_fits_a_narrow_terminal(demo: Path, tmp_path: Path) -> None:
    """Ids and hashes of pins stay whole to be copied; hashes of images are shortened."""
    shutil.copytree(demo / "build", tmp_path / "later")
    changed = images_of(demo / "build", source="cohen")["image_id"].iloc[0]
    change_rows(tmp_path / "later", changed, source_sha256="ab" * 32)
    document = read_json(tmp_path / "later" / "build.json")
    document["declared_sources"]["cohen"]["pin"]["tree"] = "cd" * 20
    (tmp_path / "later" / "build.json").write_text(json.dumps(document))
    ran = run("diff", demo / "build", tmp_path / "later", COLUMNS="60")
    assert max(map(len, ran.out.splitlines())) <= 60
    assert changed in ran.out
    assert "cd" * 20 in ran.out
    assert "abababababab" in ran.out
    assert "ab" * 7 not in ran.out


def test_diff_command_names_missing_images(demo: Path, tmp_path: Path) -> None:
    shutil.copytree(demo / "build", tmp_path / "short")
    lost = images_of(demo / "build", source="cohen")["image_id"].iloc[0]
    drop_rows(tmp_path / "short", [lost], step="missing_file")
    document = read_json(tmp_path / "short" / "build.json") | {"missing": {lost: "missing_file"}}
    (tmp_path / "short" / "build.json").write_text(json.dumps(document))
    ran = run("diff", demo / "build", tmp_path / "short", COLUMNS="200")
    assert "rows missing on one side  cohen   COVID-19     1" in ran.out
    assert f"  {lost} (" in ran.out
    said = f"No image changed its class or split. 1 image is missing in {tmp_path / 'short'}."
    assert f"{said}\n" in ran.out
    assert "same" not in ran.out
    back = compare(read_version(str(tmp_path / "short")), read_version(str(demo / "build")))
    assert conclusion(back) == said
    assert "Nothing changed" not in ran.out
    with pytest.warns(MissingPixelsWarning, match=r"1 image of the dataset is missing\.") as warned:
        short = load(tmp_path / "short")
    assert " COVID-19 images of test are here, and 1 more is missing.\n" in str(warned[0].message)
    assert repr(short.artifact).endswith(", missing=1)")
    assert "Images without pixels: 1 missing." in short._repr_html_()


def test_diff_compares_the_content_of_a_copied_file(demo: Path, tmp_path: Path) -> None:
    """`recipes --copy` names shipped reviews and links by their files."""
    for name, suffix in (("shipped", ""), ("copied", ".csv")):
        build = tmp_path / name
        build.mkdir()
        shutil.copy(demo / "build" / "manifest.parquet", build)
        document = read_json(demo / "build" / "build.json")
        document["recipe"]["reviews"] = [f"covid_frontal{suffix}"]
        write_json(build / "build.json", document)
    copy = Path(shutil.copy(CATALOG / "reviews" / "covid_frontal.csv", tmp_path))
    (build / ".cxrbuild").mkdir()
    write_json(build / ".cxrbuild" / "declarations.json", {"sources": {}, "reviews": [str(copy)]})

    def declared() -> list[str]:
        return [one.key for one in compare(*(read_version(str(tmp_path / name)) for name in names)).declared]

    names = ("shipped", "copied")
    assert declared() == []
    copy.write_text("".join(copy.read_text().splitlines(keepends=True)[:-1]))
    assert declared() == ["reviews"]


def test_diff_reads_published_names() -> None:
    ran = run("diff", "covid19-cxr/1.0.0", "covid19-cxr/1.0.0")
    assert (ran.status, ran.out) == (0, "Nothing changed.\n")


def test_diff_ignores_columns_that_a_published_manifest_lacks(demo: Path) -> None:
    """Its few columns are no columns that came or left."""
    found = compare(read_version("covid19-cxr/1.0.0"), read_version(str(demo / "build")))
    assert (found.columns_added, found.columns_removed) == ([], [])
    # Two of the demo's names are among Mooney's.
    assert len(found.rows["removed"]) == 6354 - 2


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda _: None, "no such release, build or manifest"),
        (lambda path: path.mkdir(), "a folder without manifest.parquet"),
        (lambda path: path.write_text("image_id,label\n"), "not a Parquet file"),
        (lambda path: ROWS.drop(columns="split").to_parquet(path), "not a manifest"),
        (lambda path: pd.concat([ROWS, ROWS.head(1)]).to_parquet(path), "an image_id occurs twice"),
    ],
)
def test_diff_refuses_other_files(make: Callable[[Path], object], words: str, tmp_path: Path) -> None:
    make(tmp_path / "thing")
    with pytest.raises(CxrbuildError, match=words):
        read_version(str(tmp_path / "thing"))


@pytest.mark.parametrize("text", ["{}", "[]", "3", '{"recipe": 3}', '{"recipe": {"labels": []}}', '{"rec'])
def test_diff_refuses_a_damaged_build_json(demo: Path, tmp_path: Path, text: str) -> None:
    shutil.copy(demo / "build" / "manifest.parquet", tmp_path)
    (tmp_path / "build.json").write_text(text)
    ran = run("diff", demo / "build", tmp_path, COLUMNS="600")
    assert ran.status == 1
    assert "build.json: not " in ran.err
    assert "Traceback" not in ran.err
