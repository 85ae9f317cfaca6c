"""`why` says of one image why it is in or out, `sources NAME` shows a pin, and versions stay apart."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command import run
from dicom_files import dicom, ramp
from PIL import Image
from releasing import change_rows, images_of, set_version
from small_demo import IMAGES

import cxrbuild
from cxrbuild.artifact import AuditDocument, open_build
from cxrbuild.artifact.published import published_manifest
from cxrbuild.catalog.review import MARKS
from cxrbuild.curation import read_previous
from cxrbuild.errors import CxrbuildError
from cxrbuild.files import read_json, sha256_of, write_json
from cxrbuild.image_decision.find import _is_identifier
from cxrbuild.patient_key import KEY_VARIABLE, hash_identifier
from cxrbuild.records import read_records, write_records


def asked(name: object, folder: Path, *words: object) -> dict[str, object]:
    ran = run("why", name, "--build", folder, "--json", *words)
    assert ran.status == 0, ran.err
    (image,) = json.loads(ran.out)["images"]
    return image


def test_an_excluded_image_has_its_rule_and_detail(small_demo: Path) -> None:
    ledger = read_records(small_demo / "build" / "ledger.parquet")
    row = ledger[ledger["exclusion"] == "lateral"].iloc[0]
    image = asked(row["image_id"], small_demo / "build")
    assert (image["kept"], image["exclusion"], image["split"]) == (False, "lateral", None)
    results = {rule["rule"]: (rule["result"], rule["column"], rule["value"]) for rule in image["rules"]}
    assert results["lateral"] == ("excludes", "view_position", row["view_position"])
    order = list(results)
    later = order[order.index("lateral") + 1 :]
    assert {results[name][0] for name in later} == {"not asked"}
    assert "frontal" in image["meaning"]
    assert image["duplicates"] is None
    text = run("why", row["image_id"], "--build", small_demo / "build", COLUMNS="60").out
    assert "is not in demo-cxr 1.0.0: lateral" in " ".join(text.split())
    assert "duplicates  not compared:" in text
    assert max(map(len, text.splitlines())) <= 60 + len(row["source_path"])


def test_no_rule_was_asked_about_an_image_excluded_before_the_rules(small_demo: Path) -> None:
    ledger = read_records(small_demo / "build" / "ledger.parquet")
    row = ledger[ledger["exclusion"] == "row_without_file"].iloc[0]
    image = asked(row["image_id"], small_demo / "build")
    assert {rule["result"] for rule in image["rules"]} == {"not asked"}


def test_all_excluded_images_are_listed_with_what_decided(small_demo: Path) -> None:
    ledger = read_records(small_demo / "build" / "ledger.parquet")
    excluded = ledger[ledger["exclusion"].notna()]
    ran = run("why", "--excluded", "--build", small_demo / "build", "--json")
    assert ran.status == 0, ran.err
    result = json.loads(ran.out)
    assert result["listed"] == len(ledger)
    found = {image["image_id"]: image for image in result["images"]}
    assert {name: image["exclusion"] for name, image in found.items()} == dict(
        zip(excluded["image_id"], excluded["exclusion"], strict=True)
    )
    lateral = excluded[excluded["exclusion"] == "lateral"].iloc[0]
    one = found[lateral["image_id"]]
    assert (one["column"], one["value"], one["detail"]) == ("view_position", lateral["view_position"], None)
    reviewed = excluded[excluded["exclusion"] == "annotated"].iloc[0]
    ran = run("why", "--excluded", "--rule", "annotated", "--build", small_demo / "build")
    said = ran.out.splitlines()
    assert said[0] == f"demo-cxr 1.0.0 lists 1 excluded image of annotated, of {len(ledger)} images."
    decided = f"review {reviewed['review']}: {reviewed['exclusion_note']}"
    assert said[-1].split("  ") == [reviewed["image_id"], reviewed["source_path"], decided]
    assert said[2].startswith("annotated: 1 image. ")


def test_without_a_build_the_recipe_names_its_folder(small_demo: Path, tmp_path: Path) -> None:
    ran = run("why", "x", "--recipe", small_demo / "declared" / "recipe.toml", cwd=tmp_path)
    assert ran.status == 1
    assert f"{Path('build/demo-cxr')}: no finished build" in " ".join(ran.err.split())


def test_a_reviewers_note_is_the_detail_of_the_exclusion(small_demo: Path, tmp_path: Path) -> None:
    ledger = read_records(small_demo / "build" / "ledger.parquet")
    row = ledger[ledger["exclusion"] == "annotated"].iloc[0]
    image = asked(row["image_id"], small_demo / "build")
    assert image["detail"] == row["exclusion_detail"]
    assert str(image["detail"]).startswith(f"{row['review']}")
    assert image["note"] == row["exclusion_note"]
    assert image["review"] == {
        "mark": row["review"], "meaning": MARKS[row["review"]], "marks_finding": True,
        "note": row["exclusion_note"], "reader": None, "file": "reviews.csv", "line": 2,
    }  # fmt: skip
    text = " ".join(run("why", row["image_id"], "--build", small_demo / "build").out.split())
    meaning = f"{row['review']} ({MARKS[row['review']]}), drawn at a finding"
    assert f"review {meaning} (reviews.csv, line 2): {row['exclusion_note']} rule " in text
    assert f"excluded annotated ({row['exclusion_detail']}) (reviews.csv, line 2). " in text
    # The reviewer may have seen the pinned file, and the build another one.
    other = tmp_path / "other"
    shutil.copytree(small_demo / "build", other)
    document = read_json(other / "build.json")
    source = document["sources"][row["source"]]
    source |= {"unpinned": True, "different": {row["source_path"]: "0" * 40}}
    document["unpinned"] = [row["source"]]
    (other / "build.json").write_text(json.dumps(document))
    text = " ".join(run("why", row["image_id"], "--build", other).out.split())
    assert "the source as a whole: unpinned, 1 file with other bytes bytes of this image: other bytes" in text
    assert f"{row['exclusion_note']}. The pinned file may be what was reviewed rule " in text
    # With its reader; a mark that has the name of the rule is said once.
    reviews = tmp_path / "jane.csv"
    reviews.write_text(
        f"source,path,mark,marks_finding,note,reader\n{row['source']},{row['source_path']},arrow,yes,,Jane\n"
    )
    declared = read_json(other / ".cxrbuild" / "declarations.json") | {"reviews": [str(reviews)]}
    (other / ".cxrbuild" / "declarations.json").write_text(json.dumps(declared))
    records = read_records(other / "ledger.parquet")
    excluded = records["exclusion"] == "annotated"
    records = records.assign(exclusion_detail=records["exclusion_detail"].mask(excluded, "annotated"))
    write_records(other / "ledger.parquet", records)
    text = " ".join(run("why", row["image_id"], "--build", other).out.split())
    assert "demo-cxr 1.0.0: annotated source" in text
    assert "excluded annotated, by Jane (jane.csv, line 2). " in text


def test_a_kept_image_has_pin_metadata_class_split_and_group(small_demo: Path) -> None:
    row = images_of(small_demo / "build", source="cohen", split="test").iloc[0]
    file = row["source_path"].rpartition("/")[2]
    image = asked(
        file.upper(),
        small_demo / "build",
        "--data",
        small_demo / "data",
        "--recipe",
        small_demo / "declared/recipe.toml",
    )
    assert image["image_id"] == row["image_id"]
    pin = read_json(small_demo / "build" / "build.json")["declared_sources"]["cohen"]["pin"]
    assert (image["pin"]["tree"], image["pin"]["verified by"]) == (pin["tree"], "git tree")
    shown = " ".join(run("why", row["image_id"], "--build", small_demo / "build").out.split())
    assert f"tree {pin['tree']}" in shown
    assert (
        "; the source as a whole: verified by git tree bytes verified: when it was fetched, its bytes were"
        in shown
    )
    (metadata,) = image["metadata"]
    assert metadata["place"].startswith("metadata.csv, line ")
    assert metadata["values"]["filename"] == file
    assert (image["label"], image["label_reason"]) == (row["label"], f"finding {row['finding']}")
    assert image["split"] == "test"
    assert str(image["split_reason"]).startswith(("drawn by the hash of its group", "follows an image"))
    assert (image["label_by"], image["split_by"] in ("draw", "group")) == ("finding", True)
    assert image["metadata_hidden"] == []
    assert image["group"] == row["group"]
    assert image["duplicates"] is None
    without = asked(row["image_id"], small_demo / "build", "--data", small_demo / "nowhere")
    assert "nowhere" in str(without["metadata_note"])


@pytest.mark.parametrize("public", [True, False])
def test_a_source_that_is_not_public_shows_the_columns_that_its_declaration_uses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, public: bool
) -> None:
    """The answer is pasted into tickets: without the name and the birth date of a patient."""
    monkeypatch.setenv("CXRBUILD_PATIENT_KEY", "0123456789abcdef0123456789abcdef")
    scans = tmp_path / "scans"
    scans.mkdir()
    rows = ["file,patient,surname,born,finding,notes"]
    for i in range(8):
        Image.fromarray(np.full((16, 16), 20 * i, np.uint8)).save(scans / f"{i}.png")
        rows.append(
            f"{i}.png,P{i},Weber,1950-01-0{i + 1},{('ill', 'well')[i % 2]},age 7{i} Weber{' in bed' * 20}"
        )
    (scans / "labels.csv").write_text("\n".join(rows) + "\n")
    made = run("init", "scans", "--name", "scans", "--yes", *(["--public"] if public else []), cwd=tmp_path)
    assert made.status == 0, made.err
    with (tmp_path / "scans.toml").open("a") as stream:
        stream.write('\n[columns.patient_age]\nfrom = "notes"\npattern = "^age ([0-9]+)"\n')
    for words in (
        ("fetch", "scans.toml", "--from", "scans=scans", "--allow-unpinned"),
        ("curate", "--recipe", "scans-recipe.toml", "--out", "build", "--format", "parquet"),
    ):
        ran = run(*words, cwd=tmp_path)
        assert ran.status == 0, ran.err
    words = (
        "3.png",
        tmp_path / "build",
        "--recipe",
        tmp_path / "scans-recipe.toml",
        "--data",
        tmp_path / "data",
    )
    image = asked(*words)
    (metadata,) = image["metadata"]
    whole = {"file": "3.png", "patient": "P3", "surname": "Weber", "born": "1950-01-04", "finding": "well",
             "notes": f"age 73 Weber{' in bed' * 20}"}  # fmt: skip
    assert metadata["values"] == (whole if public else {"finding": "well"})
    hidden = ["file", "patient", "surname", "born", "notes"]
    assert image["metadata_hidden"] == ([] if public else hidden)
    assert image["upstream"]["patient_age"] == "73"
    text = run("why", words[0], "--build", *words[1:], COLUMNS="200").out
    assert ("Weber" in text, "1950" in text, "P3" in text) == (public, public, public)
    assert ("metadata    long values are shortened; --json has them whole" in text) == public
    assert "in bed" * 20 not in text
    assert (f"metadata    not shown, as they may identify the patient: {', '.join(hidden)}" in text) != public


def test_links_and_duplicates_are_data(small_demo: Path, tmp_path: Path) -> None:
    """Each has the other image, its split, the kind and what is known about it."""
    shutil.copytree(small_demo / "build", tmp_path / "build")
    shutil.copytree(small_demo / "declared", tmp_path / "declared")
    kept = images_of(small_demo / "build", source="cohen").iloc[[0, 1]]
    paths = list(kept["source_path"])
    (tmp_path / "declared" / "links.csv").write_text(
        "source_a,path_a,source_b,path_b,kind,note\n"
        f"cohen,{paths[0]},cohen,{paths[1]},same patient,by the report\n"
        f"cohen,{paths[0]},cohen,images/lost.png,duplicate,\n"
    )
    document = read_json(tmp_path / "build" / "build.json")
    document["recipe"]["split"]["links"] = ["links.csv"]
    write_json(tmp_path / "build" / "build.json", document)
    words = ("--recipe", tmp_path / "declared" / "recipe.toml")
    image = asked(kept["image_id"].iloc[0], tmp_path / "build", *words)
    assert image["links"] == [
        {
            "kind": "same patient", "image": kept["image_id"].iloc[1], "source": "cohen", "path": paths[1],
            "split": kept["split"].iloc[1], "exclusion": None, "note": "by the report", "later": False,
        },
        {
            "kind": "duplicate", "image": None, "source": "cohen", "path": "images/lost.png", "split": None,
            "exclusion": None, "note": None, "later": False,
        },
    ]  # fmt: skip
    ran = run("why", kept["image_id"].iloc[0], "--build", tmp_path / "build", *words, COLUMNS="300")
    other, split = kept[["image_id", "split"]].iloc[1]
    assert f"link        same patient: {other} ({split}): by the report" in ran.out
    assert "link        duplicate: cohen/images/lost.png (not in the ledger)" in ran.out


def test_a_link_between_groups_was_declared_after_the_build(small_demo: Path, tmp_path: Path) -> None:
    shutil.copytree(small_demo / "build", tmp_path / "build")
    shutil.copytree(small_demo / "declared", tmp_path / "declared")
    kept = images_of(small_demo / "build", source="cohen").drop_duplicates("group").iloc[:2]
    path_a, path_b = kept["source_path"]
    (tmp_path / "declared" / "links.csv").write_text(
        f"source_a,path_a,source_b,path_b,kind,note\ncohen,{path_a},cohen,{path_b},same patient,\n"
    )
    document = read_json(tmp_path / "build" / "build.json")
    document["recipe"]["split"]["links"] = ["links.csv"]
    write_json(tmp_path / "build" / "build.json", document)
    recipe = tmp_path / "declared" / "recipe.toml"
    ran = run(
        "why", kept["image_id"].iloc[0], "--build", tmp_path / "build", "--recipe", recipe, COLUMNS="300"
    )
    other = kept["image_id"].iloc[1]
    assert f"link        same patient, declared after the build was made: {other}" in ran.out


def test_duplicates_of_an_audit_are_data(small_demo: Path, tmp_path: Path) -> None:
    shutil.copytree(small_demo / "build", tmp_path / "build")
    a, b = images_of(small_demo / "build", source="mooney").iloc[[0, 1]].to_dict("records")
    pair = {
        "kind": "near-duplicate",
        "similarity": 0.97,
        "changes": ["cropped"],
        "crosses": ["split"],
        "linked": False,
    }
    manifest_sha256 = sha256_of(tmp_path / "build" / "manifest.parquet")
    document = AuditDocument.model_validate({
        "dataset": {"name": "demo-cxr", "version": "1.0.0", "manifest_sha256": manifest_sha256},
        "images": IMAGES, "status": "passed", "checks": [], "biases": [],
        "pairs": [{"a": b["image_id"], "b": a["image_id"]} | pair],
        "duplicate_search": {
            "compared_pairs": 1, "most_per_image": 1, "limited_images": 0, "skipped_pairs": 0,
        },
    })  # fmt: skip
    document.write(tmp_path / "build" / "audit.json")
    (tmp_path / "build" / "audit.html").touch()
    image = asked(a["image_id"], tmp_path / "build")
    assert image["duplicates"] == [pair | {"image": b["image_id"], "split": b["split"]}]
    ran = run("why", a["image_id"], "--build", tmp_path / "build", COLUMNS="300")
    where = f"{b['split']}, another split; similarity 0.97; cropped"
    assert f"duplicates  near-duplicate: {b['image_id']} ({where})" in ran.out
    # That audit did not see an image which the build has since then.
    former = document.dataset.model_copy(update={"manifest_sha256": "0" * 64})
    document.model_copy(update={"dataset": former}).write(tmp_path / "build" / "audit.json")
    image = asked(a["image_id"], tmp_path / "build")
    older = "not known: the audit is older than the build; run `cxrbuild audit` again"
    assert (image["duplicates"], image["duplicates_note"]) == (None, older)
    recipe, data = small_demo / "declared/recipe.toml", small_demo / "data"
    words = ("--recipe", recipe, "--data", data, "--format", "parquet", "--out", tmp_path / "build")
    ran = run("curate", *words)
    assert "audit.json and audit.html: of a former state of this build. Run `cxrbuild audit` again" in ran.out


def test_a_patient_has_all_images(small_demo: Path) -> None:
    folder = small_demo / "build"
    row = images_of(folder)[lambda rows: rows["group"].duplicated(keep=False)].iloc[0]
    expected = sorted(read_records(folder / "ledger.parquet").query("group == @row.group")["image_id"])
    result = cxrbuild.why(row["group"], folder)
    assert [image.image_id for image in result.images] == expected
    assert expected[1] in result.images[0].group_images
    text = run("why", row["group"], "--build", folder).out
    assert all(image in text for image in expected)


def test_a_release_answers_too(public_release: Path) -> None:
    row = images_of(public_release).iloc[0]
    image = asked(row["image_id"], public_release)
    assert (image["kept"], image["split"]) == (True, row["split"])


def test_a_plan_answers_with_the_recipe_that_is_named(small_demo: Path, tmp_path: Path) -> None:
    recipe = small_demo / "declared" / "recipe.toml"
    made = run("plan", "--recipe", recipe, "--data", small_demo / "data", "--out", tmp_path / "plan")
    found = cxrbuild.diff(small_demo / "build", tmp_path / "plan")
    assert (found.bump, found.counts(), found.columns_removed) == (None, [], [])
    assert all(one.old == one.new for one in found.totals if one.of == "exactness")
    assert made.status == 0, made.err
    row = read_records(small_demo / "build" / "ledger.parquet").query("exclusion == 'lateral'").iloc[0]
    words = ("--recipe", recipe, "--data", small_demo / "data")
    of_plan = asked(row["image_id"], tmp_path / "plan", *words)
    of_build = asked(row["image_id"], small_demo / "build", *words)
    assert of_plan["rules"] == of_build["rules"]
    assert of_plan["metadata"] == of_build["metadata"]
    assert of_plan["exactness"] == of_build["exactness"] == "verified"
    assert of_plan["pin"] == of_build["pin"]
    elsewhere = ("--recipe", recipe, "--data", tmp_path / "none")
    assert asked(row["image_id"], tmp_path / "plan", *elsewhere)["exactness"] is None
    assert "not known: a plan records no files" in run(
        "why", row["image_id"], "--build", tmp_path / "plan", *elsewhere
    ).out.replace("\n", " ")
    # The plan records its recipe, those of earlier versions did not.
    alone = asked(row["image_id"], tmp_path / "plan")
    assert alone["rules"] == of_build["rules"]
    assert alone["exactness"] == "verified"
    (tmp_path / "plan" / "plan.json").unlink()
    ran = run("why", row["image_id"], "--build", tmp_path / "plan")
    assert ran.status == 1
    assert "Name the recipe with --recipe FILE" in " ".join(ran.err.split())
    shutil.copytree(small_demo / "declared", tmp_path / "declared")
    other = tmp_path / "declared" / "recipe.toml"
    other.write_text(other.read_text().replace('name = "lateral"', 'name = "side_view"'))
    ran = run("why", row["image_id"], "--build", tmp_path / "plan", "--recipe", other)
    assert "the plan was made with another recipe" in " ".join(ran.err.split())


def test_rows_and_patients_of_a_hospital(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows find their images by the headers; a patient's number is found with the key that hashed it."""
    folder = tmp_path / "scans"
    folder.mkdir()
    for n in range(4):
        header = {"PatientID": f"00{n}", "AccessionNumber": f"A{n // 2}", "Modality": "DX"}
        (folder / f"{n}.dcm").write_bytes(dicom(ramp(0, 4000 + n), SOPInstanceUID=f"1.2.{n}", **header))
    (folder / "ris.csv").write_text("number;finding;phone\nA0;sick;123\nA1;well;456\nA9;well;789\n")
    (tmp_path / "ward.toml").write_text(
        'name = "ward"\ntitle = "Ward"\nlicense = "unknown"\n[reader]\nkind = "csv"\nfile = "ris.csv"\n'
        'delimiter = ";"\naccession_number = "{number}"\nimages = ["*.dcm"]\n'
        '[columns.finding]\nfrom = "finding"\n'
    )
    (tmp_path / "recipe.toml").write_text(
        'name = "ward-cxr"\nversion = "0.1.0"\ntitle = "Ward"\nsources = ["ward.toml"]\n'
        '[labels]\nSick = { ward = ["sick"] }\nWell = { ward = ["well"] }\n'
        '[[rules]]\nname = "other_finding"\nkind = "labelled"\nreason = "None of the classes."\n'
        '[split]\nsalt = "ward"\n[split.test]\ncount = { Sick = 1, Well = 1 }\n'
    )
    monkeypatch.setenv("CXRBUILD_PATIENT_KEY", "sixteen-characters-and-more")
    words = ("--recipe", "recipe.toml")
    done = run("fetch", "ward.toml", "--from=ward=scans", cwd=tmp_path)
    assert done.status == 0, done.err
    done = run("plan", *words, "--out", "plan", cwd=tmp_path)
    assert done.status == 0, done.err
    ran = run("why", "001", "--build", "plan", *words, cwd=tmp_path)
    assert "metadata    ris.csv, line 2: finding sick" in ran.out
    assert "123" not in ran.out
    # An accession number or UID is in the headers alone, and only the question has it.
    for name, files in (("A1", ["2.dcm", "3.dcm"]), ("1.2.3", ["3.dcm"])):
        ran = run("why", name, "--build", "plan", *words, "--json", cwd=tmp_path)
        found = json.loads(ran.out)
        assert sorted(image["source_path"] for image in found.pop("images")) == files
        assert json.dumps(found).count(name) == ran.out.count(f'"{name}"') == 1
    ran = run("why", "A1", "--build", "plan", *words, "--data", "none", cwd=tmp_path)
    said = " ".join(ran.err.split())
    assert "no image has this name" in said
    assert "or an accession number or UID of a DICOM header in none, which is not there" in said
    monkeypatch.delenv("CXRBUILD_PATIENT_KEY")
    ran = run("why", "1.dcm", "--build", "plan", *words, cwd=tmp_path)
    assert "metadata    ris.csv, line 2: finding sick" in ran.out
    ran = run("why", "001", "--build", "plan", *words, cwd=tmp_path)
    assert ran.status == 1
    said = " ".join(ran.err.split())
    assert "those of ward are hashed, so set CXRBUILD_PATIENT_KEY" in said
    assert "Without the key, name an image by its id or by its whole path" in said


