"""Corrections of metadata: applied before labels and rules, and named wherever a user asks why."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from command import run
from dicom_files import dicom, ramp
from PIL import Image
from releasing import baseline_result
from test_pins import make_world, propose

from cxrbuild.artifact import Results, names, open_build, open_release
from cxrbuild.artifact.correction import CorrectedValue
from cxrbuild.catalog.copying import copy_recipe
from cxrbuild.catalog.correction import CORRECTABLE, read_corrections
from cxrbuild.catalog.recipe import read_recipe
from cxrbuild.comparison import diff
from cxrbuild.curation import Plan, build_document, decide, declaration_files, read_declared, write_plan
from cxrbuild.curation.seal import inputs_hash
from cxrbuild.documents.rebuild import is_shipped
from cxrbuild.errors import CxrbuildError
from cxrbuild.files import json_bytes, sha256_of, write_json
from cxrbuild.ingest import ingest, take_inventory
from cxrbuild.patient_key import KEY_VARIABLE, hash_identifier
from cxrbuild.policy import listed_corrections
from cxrbuild.records import image_id, read_records
from cxrbuild.releasing import foresee, release
from cxrbuild.releasing.results import ReleasedResults, with_manifest
from cxrbuild.verification.context import Context, Kind
from cxrbuild.verification.corrections import check_corrections
from cxrbuild.verification.policy import check_identities
from cxrbuild.verification.results import build_manifest_hash

HEADER = "source,path,column,old,new,reason\n"
KEY = "a secret of some length"
SOURCE = """name = "{name}"
title = "Of {name}"
license = "{license}"
public = {public}
{withdrawn}
[reader]
kind = "csv"
file = "metadata.csv"
path = "images/{{name}}"
images = ["images/*"]
patient_id = "{ids}"
[columns]
patient_id.from = "patient"
finding.from = "finding"
patient_sex.from = "sex"
patient_age.from = "age"
view_position = {{ from = "view", map = {{ PA = "PA", L = "LATERAL" }} }}
"""
RECIPE = """name = "mine"
version = "{version}"
date = "2026-11-27"
title = "Mine"
sources = [{sources}]
{corrections}
[labels]
Sick = {{ {sick} }}
Well = {{ {well} }}
[[rules]]
name = "lateral"
kind = "not_in"
column = "view_position"
values = ["LATERAL"]
reason = "Frontal images only."
[[rules]]
name = "other_finding"
kind = "labelled"
reason = "No class."
[split]
salt = "mine"
test = {{ share = 0.5 }}
allow_empty.train = ["Sick", "Well"]
allow_empty.test = ["Sick", "Well"]
"""
NAMES = [f"{i}.png" for i in range(8)]


def write_source(folder: Path, name: str, *, public: bool, withdrawn: str = "") -> None:
    """Write a source of eight images, 0 and 1 of one patient; one that is not public hashes its patients."""
    root = folder / "data" / "sources" / name
    (root / "images").mkdir(parents=True)
    rows = ["name,patient,finding,sex,age,view"]
    for i, image in enumerate(NAMES):
        # The bytes differ between sources too.
        pixels = np.random.default_rng([i, len(name)]).integers(0, 256, (16, 16), np.uint8)
        Image.fromarray(pixels).save(root / "images" / image)
        rows.append(f"{image},00{max(i, 1)},{('sick', 'well', 'other')[i % 3]},F,4{i},PA")
    (root / "metadata.csv").write_text("\n".join(rows) + "\n")
    ids = "keep" if public else "hash"
    # A release withholds the pixels of images without a licence, and says how to build them.
    licence = "CC0-1.0" if public else "unknown"
    text = SOURCE.format(license=licence, name=name, public=str(public).lower(), ids=ids, withdrawn=withdrawn)
    (folder / f"{name}.toml").write_text(text)


def write_recipe(folder: Path, sources: list[str], lines: str | None, version: str = "1.0.0") -> Path:
    """Write a recipe of these sources with these corrections; ``None``: without the key."""
    if lines is not None:
        (folder / "corrections.csv").write_text(HEADER + lines)
    (folder / "recipe.toml").write_text(
        RECIPE.format(
            sources=", ".join(f'"{name}.toml"' for name in sources),
            corrections="" if lines is None else 'corrections = ["corrections.csv"]',
            sick=", ".join(f'{name} = ["sick"]' for name in sources),
            well=", ".join(f'{name} = ["well"]' for name in sources),
            version=version,
        )
    )
    return folder / "recipe.toml"


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("open")
    write_source(folder, "open", public=True)
    return folder


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("closed")
    write_source(folder, "closed", public=False)
    return folder


def planned(folder: Path, source: str, lines: str | None) -> Plan:
    return planned_of(folder, write_recipe(folder, [source], lines))


def planned_of(folder: Path, recipe: Path) -> Plan:
    """Plan without a lock, which records how files were fetched."""
    declared = read_declared(recipe, {})
    tables = [
        ingest(source, take_inventory(source, folder / "data" / "sources" / source.name))
        for source in declared.sources
    ]
    records = pd.concat(tables).sort_values("image_id", ignore_index=True)
    return Plan(declared, {}, False, {}, decide(declared, records))


def row(plan: Plan, image: str) -> pd.Series:
    return plan.records.set_index("source_path").loc[f"images/{image}"]


def test_labels_rules_and_groups_see_the_corrected_values(opened: Path) -> None:
    plan = planned(
        opened,
        "open",
        "open,images/0.png,finding,sick,well,read again\n"
        "open,images/1.png,view_position,PA,LATERAL,seen\n"
        "open,images/3.png,patient_id,003,004,one person\n"
        "open,images/3.png,patient_age,43,006M,a typing error\n"
        "open,images/4.png,finding,well,,not known\n",
    )
    assert row(plan, "0.png")["label"] == "Well"
    assert row(plan, "1.png")["exclusion"] == "lateral"
    assert row(plan, "3.png")["group"] == row(plan, "4.png")["group"] == "open:004"
    assert row(plan, "3.png")["patient_age"] == 0.5
    assert row(plan, "4.png")["exclusion"] == "other_finding"
    # What the source says stays next to it.
    texts = row(plan, "3.png")[["patient_id_text", "patient_age_text"]].tolist()
    assert [*texts, row(plan, "1.png")["view_position_text"]] == ["003", "43", "PA"]
    assert plan.corrections.describe() == [
        "in open the finding of 2 images, the view_position of 1 image, the patient_id of 1 image, "
        "the patient_age of 1 image"
    ]
    values = {(one.line, one.old, one.new) for one in plan.corrections.values}
    assert {(5, "43", "0.5"), (6, "well", None)} <= values


def test_every_correctable_column_is_one_that_a_source_maps() -> None:
    source = read_recipe("covid19-cxr").sources[0]
    assert source == "cohen"
    from cxrbuild.catalog.column import Columns

    assert set(Columns.model_fields) - set(CORRECTABLE) == {"license"}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("open,images/0.png,finding,sick,wel,x", "no image has finding 'wel'; the nearest is 'well'"),
        ("open,images/0.png,finding,,well,x", "the source has 'sick'; `old` is blank"),
        ("open,images/0.png,finding,well,sick,x", "upstream made this correction, remove the line"),
        ("open,images/0.png,modality,XR,CT,x", "the source has blank; `old` is 'XR'"),
        ("open,images/00.png,finding,sick,well,x", "open has no image images/00.png (the nearest path is "
         "images/0.png)"),
        ("open,images/3.png,patient_id,003,4,x", "no image has this patient; the source writes the number "
         "with 2 zeros in front"),
        ("open,images/0.png,view_position,PA,PAA,x", "no image has view_position 'PAA'; the nearest is 'PA'"),
        ("open,images/0.png,view_position,PA,L,x", "no image has view_position 'L'; the source's word for "
         "'LATERAL'"),
        ("open,images/0.png,upstream_split,,test,x", "no image has upstream_split 'test'; the source has no "
         "such column: declare `columns.upstream_split` in it first"),
        ("opne,images/0.png,finding,sick,well,x", "line 2: no source 'opne'; the nearest source is 'open'"),
    ],
)  # fmt: skip
def test_a_correction_that_does_not_fit_is_an_error(opened: Path, line: str, message: str) -> None:
    with pytest.raises(CxrbuildError) as caught:
        planned(opened, "open", line + "\n")
    said = " ".join(str(caught.value).split())
    assert message in said
    assert "corrections.csv" in said
    assert "line 2: " in said


def test_a_value_is_corrected_once_and_a_file_may_have_corrections_of_other_recipes(
    opened: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(opened, folder)
    line = "open,images/0.png,finding,sick,well,x\n"
    recipe = write_recipe(folder, ["open"], line + "cohen,images/a.png,finding,SARS,ARDS,x\n")
    assert [one.source for one in read_declared(recipe, {}).corrections] == ["open"]
    (folder / "more.csv").write_text(HEADER + line)
    recipe.write_text(recipe.read_text().replace('["corrections.csv"]', '["corrections.csv", "more.csv"]'))
    with pytest.raises(
        CxrbuildError, match=r"more.csv, line 2: finding of open images/0.png is in .*, line 2"
    ):
        read_declared(recipe, {})


def test_a_patient_of_a_source_that_hashes_is_given_plain_and_recorded_hashed(
    closed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    plan = planned(closed, "closed", "closed,images/3.png,patient_id,003,004,one person\n")
    hashes = [hash_identifier(KEY.encode(), number) for number in ("003", "004")]
    assert row(plan, "3.png")["patient_id"] == row(plan, "4.png")["patient_id"] == hashes[1]
    (value,) = plan.corrections.values
    assert [value.old, value.new] == hashes
    for new, message in (
        ("005", "the hash of `old` is "),
        ("4", "the number with 2 zeros in front"),
    ):
        old = "001" if new == "005" else "003"
        with pytest.raises(CxrbuildError) as caught:
            planned(closed, "closed", f"closed,images/3.png,patient_id,{old},{new},x\n")
        assert message in str(caught.value)
        # What the source says is a hash there too.
        assert "'003'" not in str(caught.value)


@pytest.mark.parametrize("ids", ["keep", "hash"])
def test_zeros_in_front_of_a_number_are_added_where_the_source_joins_numbers(
    ids: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    write_source(tmp_path, "open", public=True)
    source = tmp_path / "open.toml"
    text = source.read_text().replace('"keep"', f'"{ids}"\npatient_conflicts = "join"')
    source.write_text(text)
    table = tmp_path / "data" / "sources" / "open" / "metadata.csv"
    # The patient of two images: 7 and 007 are one.
    table.write_text(table.read_text().replace("3.png,003", "3.png,7"))
    for old in ("7", "007"):
        plan = planned(tmp_path, "open", f"open,images/3.png,patient_id,{old},004,one person\n")
        assert row(plan, "3.png")["patient_id"] == row(plan, "4.png")["patient_id"]
    with pytest.raises(CxrbuildError, match="joins the numbers of a patient: write the longest"):
        planned(tmp_path, "open", "open,images/3.png,patient_id,8,004,one person\n")
    # Numbers that are not compared with each other are compared with a correction.
    source.write_text(text.replace('"join"', '"ignore"'))
    with pytest.raises(CxrbuildError, match="the source writes the number with 2 zeros in front"):
        planned(tmp_path, "open", "open,images/3.png,patient_id,7,4,one person\n")


def test_images_of_dicom_files_and_of_folders_are_corrected(tmp_path: Path) -> None:
    for name in ("scans", "folders"):
        root = tmp_path / "data" / "sources" / name
        for finding in ("sick", "well"):
            (root / finding).mkdir(parents=True)
            for i in range(2):
                pixels = dicom(ramp(0, 4095), PatientID=f"P{i}", PatientSex="F", ViewPosition="PA")
                (root / finding / f"{i}.dcm").write_bytes(pixels)
    text = 'name = "{0}"\ntitle = "T"\npublic = true\n[reader]\nkind = "{1}"\npatient_id = "keep"\n{2}'
    columns = '[columns.finding]\nfrom = "finding"\n'
    path = 'pattern = "(?P<finding>[^/]+)/.*"\nimages = ["*/*"]\n'
    (tmp_path / "scans.toml").write_text(text.format("scans", "dicom", path + columns))
    (tmp_path / "folders.toml").write_text(text.format("folders", "folders", path + columns))
    lines = "".join(
        f"{name},sick/0.dcm,{column}\n"
        for name in ("scans", "folders")
        for column in (
            "finding,sick,well,x",
            "patient_sex,F,M,x",
            "view_position,PA,AP,x",
            "patient_id,P0,P9,x",
        )
    )
    recipe = write_recipe(tmp_path, ["scans", "folders"], lines)
    plan = planned_of(tmp_path, recipe)
    rows = plan.records[plan.records["source_path"] == "sick/0.dcm"]
    columns_of = ["label", "patient_sex", "view_position", "patient_id"]
    assert rows[columns_of].to_numpy().tolist() == [["Well", "M", "AP", "P9"]] * 2
    # A missing file of DICOM has no values to correct.
    for name in ("scans", "folders"):
        (tmp_path / "data" / "sources" / name / "sick" / "0.dcm").unlink()
    with pytest.raises(CxrbuildError, match=r"scans has no image sick/0\.dcm"):
        planned_of(tmp_path, recipe)


def test_of_an_image_with_two_rows_those_with_the_value_of_the_first_are_corrected(tmp_path: Path) -> None:
    write_source(tmp_path, "open", public=True)
    source = tmp_path / "open.toml"
    source.write_text(source.read_text().replace("[columns]", 'differing_rows = "first"\n[columns]'))
    with (tmp_path / "data" / "sources" / "open" / "metadata.csv").open("a") as stream:
        stream.write("3.png,009,sick,F,43,PA\n")
    lines = "open,images/3.png,patient_id,003,004,x\nopen,images/3.png,patient_age,43,34,x\n"
    rows = planned(tmp_path, "open", lines).records.query("source_path == 'images/3.png'")
    assert rows["patient_id"].tolist() == ["004", "009"]
    assert rows["patient_age"].tolist() == [34, 34]
    assert rows["exclusion"].isna().tolist() == [True, False]


def test_findings_of_readers_who_disagree_are_listed_joined_and_decided(tmp_path: Path) -> None:
    write_source(tmp_path, "open", public=True)
    source, data = tmp_path / "open.toml", tmp_path / "data"
    second = ["well", "other", "sick", "sick", "other", "", "well", "sick"]
    with (data / "sources" / "open" / "metadata.csv").open("a") as stream:
        stream.writelines(f"{i}.png,00{max(i, 1)},{word},F,4{i},PA\n" for i, word in enumerate(second))
    words = ("plan", "--recipe", write_recipe(tmp_path, ["open"], None), "--data", data)
    both = {0: "sick|well", 1: "well|other", 2: "other|sick", 4: "well|other", 6: "sick|well", 7: "well|sick"}
    template = HEADER.replace("\n", ",reader\n") + "".join(
        f"open,images/{i}.png,finding,{finding},,,\n" for i, finding in both.items()
    )
    ran = run(*words, "--json", "--differing-rows", tmp_path / "refused.csv")
    error = json.loads(ran.out)["error"]
    assert "7 images with rows of metadata that differ" in error["what"]
    assert "and 2 more" in error["what"]
    # A blank cell is a difference, which joining settles.
    assert [one["path"][7] for one in error["differing_rows"]] == list("0124567")
    assert error["differing_rows"][5] == {
        "source": "open", "path": "images/6.png", "column": "finding", "values": ["sick", "well"],
        "places": ["metadata.csv, line 8", "metadata.csv, line 16"],
    }  # fmt: skip
    assert "--differing-rows FILE.csv` writes all images" in error["todo"]
    assert (tmp_path / "refused.csv").read_text() == template
    assert "is not overwritten" in run(*words, "--differing-rows", tmp_path / "refused.csv").err
    assert (tmp_path / "refused.csv").read_text() == template

    text = source.read_text().replace("[columns]", 'differing_rows = "join"\n[columns]')
    source.write_text(text)
    assert "`join` needs the source's `finding_separator`" in run(*words).err
    source.write_text(text.replace("[reader]", 'finding_separator = "|"\n[reader]'))
    ran = run(*words, "--json", "--differing-rows", tmp_path / "joined.csv")
    assert (tmp_path / "joined.csv").read_text() == template
    plan = json.loads(ran.out)
    assert plan["other_findings"] == {"images": 3, "findings": {"other": 3}}
    assert len(plan["joined_rows"]) == 6
    assert [step["images"] for step in plan["funnel"]] == [16, 8, 3, 0, 1, 4]
    said = "3 kept images have a class by one finding and another finding without a class: other 3."
    assert said in ran.err

    decided = "open,images/0.png,finding,sick|well,well,a third reader,EF\n"
    recipe = write_recipe(tmp_path, ["open"], "open,images/1.png,finding,well|other,well,a third reader\n")
    with (tmp_path / "corrections.csv").open("w") as stream:
        stream.write(template[: template.index("open,")] + decided)
    recipe.write_text(recipe.read_text().replace('"labelled"', '"labelled"\nevery_finding = true'))
    ran = run(*words, "--out", tmp_path / "plan", "--differing-rows", tmp_path / "rest.csv")
    assert (tmp_path / "rest.csv").read_text() == template.replace(
        "open,images/0.png,finding,sick|well,,,\n", ""
    )
    assert "6 images with different findings in several rows: corrections decide 1, and 5 have" in ran.out
    assert "Findings without a class: well|other 2, other 1, other|sick 1." in ran.out
    assert "another finding" not in ran.out
    why = ("why", "--build", tmp_path / "plan", "--recipe", recipe, "--data", data)
    found = run(*why, "images/0.png").out
    assert "finding sick|well -> well, by EF (corrections.csv, line 2): a third reader" in found
    assert "metadata.csv, line 2: name 0.png; patient 001; finding sick" in " ".join(found.split())
    assert "other_finding: excludes (finding well|other)" in run(*why, "images/1.png").out


def test_a_correction_of_a_withdrawn_image_has_no_effect(tmp_path: Path) -> None:
    write_source(tmp_path, "open", public=True, withdrawn='withdrawn = "withdrawn.csv"')
    (tmp_path / "withdrawn.csv").write_text("path,date,reason\nimages/0.png,2026-02-28,consent\n")
    plan = planned(tmp_path, "open", "open,images/0.png,finding,sick,well,read again\n")
    assert row(plan, "0.png")["exclusion"] == "withdrawn"
    assert pd.isna(row(plan, "0.png")["finding"])
    assert (plan.corrections.values, plan.corrections.total) == ([], 0)


def test_without_corrections_nothing_is_recorded_and_another_file_is_another_input(opened: Path) -> None:
    plan = planned(opened, "open", None)
    document = build_document(plan).to_dict()
    assert "corrections" not in document
    assert "corrections" not in document["recipe"]
    hashes = []
    for lines in ("open,images/0.png,finding,sick,well,x\n", "open,images/0.png,finding,sick,well,y\n"):
        declared = read_declared(write_recipe(opened, ["open"], lines), {})
        hashes.append(inputs_hash(declared, {}, []))
    assert len({*hashes, inputs_hash(plan.declared, {}, [])}) == 3
    recorded = build_document(planned_of(opened, opened / "recipe.toml")).to_dict()
    assert recorded["recipe"]["corrections"] == ["corrections.csv"]
    (file,) = recorded["corrections"]["files"]
    assert file == {"name": "corrections.csv", "sha256": declared.correction_files["corrections.csv"]}


def test_a_build_records_the_names_of_files_without_their_folders(opened: Path, tmp_path: Path) -> None:
    for folder in ("jane", "joe"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "c.csv").write_text(HEADER + "open,images/0.png,finding,sick,well,x\n")
    (tmp_path / "jane" / "r.csv").write_text(
        "source,path,mark,marks_finding,note\nopen,images/4.png,clean,,\n"
    )
    recipe = write_recipe(opened, ["open"], "")
    text = recipe.read_text().replace('["corrections.csv"]', f'["{(tmp_path / "jane").as_posix()}/c.csv"]\n'
                                      f'reviews = ["{(tmp_path / "jane").as_posix()}/r.csv"]')  # fmt: skip
    recipe.write_text(text)
    declared = read_declared(recipe, {}, [str(tmp_path / "jane" / "r.csv")])
    plan = replace(planned_of(opened, recipe), declared=declared)
    document = build_document(plan).to_dict()
    assert "jane" not in json.dumps(document)
    assert document["recipe"]["corrections"] == ["c.csv"] == [document["corrections"]["values"][0]["file"]]
    assert (document["recipe"]["reviews"], document["corrections"]["files"][0]["name"]) == (
        ["r.csv"],
        "c.csv",
    )
    assert document["overrides"]["reviews"][0]["file"] == "r.csv"
    # The build remembers where they are.
    assert declaration_files(declared).reviews == [str((tmp_path / "jane" / "r.csv").resolve())] * 2
    recipe.write_text(text.replace("/c.csv", f'/c.csv", "{(tmp_path / "joe").as_posix()}/c.csv'))
    (tmp_path / "joe" / "c.csv").write_text(HEADER)
    with pytest.raises(CxrbuildError, match=r"two files of corrections are called c\.csv"):
        read_declared(recipe, {})


@pytest.fixture(scope="module")
def plans(opened: Path) -> tuple[Path, Path]:
    """The folders of two plans, without and with corrections."""
    write_plan(planned(opened, "open", None), opened / "before")
    corrected = (
        "open,images/0.png,finding,sick,well,read again\n"
        "open,images/1.png,view_position,PA,LATERAL,seen\n"
        "open,images/2.png,finding,other,sick,PCR positive\n"
    )
    write_plan(planned(opened, "open", corrected), opened / "after")
    return opened / "before", opened / "after"


def test_why_says_what_was_corrected_and_where(plans: tuple[Path, Path]) -> None:
    recipe = plans[1].parent / "recipe.toml"
    asked = ("why", "0.png", "--build", plans[1], "--recipe", recipe, "--data", plans[1].parent / "data")
    (image,) = json.loads(run(*asked, "--json").out)["images"]
    assert image["corrections"] == [
        {"column": "finding", "old": "sick", "new": "well", "reason": "read again", "reader": None,
         "file": "corrections.csv", "line": 2, "redacted": False}
    ]  # fmt: skip
    assert image["upstream"]["finding"] == "well"
    assert image["metadata"][0]["values"]["finding"] == "sick"
    said = " ".join(run(*asked).out.split())
    assert "corrected finding sick -> well (corrections.csv, line 2): read again" in said


def test_diff_says_that_a_correction_is_the_cause(plans: tuple[Path, Path]) -> None:
    found = diff(*plans)
    (relabelled,) = found.rows["relabelled"].to_dict("records")
    assert (relabelled["cause"], relabelled["reason"]) == (
        "correction", "correction of finding 'sick' -> 'well' (read again)",
    )  # fmt: skip
    (removed,) = found.rows["removed"]["reason"]
    assert removed.endswith("correction of view_position 'PA' -> 'LATERAL' (seen)")
    (added,) = found.rows["added"]["reason"]
    assert added.endswith("correction of finding 'other' -> 'sick' (PCR positive)")
    changes = {change.key.rpartition(".")[2]: (change.old, change.new) for change in found.declared}
    assert changes["view_position"] == (None, "'PA' -> 'LATERAL' (seen)")
    # The other way round, the corrections were removed.
    (back,) = diff(*reversed(plans)).rows["relabelled"]["reason"]
    assert back.endswith("(read again), which was removed")


def test_plan_reports_how_many_values_are_corrected(opened: Path) -> None:
    recipe = write_recipe(opened, ["open"], "open,images/0.png,finding,sick,well,x\n")
    asked = ("plan", "--recipe", recipe, "--data", opened / "data")
    assert "Values corrected by corrections.csv: in open the finding of 1 image." in run(*asked).out
    document = json.loads(run(*asked, "--json").out)
    assert document["corrections"]["counts"] == {"open": {"finding": 1}}
    # The folder of a plan without corrections keeps none of the plan before.
    out = opened / "again"
    for lines, there in (("open,images/0.png,finding,sick,well,x\n", True), (None, False)):
        write_plan(planned(opened, "open", lines), out)
        assert (out / "corrections.json").is_file() == there


# Of each source: one image that stays in the dataset, one that a correction excludes.
RELEASED = "".join(
    f"{name},images/0.png,finding,sick,well,read by {name}\n"
    f"{name},images/1.png,view_position,PA,LATERAL,seen by {name}\n"
    for name in ("open", "closed")
)


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Public releases of a public and of a closed source, before and after corrections of both."""
    folder = tmp_path_factory.mktemp("released")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(KEY_VARIABLE, KEY)
        for name in ("open", "closed"):
            write_source(folder, name, public=name == "open")
            (folder / "data" / "sources" / name).rename(folder / name)
            fetched = run("fetch", f"{name}.toml", "--from", f"{name}={name}", "--pin", cwd=folder)
            assert fetched.status == 0, fetched.err
        for lines, version in ((None, "1.0.0"), (RELEASED, "2.0.0")):
            write_recipe(folder, ["open", "closed"], lines, version)
            ran = run("curate", "--recipe", "recipe.toml", "--format", "parquet", "--out", f"build-{version}",
                      cwd=folder)  # fmt: skip
            assert ran.status == 0, ran.err
            release(folder / f"build-{version}", version, folder / "release" / f"mine-{version}")
    return folder / "release" / "mine-1.0.0", folder / "release" / "mine-2.0.0"


