"""`why` says of one image why it is in or out, `sources NAME` shows a pin, and versions stay apart."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from command import run
from releasing import images_of

import cxrbuild
from cxrbuild.errors import CxrbuildError
from cxrbuild.files import read_json, sha256_of, write_json
from cxrbuild.records import read_records


def asked(name: object, folder: Path, *words: object) -> dict[str, object]:
    ran = run("why", name, "--build", folder, "--json", *words)
    assert ran.status == 0, ran.err
    (image,) = json.loads(ran.out)["images"]
    return image


def test_an_excluded_image_has_its_rule_and_detail(demo: Path) -> None:
    ledger = read_records(demo / "build" / "ledger.parquet")
    row = ledger[ledger["exclusion"] == "lateral"].iloc[0]
    image = asked(row["image_id"], demo / "build")
    assert (image["kept"], image["exclusion"], image["split"]) == (False, "lateral", None)
    results = {rule["rule"]: (rule["result"], rule["value"]) for rule in image["rules"]}
    assert results["lateral"] == ("excludes", f"view_position {row['view_position']}")
    order = list(results)
    later = order[order.index("lateral") + 1 :]
    assert {results[name][0] for name in later} == {"not asked"}
    assert "frontal" in image["meaning"]
    assert image["duplicates"] is None
    text = run("why", row["image_id"], "--build", demo / "build", COLUMNS="60").out
    assert "is not in demo-cxr 1.0.0: lateral" in " ".join(text.split())
    assert "duplicates  not compared:" in text
    assert max(map(len, text.splitlines())) <= 60 + len(row["source_path"])


def test_no_rule_was_asked_about_an_image_excluded_before_the_rules(demo: Path) -> None:
    ledger = read_records(demo / "build" / "ledger.parquet")
    row = ledger[ledger["exclusion"] == "row_without_file"].iloc[0]
    image = asked(row["image_id"], demo / "build")
    assert {rule["result"] for rule in image["rules"]} == {"not asked"}


def test_without_a_build_the_recipe_names_its_folder(demo: Path, tmp_path: Path) -> None:
    ran = run("why", "x", "--recipe", demo / "declared" / "recipe.toml", cwd=tmp_path)
    assert ran.status == 1
    assert "build/demo-cxr: no finished build" in " ".join(ran.err.split())


def test_a_reviewers_note_is_the_detail_of_the_exclusion(demo: Path) -> None:
    ledger = read_records(demo / "build" / "ledger.parquet")
    row = ledger[ledger["exclusion"] == "annotated"].iloc[0]
    image = asked(row["image_id"], demo / "build")
    assert image["detail"] == row["exclusion_detail"]
    assert str(image["detail"]).startswith(f"{row['review']}")
    assert str(image["review"]).startswith(f"{row['review']} (")


def test_a_kept_image_has_pin_metadata_class_split_and_group(demo: Path) -> None:
    row = images_of(demo / "build", source="cohen", split="test").iloc[0]
    file = row["source_path"].rpartition("/")[2]
    image = asked(
        file.upper(), demo / "build", "--data", demo / "data", "--recipe", demo / "declared/recipe.toml"
    )
    assert image["image_id"] == row["image_id"]
    pin = read_json(demo / "build" / "build.json")["declared_sources"]["cohen"]["pin"]
    assert (image["pin"]["tree"], image["pin"]["verified by"]) == (pin["tree"], "git tree")
    (metadata,) = image["metadata"]
    assert metadata["place"].startswith("metadata.csv, line ")
    assert metadata["values"]["filename"] == file
    assert (image["label"], image["label_reason"]) == (row["label"], f"finding {row['finding']}")
    assert image["split"] == "test"
    assert str(image["split_reason"]).startswith(("drawn by the hash of its group", "follows an image"))
    assert image["group"] == row["group"]
    assert image["duplicates"] is None
    without = asked(row["image_id"], demo / "build", "--data", demo / "nowhere")
    assert "nowhere" in str(without["metadata_note"])


def test_a_patient_has_all_images(demo: Path) -> None:
    folder = demo / "build"
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


def test_an_unknown_name_is_answered_with_the_nearest(demo: Path) -> None:
    row = images_of(demo / "build").iloc[0]
    with pytest.raises(CxrbuildError, match="no image has this name") as error:
        cxrbuild.why(row["image_id"][:-2], demo / "build")
    assert row["image_id"] in str(error.value)


def test_sources_shows_the_whole_pin() -> None:
    ran = run("sources", "cohen", "mooney")
    assert ran.status == 0
    for words in (
        "commit: 584034aa7fbf06496741f11008d72fd791c8e443",
        "git tree: 1ce61c7afbd499c6b524aabe84f86481bfc26184",
        "address: https://codeload.github.com/ieee8023/covid-chestxray-dataset/tar.gz/584034aa7fbf0649",
        "cohen.tsv, 969 files",
        "archive SHA-256: 13efc055629733dbab07877f8b3c9f81097840dbcdaa326a8542322c2281ce36",
    ):
        assert words in ran.out
    (source,) = json.loads(run("sources", "cohen", "--json").out)["sources"]
    listing = Path(cxrbuild.read_source("cohen").file.parent / source["listing"]["file"])
    assert source["listing"]["sha256"] == sha256_of(listing)
    assert source["listing"]["files"] == 969
    assert source["commit"] in source["url"]


def renamed(build: Path, version: str) -> None:
    """Give a build another version, as if it had been built so."""
    document = read_json(build / "build.json")
    document["dataset"]["version"] = document["recipe"]["version"] = version
    write_json(build / "build.json", document)


def test_release_takes_no_build_of_several_or_of_another_version(demo: Path, tmp_path: Path) -> None:
    place = tmp_path / "build" / "demo-cxr"
    shutil.copytree(demo / "build", place)
    ran = run("release", "1.1.0", cwd=tmp_path)
    assert ran.status == 1
    assert "the build is of version 1.0.0 of its recipe" in ran.err
    shutil.copytree(place, tmp_path / "build" / "other")
    renamed(tmp_path / "build" / "other", "3.0.0")
    ran = run("release", "1.0.0", cwd=tmp_path, COLUMNS="200")
    assert ran.status == 1
    assert "--build build/demo-cxr: demo-cxr 1.0.0\n  --build build/other: demo-cxr 3.0.0" in ran.err
    assert not (tmp_path / "release").exists()
    shutil.rmtree(tmp_path / "build" / "other")
    ran = run("release", "1.0.0", cwd=tmp_path)
    assert ran.status == 0, ran.err
    assert "Build build/demo-cxr: recipe demo-cxr, version 1.0.0." in ran.out


def test_curate_keeps_a_build_of_another_version(demo: Path, tmp_path: Path) -> None:
    build = tmp_path / "build"
    shutil.copytree(demo / "build", build)
    renamed(build, "0.9.0")
    before = (build / "build.json").read_bytes()
    words = ("curate", "--recipe", demo / "declared/recipe.toml", "--data", demo / "data", "--out", build)
    ran = run(*words)
    assert ran.status == 1
    said = " ".join(ran.err.split())
    assert "the folder holds a build of demo-cxr 0.9.0" in said
    assert "a build of demo-cxr 1.0.0" in said
    assert (build / "build.json").read_bytes() == before
    assert run(*words, "--replace").status == 0
    assert read_json(build / "build.json")["dataset"]["version"] == "1.0.0"