def test_a_path_on_disk_names_its_image(small_demo: Path) -> None:
    """As the completion of a shell writes it."""
    row = images_of(small_demo / "build", source="cohen").iloc[0]
    path = row["source_path"]
    file = small_demo / "data" / "sources" / "cohen" / path
    assert file.is_file()
    names = [file, f"./data/sources/cohen/{path}", f"copy/{path}", small_demo / "build" / row["jpeg_path"],
             Path(row["jpeg_path"]).name]  # fmt: skip
    for name in names:
        [found] = cxrbuild.why(str(name), small_demo / "build").images
        assert found.image_id == row["image_id"]
    with pytest.raises(CxrbuildError, match="no image has this name"):
        cxrbuild.why(f"data/sources/mooney/{path}", small_demo / "build")
    with pytest.raises(CxrbuildError, match=f"Write {file.stem}"):
        cxrbuild.why(f"data/sources/cohen/{file.stem[:-1]}", small_demo / "build")


def test_an_unknown_name_is_answered_with_the_nearest(small_demo: Path) -> None:
    row = images_of(small_demo / "build").iloc[0]
    with pytest.raises(CxrbuildError, match="no image has this name") as error:
        cxrbuild.why(row["image_id"][:-2], small_demo / "build")
    assert row["image_id"] in str(error.value)