def test_a_public_release_says_of_a_closed_source_only_what_it_lists(releases: tuple[Path, Path]) -> None:
    corrections = open_release(releases[1]).document.corrections
    assert corrections.counts == {name: {"finding": 1, "view_position": 1} for name in ("open", "closed")}
    assert [file.sha256 for file in corrections.files] == [None]
    of_open, of_closed = (
        [one for one in corrections.values if one.source == name] for name in ("open", "closed")
    )
    assert [(one.old, one.reason) for one in of_open] == [("sick", "read by open"), ("PA", "seen by open")]
    # The image that is not listed is not named, and of the other one the old value and reason are not given.
    (value,) = of_closed
    assert value == CorrectedValue(
        image_id=value.image_id, source="closed", column="finding", old=None, new="well", reason=None,
        reader=None, file="corrections.csv", line=4, redacted=True,
    )  # fmt: skip
    for file in sorted(releases[1].rglob("*")):
        if file.is_file():
            assert b"by closed" not in file.read_bytes(), file
    built = open_build(releases[1].parent.parent / "build-2.0.0").document.corrections
    assert len(built.values) == 4
    assert "by closed" in str(built)


def test_no_hash_of_a_public_release_covers_what_it_omits(
    releases: tuple[Path, Path], tmp_path: Path
) -> None:
    """A reader who knows the rest could confirm a guess of an age, a path or a reason with it."""
    build = open_build(releases[1].parent.parent / "build-2.0.0")
    manifest = build.document.files[names.MANIFEST].sha256
    hashes = [build.document.inputs, manifest, sha256_of(build.folder / names.LEDGER)]
    hashes += [str(file.sha256) for file in build.document.corrections.files]
    for file in sorted(releases[1].rglob("*")):
        if file.is_file():
            assert [one for one in hashes if one.encode() in file.read_bytes()] == [], file
    # Results that refer to the manifest refer to that of the release, with an empty `withheld`.
    document = open_release(releases[1]).document
    assert document.packaging.manifest_sha256 == build_manifest_hash(
        read_records(releases[1] / names.MANIFEST)
    )
    content = json_bytes(baseline_result(build.folder))
    assert manifest.encode() in content
    found = with_manifest(
        ReleasedResults(Results(), {names.RELEASED_BASELINE: content}),
        manifest, document.packaging.manifest_sha256,
    )  # fmt: skip
    baseline = found.documents.baseline
    assert baseline is not None
    assert baseline.dataset.manifest_sha256 == document.packaging.manifest_sha256
    assert manifest.encode() not in found.files[names.RELEASED_BASELINE]
    # A private release has both, and `verify` finds in a public one what it must not have.
    private = release(build.folder, "2.0.0", tmp_path / "private", policy="private").release.document
    assert (private.inputs, private.packaging.manifest_sha256) == (build.document.inputs, manifest)
    shutil.copytree(releases[1], tmp_path / "public")
    forged = json.loads((releases[1] / names.BUILD).read_text()) | {"inputs": build.document.inputs}
    write_json(tmp_path / "public" / names.BUILD, forged)
    (message,) = check_identities(Context(tmp_path / "public", "release"))
    assert str(message) == "build.json: inputs: is a hash of what a public release omits, too"


