"""The split of a former version is held, whatever upstream calls its patients."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from command import run
from PIL import Image
from systems import needs_device_files
from test_split import images, link, split

import cxrbuild
from cxrbuild.artifact import names, open_build
from cxrbuild.artifact.published import published_manifest
from cxrbuild.catalog.split import Split
from cxrbuild.comparison import diff
from cxrbuild.curation import curate, read_declaration_files, read_declared, read_previous
from cxrbuild.curation.previous import require_other_folder
from cxrbuild.curation.seal import inputs_hash
from cxrbuild.errors import CxrbuildError, DeclarationError
from cxrbuild.files import read_json, write_json
from cxrbuild.image_decision.versions import rows_asked
from cxrbuild.lockfile import read_lock
from cxrbuild.previous_split import groups_joined
from cxrbuild.records import image_id, read_records
from cxrbuild.shell import quote
from cxrbuild.verification.context import Context
from cxrbuild.verification.counts import check_summary

MANY = tuple(("a", f"n{i}", 1) for i in range(30))


def with_previous(records: pd.DataFrame, **splits: str) -> pd.DataFrame:
    """Fill ``previous_split`` of the first image of each patient."""
    first = records.groupby("patient_id").head(1).index
    known = records.loc[first, "patient_id"].map(splits)
    return records.assign(previous_split=known.reindex(records.index).astype("str"))


def held(records: pd.DataFrame, *links: tuple[str, str], **keys: object) -> pd.DataFrame:
    joined = [link(("a", f"{a}/0.png"), ("a", f"{b}/0.png")) for a, b in links]
    return split(records, joined, previous="former", **keys)


def by_patient(done: pd.DataFrame) -> dict[str, str]:
    assert (done.groupby("patient_id")["split"].nunique() == 1).all()
    return done.groupby("patient_id")["split"].first().to_dict()


def test_a_group_goes_whole_to_the_split_that_its_images_had() -> None:
    splits = {"1": "train", "2": "validation", "3": "test"}
    records = with_previous(images(("a", "1", 2), ("a", "2", 3), ("a", "3", 2), *MANY), **splits)
    for keys in ({"share": 0.6}, {"share": 0.01}, {"count": {"A": 9}}):
        found = by_patient(held(records, test=keys, validation={"count": {"A": 8}}))
        assert {name: found[name] for name in splits} == splits
        assert Counter(found.values())["validation"] == 8 - 3 + 1


def test_the_name_of_a_group_does_not_matter() -> None:
    before = split(images(*MANY), test={"count": {"A": 8}})
    renamed = before.assign(
        patient_id="new-" + before["patient_id"], previous_split=before["split"], split=None, group=None
    )
    assert held(renamed, test={"count": {"A": 8}})["split"].tolist() == before["split"].tolist()
    assert split(renamed, test={"count": {"A": 8}})["split"].tolist() != before["split"].tolist()


def test_a_release_from_when_the_source_was_not_public_is_matched(tmp_path: Path) -> None:
    paths = ["01.png", "02.png"]
    ids = [image_id("clinic", path, named=False) for path in paths]
    rows = pd.DataFrame({"image_id": ids, "source": "clinic", "source_path": ids, "split": ["train", "test"]})
    rows.to_parquet(tmp_path / "manifest.parquet")
    now = [image_id("clinic", path) for path in [*paths, "03.png"]]
    records = pd.DataFrame({"image_id": now, "source": "clinic", "source_path": [*paths, "03.png"]})
    found = read_previous("manifest.parquet", tmp_path).splits_of(records)
    assert found.fillna("").tolist() == ["train", "test", ""]


def test_ids_alone_are_matched_where_a_source_became_public_or_ceased_to_be(tmp_path: Path) -> None:
    """As a notebook writes them with pandas, to hold the split without the release."""
    paths = ["01.png", "02.png"]
    for then, now in ((True, False), (False, True)):
        ids = [image_id("clinic", path, named=then) for path in paths]
        rows = pd.DataFrame({"image_id": ids, "split": ["train", "test"]})
        rows.to_csv(tmp_path / "former.csv", index=False)
        ids = [image_id("clinic", path, named=now) for path in paths]
        records = pd.DataFrame({"image_id": ids, "source": "clinic", "source_path": paths})
        found = read_previous("former.csv", tmp_path).splits_of(records)
        assert found.tolist() == ["train", "test"]


@pytest.mark.parametrize(
    ("splits", "expected"),
    [
        ({"1": "test", "2": "train"}, "train"),
        ({"1": "validation", "2": "train"}, "train"),
        ({"1": "test", "2": "validation"}, "validation"),
        ({"1": "test"}, "test"),
    ],
)
def test_a_joined_group_is_in_train_before_validation_before_test(
    splits: dict[str, str], expected: str
) -> None:
    records = with_previous(images(("a", "1", 2), ("a", "2", 1)), **splits)
    done = held(records, ("1", "2"))
    assert set(done["split"]) == {expected}
    order = [name for name in ("train", "validation", "test") if name in splits.values()]
    joined = {"a:1": ", ".join(order)} if len(splits) > 1 else {}
    assert groups_joined(done, Split(salt="s")).to_dict() == joined


def test_splits_that_a_source_declares_take_precedence() -> None:
    records = with_previous(images(("m", "1", 1), ("a", "2", 1), ("a", "3", 1)), **{"1": "test", "2": "test"})
    records.loc[records["source"] == "m", "upstream_split"] = "train"
    words = {"declared": [{"source": "m", "map": {"train": "train"}}]}
    done = split(records, [link(("m", "1/0.png"), ("a", "3/0.png"))], previous="former", **words)
    assert done["split"].tolist() == ["train", "test", "train"]
    assert groups_joined(done, Split.model_validate({"salt": "s", **words})).empty


def test_validation_that_was_drawn_from_declared_train_images_is_held() -> None:
    patients = [("m", str(n), 1) for n in range(8)]
    records = images(*patients).assign(upstream_split="train")
    words = {"declared": [{"source": "m", "map": {"train": "train"}}], "validation": {"count": {"A": 3}}}
    before = split(records, **words)
    assert Counter(before["split"]) == {"train": 5, "validation": 3}
    renamed = before.assign(patient_id="x" + before["patient_id"], previous_split=before["split"])
    assert split(renamed, previous="former", **words)["split"].tolist() == before["split"].tolist()


def test_a_count_includes_what_is_held_and_must_be_enough() -> None:
    records = with_previous(images(("a", "1", 3), *MANY), **{"1": "test"})
    done = held(records, test={"count": {"A": 5}})
    assert Counter(done["split"])["test"] == 5
    assert by_patient(done)["1"] == "test"
    with pytest.raises(CxrbuildError) as error:
        held(records, test={"count": {"A": 2}})
    assert error.value.what == "the former version has more images in test than the recipe counts"
    assert (error.value.where, error.value.expected, error.value.found) == (
        "`split.test.count`", "at most A 2", "A 3",
    )  # fmt: skip
    assert "Raise the counts" in str(error.value.todo)
    records = with_previous(records, **{"1": "validation"})
    with pytest.raises(CxrbuildError, match=r"split\.validation\.count"):
        held(records, validation={"count": {"A": 2}})


def test_excluded_images_hold_nothing_and_another_class_does_not_matter() -> None:
    records = with_previous(images(("a", "1", 2), ("a", "2", 2), *MANY), **{"1": "test", "2": "test"})
    records.loc[records["previous_split"].notna() & (records["patient_id"] == "1"), "exclusion"] = "ct"
    records.loc[records["patient_id"] == "2", "label"] = "B"
    done = held(records, test={"share": 0.001})
    assert done.loc[done["patient_id"] == "1", "split"].tolist()[1:] == ["train"]
    assert set(done.loc[done["patient_id"] == "2", "split"]) == {"test"}


def test_previous_and_a_published_list_exclude_each_other() -> None:
    with pytest.raises(ValueError, match="previous: the list under `published` gives every split"):
        Split.model_validate({"salt": "s", "previous": "x", "published": {"list": "y"}})


FORMER = "image_id,split\na_1,train\na_2,test\n"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("image_id,split\na_1,train\na_2,\n", "1 row without a split: a_2"),
        ("image_id,split\na_1,trian\n", "1 row with the split 'trian'; the nearest split is 'train'"),
        ("image_id,split\na_1,train\na_1,test\n", "1 image with two splits: a_1"),
        ("image_id,split\n", "no row of an image"),
        ("image_id,split\n,test\n", "1 row without an image_id, or source and path"),
        ("image_id;set\na_1;test\n", "expected: image_id (or source and path) and split; found: image_id"),
        ("", "found: none of these"),
        ("[split]\nprevious, salt\n", "found: none of these"),
        ("image_id,split\na_1,train,more,\n", "found: line 2: 4 cells, not 2"),
        ("image_id,split\na_1,train\na_\0,train\n", "found: line 3: holds a NUL byte"),
        ('image_id,split\n"a_1,train\n', "found: line 2: unexpected end of data"),
        ("\n\nimage_id,split\na_1,train\n", "the first line of this file is blank"),
        ("image_id\tsplit\na_1\ttrain\n", "the cells of this file are separated by tabs"),
        (b"\xff\xfe\x00", "not UTF-8 text"),
        (b"PAR1 and no more", "names a damaged Parquet file"),
    ],
)
def test_a_table_that_gives_no_split_is_refused(text: str | bytes, problem: str, tmp_path: Path) -> None:
    file = tmp_path / "former.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DeclarationError) as error:
        read_previous("former.csv", tmp_path)
    assert problem in f"{error.value.what}; expected: {error.value.expected}; found: {error.value.found}"
    assert str(file) in str(error.value)
    assert error.value.todo


@pytest.mark.parametrize(
    "text",
    [FORMER, "\ufeff" + FORMER.replace(",", ";"), "source,path,split,note\na,1.png,train,x\na,2.png,test,\n"],
)
def test_a_table_by_id_or_by_source_and_path_is_read(text: str, tmp_path: Path) -> None:
    (tmp_path / "former.csv").write_text(text, encoding="utf-8")
    read = read_previous("former.csv", tmp_path)
    records = pd.DataFrame(
        {"image_id": ["a_2", "a_3"], "source": ["a", "a"], "source_path": ["2.png", "3.png"]}, dtype="str"
    )
    assert read.splits_of(records).fillna("none").tolist() == ["test", "none"]
    assert (read.name, len(read.rows)) == ("former.csv", 2)


def test_a_published_manifest_is_named_as_the_key_manifest_names_it(tmp_path: Path) -> None:
    read = read_previous("covid19-cxr/1.0.0", tmp_path)
    published = read_records(published_manifest("covid19-cxr/1.0.0"))
    assert read.splits_of(published).tolist() == published["split"].tolist()
    # An image of a source that became public, or ceased to be, has another id and the same path.
    other = published.assign(image_id="x-" + published["image_id"])
    assert read.splits_of(other).tolist() == published["split"].tolist()
    with pytest.raises(DeclarationError, match=r"Write covid19-cxr/1\.0\.0, the nearest name"):
        read_previous("covid19-cxr/1.0.1", tmp_path)
    (tmp_path / "half" / names.STATE).mkdir(parents=True)
    (tmp_path / "half" / names.LEDGER).touch()
    with pytest.raises(DeclarationError, match="without a finished build, release or plan"):
        read_previous("half", tmp_path)
    with pytest.raises(DeclarationError, match="Write half, the nearest name"):
        read_previous("hlaf", tmp_path)


def test_other_versions_are_asked_for_both_ids_of_an_image() -> None:
    asked = pd.DataFrame({"image_id": ["c_0"], "source": ["c"], "source_path": ["a/1.png"]})
    for named in (True, False):
        ids = [image_id("c", path, named=named) for path in ("a/1.png", "a/2.png")]
        found = rows_asked(pd.DataFrame({"image_id": ids, "split": ["test", "train"]}), asked)
        assert found.to_dict("records") == [{"image_id": "c_0", "split": "test"}]


@needs_device_files
def test_a_name_that_is_neither_file_nor_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match="names neither a file nor a folder"):
        read_previous("/dev/zero", tmp_path)


SOURCE = """
name = "clinic"
title = "Images of the clinic"
license = "LicenseRef-internal"
public = true
[reader]
kind = "csv"
file = "labels.csv"
path = "{file}"
images = ["*.png"]
patient_id = "keep"
[columns.finding]
from = "finding"
[columns.patient_id]
from = "patient"
"""
RECIPE = """
name = "clinic-cxr"
version = "VERSION"
date = "2026-11-25"
title = "Images of the clinic"
sources = ["clinic.toml"]
[labels]
Sick = { clinic = ["sick"] }
Well = { clinic = ["well"] }
[[rules]]
name = "other_finding"
kind = "labelled"
reason = "No class."
[split]
salt = "s"
PREVIOUS
test = { count = { Sick = 3, Well = 3 } }
"""


def write_world(world: Path, patients: Callable[[int], str], version: str = "1.0.0", more: str = "") -> None:
    """Write a source of 20 images and its recipe; a patient is named by a function of its number."""
    root = world / "data" / "sources" / "clinic"
    root.mkdir(parents=True, exist_ok=True)
    rows = ["file,patient,finding"]
    for number in range(20):
        Image.new("L", (8, 8), number * 12).save(root / f"{number:02d}.png")
        rows.append(f"{number:02d}.png,{patients(number)},{('sick', 'well')[number % 2]}")
    (root / "labels.csv").write_text("\n".join(rows) + "\n")
    (world / "clinic.toml").write_text(SOURCE)
    (world / "recipe.toml").write_text(RECIPE.replace("VERSION", version).replace("PREVIOUS", more))


def test_a_build_holds_the_split_of_a_former_one(tmp_path: Path) -> None:
    """Every patient gets another name, and two whose images are in two splits become one."""
    world = tmp_path / "world"
    write_world(world, lambda number: f"p{number}")
    recipe = str(world / "recipe.toml")
    former = curate(read_declared(recipe, {}), world / "data", tmp_path / "first", formats=["parquet"]).build
    assert "previous" not in read_json(former.folder / names.BUILD)
    assert "previous_split" not in pd.read_parquet(former.folder / names.LEDGER).columns
    assert "previous" not in (former.folder / names.STATE / "declarations.json").read_text()
    before = former.manifest.set_index("source_path")["split"]
    a, b = (
        next(int(path[:2]) for path in before.index[before == name] if int(path[:2]) % 2 == 0)
        for name in ("train", "test")
    )

    write_world(world, lambda number: f"q{a if number == b else number}", "2.0.0", 'previous = "../first"')
    ran = run("plan", "--recipe", recipe, "--data", world / "data", COLUMNS="400")
    assert "no image of Sick can be drawn. Expected: 1 image" in ran.err
    assert "Groups of the former version are held" in ran.err
    assert "Change `split.test.count`, or ask for a share" in ran.err
    Path(recipe).write_text(Path(recipe).read_text().replace("Sick = 3", "Sick = 2"))
    ran = run("plan", "--recipe", recipe, "--data", world / "data", "--json")
    planned = json.loads(ran.out)["previous"]
    joined = {f"clinic:q{a}": "train, test"}
    assert (planned["name"], planned["images"], planned["held"]) == ("clinic-cxr/1.0.0", 20, 20)
    assert planned["groups_in_several_splits"] == joined
    declared = read_declared(recipe, {})
    assert declared.recipe.split.previous == "clinic-cxr/1.0.0"
    build = curate(declared, world / "data", tmp_path / "second", formats=["parquet"]).build
    after = build.manifest.set_index("source_path")["split"]
    assert after.to_dict() == before.to_dict() | {f"{b:02d}.png": "train"}
    assert open_build(build.folder).document.previous == build.document.previous
    assert str(tmp_path) not in (build.folder / names.BUILD).read_text()
    assert run("verify", build.folder).status == 0
    document = read_json(build.folder / names.BUILD)
    for previous, message in (
        (document["previous"] | {"held": 99}, "previous.held: counts 99 images, the ledger has 20"),
        (
            document["previous"] | {"name": "x.csv"},
            "is x.csv, the recipe has clinic-cxr/1.0.0",
        ),
        (None, "previous.name: is none, the recipe has clinic-cxr/1.0.0"),
    ):
        write_json(build.folder / names.BUILD, document | {"previous": previous})
        assert message in " ".join(map(str, check_summary(Context(build.folder, "build"))))
    write_json(build.folder / names.BUILD, document)

    image = build.manifest.set_index("source_path").loc[f"{b:02d}.png", "image_id"]
    found = diff(former.folder, build.folder)
    (moved,) = (row for row in found.rows["moved"].to_dict("records") if row["image_id"] == image)
    assert "images of its group were in several splits in clinic-cxr/1.0.0 (train, test)" in moved["reason"]
    text = " ".join(run("why", image, "--build", build.folder, COLUMNS="100").out.split())
    assert "train goes before validation before test" in text
    there = (
        f"train here, test in clinic-cxr/1.0.0 ({tmp_path / 'first'}); group clinic:q{a} here, clinic:p{b}"
    )
    assert there in text
    release = cxrbuild.release(build.folder, "2.0.0", tmp_path / "release").release.folder
    renamed = found.rows["metadata_changed"].set_index("image_id")["change"]
    assert renamed.str.fullmatch(
        r"patient_id p\d+ -> q\d+; patient_id_text p\d+ -> q\d+; group clinic:p\d+ -> clinic:q\d+"
    ).all()
    assert len(renamed) == 20
    for out in (former.folder, former.folder / "next", former.folder.parent):
        with pytest.raises(CxrbuildError, match="would be overwritten"):
            require_other_folder(out, former.folder)
    ran = run("curate", "--recipe", recipe, "--data", world / "data", "--out", former.folder, "--replace")
    assert "would be overwritten" in " ".join(ran.err.split())
    ran = run("plan", "--recipe", recipe, "--data", world / "data", "--out", former.folder / "next")
    assert "would be overwritten" in " ".join(ran.err.split())
    for version in (former.folder, release):
        assert read_previous(str(version), tmp_path).name.startswith("clinic-cxr/")
        ledger = version / names.LEDGER
        rows = pd.read_parquet(ledger)
        rows["split"] = rows["split"].map({"train": "test", "test": "train"})
        original = ledger.read_bytes()
        rows.to_parquet(ledger)
        with pytest.raises(DeclarationError, match="whose ledger is not the one") as error:
            read_previous(str(version), tmp_path)
        assert f"cxrbuild verify {quote(version)}" in str(error.value.todo)
        text = " ".join(run("why", image, "--build", build.folder, COLUMNS="400").out.split())
        assert ("; that version changed since: " in text) == (version == former.folder)
        assert "train here, test in clinic-cxr/1.0.0" in text
        ledger.unlink()
        with pytest.raises(DeclarationError, match="Found: no such file"):
            read_previous(str(version), tmp_path)
        ledger.write_bytes(original)
    labels = world / "data" / "sources" / "clinic" / "labels.csv"
    labels.write_text(labels.read_text().replace("19.png,q19,well", "19.png,q19,other"))
    Path(recipe).write_text(
        Path(recipe).read_text().replace("{ count = { Sick = 2, Well = 3 } }", "{ share = 0.2 }")
    )
    ran = run("plan", "--recipe", recipe, "--data", world / "data", COLUMNS="400")
    assert (
        "the splits of 19 images. Excluded here, or no longer upstream: 1 image of it. 1 group with"
        in ran.out
    )
    assert "The split is held from clinic-cxr/1.0.0" in (release / "README.md").read_text().replace("\n", " ")


def test_the_place_of_the_former_version_is_no_input_and_its_content_is(tmp_path: Path) -> None:
    write_world(tmp_path / "world", lambda number: f"p{number}")
    rows = [f"clinic,{number:02d}.png,{('train', 'test')[number < 6]}" for number in range(20)]
    file = tmp_path / "a" / "former.csv"
    file.parent.mkdir()
    file.write_text("\n".join(["source,path,split", *rows]))
    (tmp_path / "b").mkdir()
    shutil.copy(file, tmp_path / "b")
    recipe, data = tmp_path / "world" / "recipe.toml", tmp_path / "world" / "data"
    original = recipe.read_text()

    def inputs(place: str) -> str:
        recipe.write_text(original.replace("[split]", f'[split]\nprevious = "../{place}/former.csv"'))
        return inputs_hash(read_declared(str(recipe), {}), read_lock(data), ["parquet"])

    assert inputs("a") == inputs("b")
    before = inputs("a")
    file.write_text(file.read_text().replace("19.png,train", "19.png,test"))
    assert inputs("a") != before
    recipe.write_text(recipe.read_text().replace("count = { Sick = 3, Well = 3 }", "share = 0.5"))
    plan = cxrbuild.plan(recipe, data)
    splits = plan.kept.set_index("source_path")["split"]
    assert splits[splits == "test"].index.tolist() == [f"{n:02d}.png" for n in (*range(6), 19)]


def test_a_former_version_of_another_dataset_is_refused(tmp_path: Path) -> None:
    write_world(tmp_path, lambda number: f"p{number}", more='previous = "covid19-cxr/1.0.0"')
    with pytest.raises(DeclarationError, match="no image in common") as error:
        cxrbuild.plan(tmp_path / "recipe.toml", tmp_path / "data")
    assert "clinic_00_" in str(error.value.expected)
    assert "6,354 images, such as actualmed_" in str(error.value.found)


def test_plans_are_compared_with_reasons(tmp_path: Path) -> None:
    world = tmp_path
    write_world(world, lambda number: f"p{number}")
    recipe = str(world / "recipe.toml")
    for name, patient in (("one", "p"), ("two", "q")):
        write_world(world, lambda number, patient=patient: f"{patient}{number}")
        assert run("plan", "--recipe", recipe, "--data", world / "data", "--out", world / name).status == 0
    found = diff(world / "one", world / "two")
    assert read_previous("one", world).name == "one/ledger.parquet"
    assert len(found.rows["moved"])
    numbers = found.rows["moved"]["image_id"].str.extract(r"_(\d+)_", expand=False).astype(int)
    for number, reason in zip(numbers, found.rows["moved"]["reason"], strict=True):
        assert reason.startswith(f"its group was clinic:p{number}, and is clinic:q{number}: ")
    labels = world / "data" / "sources" / "clinic" / "labels.csv"
    labels.write_text(labels.read_text().replace("19.png,q19,well", "19.png,q19,other"))
    text = labels.read_text().replace("18.png,q18,sick", "18.png,q18,well")
    labels.write_text(text)
    three = Path(recipe).read_text().replace("count = { Sick = 3, Well = 3 }", "share = 0.4")
    Path(recipe).write_text(three)
    assert run("plan", "--recipe", recipe, "--data", world / "data", "--out", world / "three").status == 0
    found = diff(world / "two", world / "three")
    assert found.rows["removed"]["reason"].tolist() == ["other_finding (finding other)"]
    assert found.rows["relabelled"]["reason"].tolist() == ["finding sick -> well"]
    assert set(found.rows["moved"]["cause"]) == {"another size of a split"}
    # The plan records its recipe, as a build does.
    assert [change.key for change in found.declared if change.of == "recipe"] == [
        "split.test.count.Sick", "split.test.count.Well", "split.test.share",
    ]  # fmt: skip
    (world / "two" / "plan.json").unlink()
    found = diff(world / "two", world / "three")
    assert found.declared == []
    assert set(found.rows["moved"]["cause"]) == {"same group"}


def test_the_place_of_the_former_version_is_recorded_in_the_build_alone(tmp_path: Path) -> None:
    (tmp_path / names.STATE).mkdir()
    (tmp_path / names.STATE / "declarations.json").write_text('{"sources": {}, "reviews": []}')
    files = read_declaration_files(tmp_path)
    assert files is not None
    assert files.previous is None


def test_a_public_release_names_no_file_of_a_joined_group(tmp_path: Path) -> None:
    """Without patients a group is named after a file, which a source that is not public does not publish."""
    write_world(tmp_path, lambda number: f"p{number}", more='previous = "former.csv"\nlinks = ["links.csv"]')
    source = SOURCE.replace("public = true", "").partition("[columns.patient_id]")[0]
    (tmp_path / "clinic.toml").write_text(source)
    rows = [f"clinic,{number:02d}.png,{('train', 'test')[number < 6]}" for number in range(20)]
    (tmp_path / "former.csv").write_text("\n".join(["source,path,split", *rows]))
    header = "source_a,path_a,source_b,path_b,kind,note\n"
    (tmp_path / "links.csv").write_text(f"{header}clinic,00.png,clinic,18.png,same patient,\n")
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(recipe.read_text().replace("Sick = 3", "Sick = 2"))
    build = cxrbuild.curate(recipe, tmp_path / "data", tmp_path / "build", formats=["parquet"]).build
    joined = {"clinic/00.png": "train, test"}
    assert read_json(build.folder / names.BUILD)["previous"]["groups_in_several_splits"] == joined
    release = cxrbuild.release(build.folder, "1.0.0", tmp_path / "release").release.folder
    (group,) = read_json(release / names.BUILD)["previous"]["groups_in_several_splits"]
    assert group == f"clinic/{build.manifest.set_index('source_path').loc['00.png', 'image_id']}"