@pytest.mark.parametrize("name", ["nosuch.jpg", ".jpg", "image", "cohen"])
def test_a_name_that_is_near_to_none_is_answered_with_none(name: str, small_demo: Path) -> None:
    with pytest.raises(CxrbuildError, match="no image has this name") as error:
        cxrbuild.why(name, small_demo / "build")
    assert error.value.todo == "`ledger.parquet` lists every upstream image"


def test_another_number_is_no_slip(small_demo: Path) -> None:
    path = images_of(small_demo / "build", source="mooney").iloc[0]["source_path"]
    file = Path(path).name
    slip = file.replace("-", "--", 1)
    assert slip != file
    with pytest.raises(CxrbuildError, match="no image has this name") as error:
        cxrbuild.why(slip, small_demo / "build")
    assert error.value.todo == f"Write {file}, the nearest name"
    with pytest.raises(CxrbuildError, match="no image has this name") as error:
        cxrbuild.why(file.replace(".", "9999.", 1), small_demo / "build")
    assert error.value.todo == "`ledger.parquet` lists every upstream image"


def test_a_patient_with_another_name_is_known_from_the_version_next_to_it(
    small_demo: Path, tmp_path: Path
) -> None:
    old, new = (shutil.copytree(small_demo / "build", tmp_path / name) for name in ("old", "new"))
    patient = images_of(old, source="cohen").iloc[0]["patient_id"]
    ledger = read_records(new / "ledger.parquet")
    of_patient = ledger["patient_id"].eq(patient).fillna(value=False)
    for column in ("patient_id", "patient_id_text", "group"):
        ledger[column] = ledger[column].mask(of_patient, f"renamed-{column}")
    write_records(new / "ledger.parquet", ledger)
    ran = run("why", patient, "--build", new, COLUMNS="400")
    assert ran.status == 1
    assert "demo-cxr 1.0.0 has no patient of this name\n" in ran.err
    assert f"  --build {old}: demo-cxr 1.0.0 has {ledger.loc[of_patient, 'image_id'].iloc[0]}" in ran.err


