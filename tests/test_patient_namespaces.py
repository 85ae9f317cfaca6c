"""A patient of two sources: reported where no source declares it, one group where both do."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from audited import make_only
from command import run
from test_patient_identity import KEY, write_image

import cxrbuild
from cxrbuild.artifact import AuditDocument, open_build
from cxrbuild.artifact.audit_finding import SharedIdFinding
from cxrbuild.patient_key import KEY_VARIABLE, hash_identifier
from cxrbuild.patients import find_shared_ids
from cxrbuild.records import conform

SOURCE = """
name = "{name}"
title = "Images of the {name}"
license = "LicenseRef-internal"
{top}
[reader]
kind = "dicom"
images = ["*.dcm"]
pattern = "^(?P<folder>[^/]+)/"
{reader}
[columns.finding]
from = "folder"
"""
RECIPE = """
name = "mine"
version = "0.1.0"
date = "2026-11-25"
title = "Mine"
sources = ["clinic.toml", "ward.toml"]

[labels]
Sick = { clinic = ["sick"], ward = ["sick"] }
Well = { clinic = ["well"], ward = ["well"] }

[[rules]]
name = "other_finding"
kind = "labelled"
reason = "No class."

[split]
salt = "mine"
test = { share = 0.4 }
allow_empty = { test = ["Sick", "Well"] }
"""


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two folders of one hospital: MRN0 to MRN5 were seen in both."""
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    for number in range(24):
        name, folder = ("clinic", "ward")[number // 12], ("sick", "well")[number % 2]
        write_image(tmp_path / name / folder / f"{number}.dcm", number, PatientID=f"MRN{number % 6}")
    (tmp_path / "recipe.toml").write_text(RECIPE)
    declare(tmp_path)
    for name in ("clinic", "ward"):
        cxrbuild.fetch([tmp_path / f"{name}.toml"], tmp_path / "data", origins={name: str(tmp_path / name)})
    return tmp_path


def declare(world: Path, clinic: str | None = None, ward: str | None = None, reader: str = "") -> None:
    for name, namespace in (("clinic", clinic), ("ward", ward)):
        top = f'patient_namespace = "{namespace}"' if namespace else ""
        last = reader if name == "ward" else ""
        (world / f"{name}.toml").write_text(SOURCE.format(name=name, top=top, reader=last))


def plan(world: Path) -> cxrbuild.Plan:
    return cxrbuild.plan(world / "recipe.toml", world / "data")


def test_equal_ids_of_two_sources_are_reported_until_their_declarations_decide(
    world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_only(monkeypatch, "shared_patient_ids")
    arguments = ("--recipe", world / "recipe.toml", "--data", world / "data")
    ran = run("plan", *arguments, "--json")
    found = json.loads(ran.out)["shared_patient_ids"]
    assert [one["sources"] for one in found] == [["clinic", "ward"]] * 6
    assert hash_identifier(KEY.encode(), "MRN3") in {one["patient_id"] for one in found}
    in_two = sum(len(one["splits"]) > 1 for one in found)
    assert in_two > 0, "the fixture has a patient in two splits"
    says = f"6 patient ids are in several of the sources clinic, ward, {in_two} of them in several splits. "
    assert says in " ".join(run("plan", *arguments).out.split())

    build = world / "build"
    made = run("curate", *arguments, "--out", build, "--format", "parquet")
    assert made.status == 0, made.err
    assert says in " ".join(made.out.split())
    audited = run("audit", "--build", build, "--recipe", world / "recipe.toml", "--workers", 1)
    assert audited.status == 3
    assert f"shared_patient_ids: 6 ids of several sources, {in_two} in several splits; declare" in " ".join(
        audited.err.split()
    )
    (check,) = [one for one in AuditDocument.read(build / "audit.json").checks if "shared" in one.id]
    assert [type(finding) for finding in check.findings] == [SharedIdFinding] * in_two
    assert run("verify", build).status == 0

    # The declarations of both decide; the build follows.
    declare(world, "hospital", "hospital")
    assert plan(world).shared_ids == []
    assert run("curate", *arguments, "--out", build, "--format", "parquet").status == 0
    rows = open_build(build).manifest
    assert rows.groupby("patient_id")["split"].nunique().max() == 1
    assert set(rows["group"]) == {"hospital:" + one for one in rows["patient_id"]}
    audited = run("audit", "--build", build, "--recipe", world / "recipe.toml", "--workers", 1)
    assert "shared_patient_ids passed none" in " ".join(audited.out.split())
    assert run("verify", build).status == 0


def test_namespaces_that_differ_say_that_equal_ids_are_different_patients(world: Path) -> None:
    undeclared = plan(world).records
    declare(world, "clinic", "ward")
    declared = plan(world)
    assert declared.shared_ids == []
    pd.testing.assert_frame_equal(declared.records, undeclared)


def test_a_source_can_name_another_one_as_the_namespace(world: Path) -> None:
    declare(world, None, "clinic")
    assert plan(world).records.groupby("patient_id")["group"].nunique().max() == 1


def test_one_declaration_of_two_does_not_decide(world: Path) -> None:
    declare(world, "hospital", None)
    assert len(plan(world).shared_ids) == 6


def test_hashed_and_kept_numbers_cannot_be_of_one_namespace(world: Path) -> None:
    declare(world, "hospital", "hospital", reader='patient_id = "keep"')
    ran = run("plan", "--recipe", world / "recipe.toml", "--data", world / "data")
    assert ran.status == 1
    assert "patient_namespace: hospital has hashed numbers of clinic and kept ones of ward" in " ".join(
        ran.err.split()
    )


def test_a_link_decides_too() -> None:
    rows = [
        {"source": source, "patient_id": "7", "group": "a:7", "split": split}
        for source, split in (("a", "train"), ("b", "train"))
    ]
    assert find_shared_ids(conform(pd.DataFrame(rows)), {"a": None, "b": None}) == []
    rows[1]["group"] = "b:7"
    assert len(find_shared_ids(conform(pd.DataFrame(rows)), {"a": None, "b": None})) == 1