def test_a_public_release_omits_the_reason_of_an_image_with_a_readable_name(opened: Path) -> None:
    plan = planned(opened, "open", "open,images/0.png,finding,sick,well,as Jane Doe says\n")
    records = plan.records.assign(review=["identifier"] * len(plan.records))
    document = build_document(plan)
    for policy, reason in (("private", "as Jane Doe says"), ("public", None)):
        (value,) = listed_corrections(document, policy, records).values
        assert (value.reason, value.redacted) == (reason, policy == "public")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["values"][0].update(new="sick"), "is corrected to 'sick', the ledger has well"),
        (lambda c: c["values"][0].update(image_id="open_1"), "the ledger has no such image"),
        (
            lambda c: c["values"][0].update(source="closed"),
            "is of closed, in the ledger the image is",
        ),
        (lambda c: c["values"][0].update(file="x.csv"), "is in x.csv, which is no file of corrections"),
        (lambda c: c["values"][0].update(column="license"), "a correction cannot name this column"),
        (lambda c: c["counts"]["open"].update(finding=99), "counts 99 values, 1 listed"),
        (lambda c: c.update(values=[]), "counts 1 value, 0 listed"),
        (lambda c: c.update(files=[]), "are none, the recipe has corrections.csv"),
        (lambda c: c.clear(), "are none, the recipe has corrections.csv"),
    ],
)
def test_verify_compares_corrections_with_recipe_counts_and_ledger(
    change: Callable[[dict[str, Any]], object], message: str, releases: tuple[Path, Path], tmp_path: Path
) -> None:
    kinds: dict[Kind, Path] = {"build": releases[1].parent.parent / "build-2.0.0", "release": releases[1]}
    for kind, folder in kinds.items():
        shutil.copy(folder / names.LEDGER, tmp_path)
        document = json.loads((folder / names.BUILD).read_text())
        write_json(tmp_path / names.BUILD, document)
        assert list(check_corrections(Context(tmp_path, kind))) == []
        document["corrections"]["values"].sort(key=lambda one: (one["source"] != "open", one["line"]))
        change(document["corrections"])
        write_json(tmp_path / names.BUILD, document)
        assert message in " ".join(map(str, check_corrections(Context(tmp_path, kind))))