def test_another_class_in_another_version_is_said(small_demo: Path, tmp_path: Path) -> None:
    old, new = (shutil.copytree(small_demo / "build", tmp_path / name) for name in ("old", "new"))
    row = images_of(old, source="mooney", label="Normal").iloc[0]
    change_rows(old, row["image_id"], label="Pneumonia")
    ran = run("why", row["image_id"], "--build", new, COLUMNS="400")
    assert f"  other class Normal here, Pneumonia in demo-cxr/1.0.0 ({old})\n" in ran.out
    assert "other split" not in ran.out
    [other] = asked(row["image_id"], new)["other_splits"]
    assert (other["version"], other["label"], other["split"]) == ("demo-cxr/1.0.0", "Pneumonia", row["split"])
    # A former version that the recipe names has classes too, if its file has them.
    file = tmp_path / "first.csv"
    file.write_text(f"image_id,split,label\n{row['image_id']},train,Pneumonia\n")
    assert read_previous(str(file), tmp_path).labels_of(row.to_frame().T).tolist() == ["Pneumonia"]


def test_an_image_that_left_is_said_to_have_left(small_demo: Path, tmp_path: Path) -> None:
    """The row is in the version next to it, and another image has a name that is near."""
    old, new = (shutil.copytree(small_demo / "build", tmp_path / name) for name in ("old", "new"))
    row = images_of(old, source="mooney").iloc[0]
    ledger = read_records(new / "ledger.parquet")
    write_records(new / "ledger.parquet", ledger[ledger["image_id"] != row["image_id"]])
    file = Path(row["source_path"]).name
    for name in (row["image_id"], row["source_path"], file, Path(file).stem):
        ran = run("why", name, "--build", new, COLUMNS="400")
        assert ran.status == 1
        assert "demo-cxr 1.0.0 has no row for this image\n" in ran.err
        has = f"demo-cxr 1.0.0 has it as {row['image_id']} ({row['split']}, {row['label']})"
        assert f"  --build {old}: {has}" in ran.err
        assert "nearest" not in ran.err
    ran = run("why", file, "--build", new, "--recipe", small_demo / "declared" / "recipe.toml", COLUMNS="400")
    listed = f"  mooney/{row['source_path']}: the pin lists it; the files of this version lack it"
    assert listed in ran.err


def test_between_which_pins_an_image_left_is_known_from_the_version_next_to_it(
    small_demo: Path, tmp_path: Path
) -> None:
    """The listing of the pin has no files of earlier pins, as one that a person wrote."""
    old, new = (shutil.copytree(small_demo / "build", tmp_path / name) for name in ("old", "new"))
    declared = shutil.copytree(small_demo / "declared", tmp_path / "declared")
    row = images_of(old, source="cohen").iloc[0]
    ledger = read_records(new / "ledger.parquet")
    write_records(new / "ledger.parquet", ledger[ledger["image_id"] != row["image_id"]])
    document = read_json(old / "build.json")
    document["declared_sources"]["cohen"]["pin"] |= {"commit": "1" * 40, "date": "2020-05-31"}
    write_json(old / "build.json", document)
    pin = open_build(new).document.declared_sources["cohen"].pin
    listing = next(declared.rglob(str(pin.listing)))
    lines = listing.read_text().splitlines(keepends=True)
    listing.write_text("".join(line for line in lines if not line.endswith(f"\t{row['source_path']}\n")))
    words = ("why", row["source_path"], "--build", new, "--recipe", declared / "recipe.toml")
    ran = run(*words, COLUMNS="400")
    assert ran.status == 1
    removed = f"removed upstream between pin 11111111 (2020-05-31) and pin {pin.label}"
    assert f"  cohen/{row['source_path']}: {removed}" in ran.err