def test_verify_finds_in_a_public_release_what_it_omits(releases: tuple[Path, Path], tmp_path: Path) -> None:
    shutil.copy(releases[1] / names.LEDGER, tmp_path)
    document = json.loads((releases[1] / names.BUILD).read_text())
    (of_closed,) = [one for one in document["corrections"]["values"] if one["source"] == "closed"]
    of_closed |= {"redacted": False, "reason": "read by closed"}
    write_json(tmp_path / names.BUILD, document)
    (found,) = check_corrections(Context(tmp_path, "release"))
    assert "has the old value, reason or reader" in str(found)


def test_a_reason_that_names_a_closed_image_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    for name in ("open", "closed"):
        write_source(tmp_path, name, public=name == "open")
    root = tmp_path / "data" / "sources" / "closed"
    (root / "images" / "3.png").rename(root / "images" / "Anna 3.png")
    table = (root / "metadata.csv").read_text()
    (root / "metadata.csv").write_text(table.replace("\n3.png", "\nAnna 3.png"))
    kept, excluded = (image_id("closed", f"images/{name}.png", named=False) for name in ("0", "2"))
    harmless = [f"the same person as {kept}", "read in 3.png by Anna"]
    named = ["the same person as closed/images/Anna 3.png.", "the same person as closed (anna 3.PNG)"]
    for reasons, refused in (
        (named, "would give file names away"),
        ([f"the same person as {excluded}; see there"], "would name images that it does not include"),
    ):
        changes = ("sick,well", "well,sick", "other,sick", "sick,well")
        lines = zip(range(4), changes, reasons + harmless, strict=False)
        corrections = "".join(
            f"open,images/{i}.png,finding,{change},{reason}\n" for i, change, reason in lines
        )
        recipe = write_recipe(tmp_path, ["open", "closed"], corrections)
        said = " ".join(str(error) for error in foresee(planned_of(tmp_path, recipe)).refusals)
        assert refused in said
        assert re.findall(r"corrections\.csv, line (\d)\.reason", said) == ["2", "3"][: len(reasons)]