def test_a_published_or_formerly_listed_image_is_known(small_demo: Path, tmp_path: Path) -> None:
    declared = shutil.copytree(small_demo / "declared", tmp_path / "declared")
    recipe = cxrbuild.read_recipe(declared / "recipe.toml")
    (source,) = [
        one
        for one in (cxrbuild.read_source(declared / name) for name in recipe.sources)
        if one.name == "cohen"
    ]
    listing = source.file.parent / str(source.pin.listing)
    listing.write_text(f"{listing.read_text()}\t\timages/left.png\n{'1' * 40}\t\timages/lost.png\n")
    words = ("--build", small_demo / "build", "--recipe", declared / "recipe.toml")
    ran = run("why", "left.png", *words, COLUMNS="400")
    assert ran.status == 1
    removed = f"removed upstream before pin {source.pin.label}: an earlier pin listed it"
    assert f"cohen/images/left.png: {removed}" in ran.err
    ran = run("why", "lost.png", *words, COLUMNS="400")
    removed = f"removed upstream between pin 11111111 and pin {source.pin.label}"
    assert f"cohen/images/lost.png: {removed}" in ran.err
    published = pd.read_parquet(published_manifest("covid19-cxr/1.0.0"))
    row = published[published["source"] == "cohen"].iloc[0]
    ran = run("why", row["image_id"], "--build", small_demo / "build", COLUMNS="400")
    assert ran.status == 1
    state = f"published in covid19-cxr/1.0.0 ({row['split']}, {row['label']})"
    assert f"  cohen/{row['source_path']}: {state}" in ran.err