def test_a_number_that_a_correction_replaces_is_as_confidential_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    write_source(tmp_path, "closed", public=False)
    root = tmp_path / "data" / "sources" / "closed"
    for i in range(8):
        (root / "images" / f"{i}.png").rename(root / "images" / f"0045670{i}-{i}.png")
    table = (root / "metadata.csv").read_text()
    (root / "metadata.csv").write_text(re.sub(r"(\d)\.png,00\d", r"0045670\1-\1.png,0045670\1", table))
    line = "closed,images/0045670{0}-{0}.png,patient_id,0045670{0},{1},renumbered\n"
    for lines in (
        None,
        "".join(line.format(i, f"P900{i}") for i in range(8)),
        "".join(line.format(i, "") for i in range(8)),
    ):
        recipe = write_recipe(tmp_path, ["closed"], lines)
        recipe.write_text(recipe.read_text().replace('"Mine"', '"Mine, without 00456701"'))
        said = " ".join(str(error) for error in foresee(planned_of(tmp_path, recipe)).refusals)
        assert "6 images with the patient's number there" in said
        assert "1 text with one: recipe.title" in said
    # The new number is as confidential as the old one.
    recipe.write_text(recipe.read_text().replace("00456701", "P900123"))
    for new, refused in (("P900123", True), ("P900124", False)):
        (tmp_path / "corrections.csv").write_text(HEADER + line.format(1, new))
        said = " ".join(str(error) for error in foresee(planned_of(tmp_path, recipe)).refusals)
        assert ("1 text with one: recipe.title" in said) == refused