def test_sources_shows_the_whole_pin() -> None:
    ran = run("sources", "cohen", "mooney")
    assert ran.status == 0
    for words in (
        "commit: 584034aa7fbf06496741f11008d72fd791c8e443",
        "git tree: 1ce61c7afbd499c6b524aabe84f86481bfc26184",
        "address: https://codeload.github.com/ieee8023/covid-chestxray-dataset/tar.gz/584034aa7fbf0649",
        "shipped, 969 files",
        "archive SHA-256: 13efc055629733dbab07877f8b3c9f81097840dbcdaa326a8542322c2281ce36",
    ):
        assert words in ran.out
    (source,) = json.loads(run("sources", "cohen", "--json").out)["sources"]
    listing = Path(cxrbuild.read_source("cohen").file.parent / source["listing"]["file"])
    assert source["listing"]["sha256"] == sha256_of(listing)
    assert source["listing"]["files"] == 969
    assert source["commit"] in source["url"]


def test_sources_of_a_build_or_release_shows_its_pins(demo: Path, public_release: Path) -> None:
    pins = {
        name: one["pin"] for name, one in read_json(demo / "build/build.json")["declared_sources"].items()
    }
    for folder in (demo / "build", public_release):
        ran = run("sources", "--of", folder, COLUMNS="300")
        assert ran.status == 0, ran.err
        assert f"demo-cxr 1.0.0 was made with these pins: {folder}\n" in ran.out
        assert all(
            f"  git tree: {pin['tree']}\n  listing: " in ran.out for pin in pins.values() if pin["tree"]
        )
        assert f"  archive SHA-256: {pins['mooney']['sha256']}\n" in ran.out
        assert "  verified by: git tree\n" in ran.out
        found = json.loads(run("sources", "cohen", "--of", folder, "--json").out)["sources"]
        assert list(found) == ["cohen"]
        assert (found["cohen"]["pin"], found["cohen"]["unpinned"]) == (pins["cohen"], False)