def test_a_file_without_lines_corrects_nothing(opened: Path) -> None:
    plan = planned(opened, "open", "")
    assert (plan.corrections.total, [one.name for one in plan.corrections.files]) == (0, ["corrections.csv"])
    asked = ("plan", "--recipe", opened / "recipe.toml", "--data", opened / "data")
    assert "Values corrected by corrections.csv: none of these sources." in run(*asked).out


def test_card_report_and_changelog_show_the_corrections(releases: tuple[Path, Path]) -> None:
    card = (releases[1] / "README.md").read_text()
    said = " ".join(card.split())
    assert (
        "corrects 4 values of the sources' metadata before all other steps: in open the finding of 1 image"
        in said
    )
    # The finding has no column with the source's text.
    assert "have the corrected values, and `view_position_text` the source's value." in said
    assert "| finding | 'sick' | 'well' | read by open |" in card
    assert "| finding | not stated | 'well' | not stated |" in card
    assert "1 of them is of images that are not listed." in card
    assert "The build uses corrections of metadata: corrections.csv. Without them it cannot be" in card
    report = (releases[1] / "report.html").read_text()
    assert "Corrected metadata" in report
    assert "seen by open" in report
    changes = (releases[1] / "CHANGELOG.md").read_text()
    # Once: not as a change of the source and of the image's metadata, too.
    assert changes.count("'sick' -> 'well' (read by open)") == 1
    assert "correction of finding 'sick' -> 'well' (read by open)" in changes
    assert "correction of finding to 'well'" in changes
    for page in ("README.md", "report.html", "CHANGELOG.md", "build.json"):
        assert "orrect" not in (releases[0] / page).read_text(), page