@pytest.mark.usefixtures("without_verifying")
def test_release_takes_no_build_of_several_or_of_another_version(small_demo: Path, tmp_path: Path) -> None:
    place = tmp_path / "build" / "demo-cxr"
    shutil.copytree(small_demo / "build", place)
    ran = run("release", "1.1.0", cwd=tmp_path)
    assert ran.status == 3
    assert "the build is of version 1.0.0 of its recipe" in ran.err
    named = run("release", "1.1.0", "--build", place, cwd=tmp_path)
    assert (named.status, "the build is of version 1.0.0" in " ".join(named.err.split())) == (3, True)
    shutil.copytree(place, tmp_path / "build" / "other")
    set_version(tmp_path / "build" / "other", "3.0.0")
    ran = run("release", "1.0.0", cwd=tmp_path, COLUMNS="200")
    assert ran.status == 1
    assert re.search(
        rf"--build build/demo-cxr: demo-cxr 1\.0\.0, {IMAGES} images, built .+\n"
        r"  --build build/other: demo-cxr 3\.0\.0,",
        ran.err.replace(os.sep, "/"),
    )
    assert not (tmp_path / "release").exists()
    shutil.rmtree(tmp_path / "build" / "other")
    ran = run("release", "1.0.0", cwd=tmp_path)
    assert ran.status == 0, ran.err
    assert f"Build {Path('build/demo-cxr')}: recipe demo-cxr, version 1.0.0." in ran.out


def test_curate_keeps_a_build_of_another_version(small_demo: Path, tmp_path: Path) -> None:
    build = tmp_path / "build"
    shutil.copytree(small_demo / "build", build)
    set_version(build, "0.9.0")
    before = (build / "build.json").read_bytes()
    recipe, data = small_demo / "declared/recipe.toml", small_demo / "data"
    words = ("curate", "--recipe", recipe, "--data", data, "--format", "parquet", "--out", build)
    ran = run(*words)
    assert ran.status == 1
    said = " ".join(ran.err.split())
    assert "the folder holds a build of demo-cxr 0.9.0" in said
    assert "a build of demo-cxr 1.0.0" in said
    assert (build / "build.json").read_bytes() == before
    assert f"into another folder with `--out {build}-1.0.0`" in said
    # The folder's name can have a version already.
    for name, other in (("mine-0.9.0", "mine-1.0.0"), ("mine-1.0.0", "mine-1.0.0-new")):
        build = build.rename(tmp_path / name)
        words = (*words[:-1], build)
        assert f"with `--out {tmp_path / other}`" in " ".join(run(*words).err.split())
    assert run(*words, "--replace").status == 0
    assert read_json(build / "build.json")["dataset"]["version"] == "1.0.0"


@pytest.mark.parametrize("replaces", [False, True])
def test_curate_keeps_a_build_that_it_cannot_read(small_demo: Path, tmp_path: Path, replaces: bool) -> None:
    build = tmp_path / "build"
    shutil.copytree(small_demo / "build", build)
    document = read_json(build / "build.json") | {"format": 99}
    write_json(build / "build.json", document)
    before = {path: path.read_bytes() for path in build.rglob("*") if path.is_file()}
    recipe, data = small_demo / "declared/recipe.toml", small_demo / "data"
    words = ("curate", "--recipe", recipe, "--data", data, "--format", "parquet", "--out", build)
    ran = run(*words, *(["--replace"] if replaces else []))
    if replaces:
        assert ran.status == 0, ran.err
        assert read_json(build / "build.json")["format"] == 2
        return
    assert ran.status == 1
    said = " ".join(ran.err.split())
    assert f"{build / 'build.json'}: the folder holds a build that this version cannot read" in said
    assert "Found: format: this version of cxrbuild reads 2; found 99." in said
    assert f"`--out {build}-1.0.0`; or replace it with --replace" in said
    after = {path: path.read_bytes() for path in build.rglob("*") if path.is_file()}
    # Windows removes the lock.
    assert after | {build / ".cxrbuild.lock": b""} == before | {build / ".cxrbuild.lock": b""}


def test_curate_replaces_no_release(demo: Path, public_release: Path, tmp_path: Path) -> None:
    """Not even on demand: a release never changes."""
    folder = tmp_path / "release"
    shutil.copytree(public_release, folder)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    words = ("--recipe", demo / "declared/recipe.toml", "--data", demo / "data", "--out", folder)
    ran = run("curate", *words, "--replace")
    assert ran.status == 1
    assert "the folder holds a release, and a release never changes" in " ".join(ran.err.split())
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_a_row_without_a_file_is_found_by_its_identifier(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "a secret of some length")
    hashed = hash_identifier(b"a secret of some length", "A29990001")
    paths = [f"AccessionNumber {hashed}", "AccessionNumber A29990002", "A29990001"]
    ledger = pd.DataFrame({"source_path": paths, "exclusion": ["row_without_file"] * 2 + [None]}, dtype="str")
    assert _is_identifier(ledger, ("A29990001", hashed)).fillna(value=False).tolist() == [True, False, False]


def test_without_a_build_the_plan_that_is_here_is_named(tmp_path: Path) -> None:
    (tmp_path / "planned").mkdir()
    (tmp_path / "planned" / "ledger.parquet").touch()
    ran = run("why", "a.png", cwd=tmp_path)
    assert ran.status == 1
    assert "Ask the plan that is here with `--build planned`" in " ".join(ran.err.split())