def test_why_of_a_public_release_says_that_it_omits_the_reason(releases: tuple[Path, Path]) -> None:
    ledger = open_release(releases[1]).ledger
    image = ledger.loc[ledger["source"].eq("closed") & ledger["finding"].eq("well"), "image_id"]
    corrected = {one.image_id for one in open_release(releases[1]).document.corrections.values}
    (asked,) = set(image) & corrected
    said = " ".join(run("why", asked, "--build", releases[1]).out.split())
    assert "finding to well (corrections.csv, line 4); the release does not give the old value" in said


def test_a_copy_of_a_shipped_recipe_with_corrections_is_another_recipe(tmp_path: Path) -> None:
    (recipe, *_) = copy_recipe("covid19-cxr", tmp_path / "copy").files
    assert is_shipped(read_recipe("covid19-cxr"))
    recipe.write_text('corrections = ["mine.csv"]\n' + recipe.read_text())
    (tmp_path / "copy" / "mine.csv").write_text(HEADER + "cohen,images/a.png,finding,SARS,ARDS,x\n")
    copied = read_recipe(str(recipe))
    assert not is_shipped(copied)
    (one,) = read_corrections("mine.csv", copied.folder)
    assert (one.file, one.line, one.image) == ("mine.csv", 2, ("cohen", "images/a.png"))


def test_corrections_of_images_that_left_are_listed(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    (world / "declared" / "corrections.csv").write_text(HEADER + "mine,images/f.png,finding,a,b,x\n")
    (found,) = propose(world, "--from", f"mine={world / 'new'}")["naming_rows"]
    assert (found["line"], found["content"], found["path"]) == (2, "corrections", "images/f.png")
