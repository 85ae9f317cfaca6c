"""Audits of small builds, and the limits of recipes."""

from __future__ import annotations

import csv
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from audited import RECIPE, crop, described, different_images, jpeg, write_build
from command import run
from PIL import Image, ImageOps
from recording import Recorded
from test_checks import install

from cxrbuild.artifact import AuditDocument, CheckResult
from cxrbuild.artifact.audit import ImagePair
from cxrbuild.artifact.audit_finding import AssociationFinding, ImageFinding, OtherFinding
from cxrbuild.auditing import probes
from cxrbuild.auditing.audit import AuditResult, audit
from cxrbuild.auditing.confounding import mutual_information
from cxrbuild.auditing.probes import PROBES
from cxrbuild.auditing.registry import CHECKS
from cxrbuild.catalog import read_links, read_recipe
from cxrbuild.checks import Check, Finding
from cxrbuild.cli.audit import report_audit
from cxrbuild.cli.output import Output
from cxrbuild.demo.phantom import phantom
from cxrbuild.errors import DeclarationError
from cxrbuild.progress import silent
from cxrbuild.records import conform, read_records, write_records


def audited(folder: Path, **options: Any) -> AuditResult:
    """Audit the build that `write_build` wrote, with its recipe."""
    return audit(folder / "build", read_recipe(str(folder / "recipe.toml")), **options)


def values(document: AuditDocument) -> dict[str, tuple[str, float | None]]:
    return {check.id: (check.status, check.value) for check in document.checks}


def check_of(document: AuditDocument, check_id: str) -> CheckResult:
    (check,) = [check for check in document.checks if check.id == check_id]
    return check


def test_leakage_fails_with_status_3_and_is_listed(tmp_path: Path) -> None:
    image, other = phantom("twice", "COVID-19"), phantom("again", "Normal")
    images = [
        *different_images(10),
        (jpeg(image), {"label": "COVID-19"}),
        (jpeg(ImageOps.mirror(image)), {"label": "COVID-19", "split": "test"}),
        (jpeg(other), {"patient_id": "7b"}),
        (jpeg(other), {"patient_id": "7a", "label": "COVID-19"}),
        (jpeg(phantom("unknown", "Normal")), {"patient_id": None, "group": "cohen/images/14.jpg"}),
        (jpeg(phantom("first", "Normal")), {"patient_id": "leaking"}),
        (jpeg(phantom("second", "Normal")), {"patient_id": "leaking", "split": "test"}),
    ]
    build = write_build(tmp_path, images)
    # What a killed audit left.
    (build / ".audit.json.0123abcd.part").write_bytes(b"half")
    collisions = build / ".cxrbuild" / "audit" / "collisions-0123abcd"
    collisions.mkdir(parents=True)
    (collisions / "0").write_bytes(b"half")
    ran = run("audit", "--build", build, "--recipe", tmp_path / "recipe.toml")
    assert ran.status == 3
    assert not list(build.glob("*.part"))
    assert not collisions.exists()
    # The first line begins with a path, and may be wrapped.
    assert "of the audit's checks failed" in " ".join(ran.err.split())
    for message in (
        "patient_leakage: 1 patient in several splits (at most 0)\n    cohen:leaking: cohen_image-15",
        "duplicate_leakage: 1 pair in two splits (at most 0)\n    cohen_image-10 and cohen_image-11 (near",
        "label_conflicts: 1 pair with two labels (at most 0)\n    cohen_image-12 and cohen_image-13 (same",
    ):
        assert " ".join(message.split()) in " ".join(ran.err.split())
    assert "split.links" in ran.err
    assert "Traceback" not in ran.err
    assert max(map(len, ran.out.split("\n\n")[0].splitlines())) <= 80
    assert "audit-links.csv next to it has 2 duplicates as links" in " ".join(ran.err.split())

    document = AuditDocument.read(build / "audit.json")
    assert document.status == "failed"
    assert values(document) == {
        "image_integrity": ("passed", 0), "patient_leakage": ("failed", 1),
        "shared_patient_ids": ("passed", 0),
        "duplicate_leakage": ("failed", 1), "label_conflicts": ("failed", 1),
        "unlinked_duplicates": ("reported", 2), "duplicates": ("reported", 2),
        "similar_patient_ids": ("reported", 1), "unknown_patients": ("reported", 1),
        "confounding": ("passed", values(document)["confounding"][1]),
    } | dict.fromkeys(PROBES, ("not applicable", None))  # fmt: skip
    mirrored, same = [pair for pair in document.pairs if pair.is_duplicate]
    assert mirrored.changes == ["mirrored"]
    assert mirrored.crosses == ["split", "patient"]
    assert mirrored.similarity > 0.9
    assert (same.a, same.b, same.kind) == ("cohen_image-12", "cohen_image-13", "same bytes")
    assert same.crosses == ["label", "patient"]
    with (build / "audit-pairs.csv").open(newline="") as stream:
        pairs = list(csv.DictReader(stream))
    assert [(pair["image_id_a"], pair["image_id_b"]) for pair in pairs] == [
        (p.a, p.b) for p in document.pairs
    ]
    assert pairs[0]["source_path_a"] == manifest_path(build, mirrored.a)
    assert (pairs[0]["changes"], pairs[0]["differ_in"], pairs[0]["linked"]) == (
        "mirrored", "split patient", "no",
    )  # fmt: skip
    # The links are ready for `split.links`: the strict reader takes them.
    links = read_links("audit-links.csv", build)
    assert [(link.a[1], link.b[1], link.kind) for link in links] == [
        (manifest_path(build, pair.a), manifest_path(build, pair.b), "duplicate") for pair in (mirrored, same)
    ]
    assert links[0].note.startswith("near-duplicate, mirrored: similarity 0.9")
    page = (build / "audit.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 2 * len(document.pairs)
    assert not re.search(r"(?:src|href)=.https?:", page)


def manifest_path(build: Path, image: str) -> str:
    manifest = read_records(build / "manifest.parquet").set_index("image_id")
    return str(manifest.loc[image, "source_path"])


def test_no_links_are_announced_where_the_file_has_none(tmp_path: Path) -> None:
    """The duplicate is of one patient, whose images two splits have; both are linked by that already."""
    image = phantom("twice", "Normal")
    pair = [(jpeg(image), {"group": "cohen:10", "split": split}) for split in ("train", "test")]
    build = write_build(tmp_path, [*different_images(10), *pair])
    ran = run("audit", "--build", build, "--recipe", tmp_path / "recipe.toml")
    assert ran.status == 3
    assert len((build / "audit-links.csv").read_text().splitlines()) == 1
    assert "audit-links.csv" not in ran.err
    assert "Declare duplicates in a link file of the recipe" in " ".join(ran.err.split())


def test_duplicates_of_one_patient_are_links_until_the_recipe_declares_them(tmp_path: Path) -> None:
    """A rule of the kind `duplicate` excludes only what links declare: the reviewer needs the rows."""
    image = phantom("twice", "Normal")
    one = {"patient_id": "one", "group": "cohen:one"}
    build = write_build(tmp_path, [*different_images(10), (jpeg(image), one), (jpeg(crop(image)), one)])
    ran = run("audit", "--build", build, "--recipe", tmp_path / "recipe.toml", COLUMNS="300")
    assert ran.status == 0, ran.err
    assert (
        f"1 pair of duplicates of one patient, which no link declares, as links: {build}/audit-links.csv"
        in ran.out
    )
    (link,) = read_links("audit-links.csv", build)
    assert (link.a, link.b, link.kind) == (
        ("cohen", manifest_path(build, "cohen_image-10")),
        ("cohen", manifest_path(build, "cohen_image-11")),
        "duplicate",
    )
    assert link.note.startswith("near-duplicate, cropped, of one patient: similarity 0.")
    shutil.copy(build / "audit-links.csv", tmp_path / "links.csv")
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(recipe.read_text().replace('salt = "s"', 'salt = "s", links = ["links.csv"]'))
    ran = run("audit", "--build", build, "--recipe", recipe, COLUMNS="300")
    assert ran.status == 0, ran.err
    assert "audit-links.csv" not in ran.out
    assert read_links("audit-links.csv", build) == []


def test_a_clean_build_with_linked_duplicates_passes(tmp_path: Path) -> None:
    image = phantom("twice", "Normal")
    linked = {"group": "cohen:10"}
    build = write_build(tmp_path, [*different_images(10), (jpeg(image), linked), (jpeg(crop(image)), linked)])
    ran = run("audit", "--build", build, "--recipe", tmp_path / "recipe.toml", "--json")
    assert ran.status == 0, ran.err
    content = json.loads(ran.out)
    assert content["build"] == str(build)
    document = AuditDocument.read(build / "audit.json")
    assert document.status == content["status"] == "passed"
    assert values(document)["duplicates"] == ("reported", 1)
    assert values(document)["unlinked_duplicates"] == ("reported", 0)
    assert [pair.linked for pair in document.pairs if pair.is_duplicate] == [True]
    assert (build / "audit-links.csv").read_text() == "source_a,path_a,source_b,path_b,kind,note\n"
    before = (build / "audit.json").read_bytes(), (build / "audit.html").read_bytes()
    audited(tmp_path, workers=2)
    assert ((build / "audit.json").read_bytes(), (build / "audit.html").read_bytes()) == before


def test_the_page_says_that_sources_are_unpinned(tmp_path: Path) -> None:
    build = write_build(tmp_path, different_images(3))
    audited(tmp_path)
    assert "Unpinned" not in (build / "audit.html").read_text()
    document = json.loads((build / "build.json").read_text()) | {"unpinned": ["cohen", "mooney"]}
    (build / "build.json").write_text(json.dumps(document))
    audited(tmp_path)
    page = (build / "audit.html").read_text()
    assert "<b>Unpinned:</b> cohen, mooney. The files were audited as they are." in page


def test_missing_changed_and_unreadable_images_are_findings(tmp_path: Path) -> None:
    build = write_build(tmp_path, [*different_images(5), (b"no image", {}), (b"", {"split": "test"})])
    paths = sorted((build / "images").rglob("*.jpg"), key=lambda path: path.name)
    paths[0].unlink()
    paths[1].write_bytes(jpeg(phantom("another", "Normal")))
    check = check_of(audited(tmp_path).document, "image_integrity")
    assert (check.status, check.value) == ("failed", 4)
    findings = [finding for finding in check.findings if isinstance(finding, ImageFinding)]
    problems = [(finding.image_id, finding.problem) for finding in findings]
    assert problems[:2] == [("cohen_image-00", "missing"), ("cohen_image-01", "changed since the build")]
    assert [image_id for image_id, _ in problems[2:]] == ["cohen_image-05", "cohen_image-06"]
    assert all(problem.startswith("cannot be read: ") for _, problem in problems[2:])
    page = (build / "audit.html").read_text()
    assert "4 images missing, changed or unreadable" in page
    assert "cohen_image-01: changed since the build" in page


def test_similar_pairs_are_named_apart_from_duplicates(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A pair after a table of `none` would contradict it."""
    write_build(tmp_path, different_images(4))
    result = audited(tmp_path)
    pair = ImagePair(
        a="a", b="b", kind="similar", similarity=0.7, changes=[], crosses=[], linked=False
    )  # fmt: skip
    for pairs, words in (
        ([pair], "1 pair of similar images, with files and splits: "),
        (
            [pair, pair.model_copy(update={"kind": "near-duplicate"})],
            "1 pair of duplicate images and 1 pair of similar images, with files and splits: ",
        ),
    ):
        document = result.document.model_copy(update={"pairs": pairs})
        report_audit(Output(quiet=False, as_json=False), AuditResult(result.build, document))
        assert words in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("labels", "properties", "passed"),
    [
        ([], "not applicable", True),
        (["Normal"], "not applicable", True),
        (["Normal", "Normal"], "not applicable", True),
        (["Normal", "COVID-19"], "passed", True),
        (["Normal"] * 5, "not applicable", True),
    ],
)
def test_builds_of_few_images_and_of_one_class_are_audited(
    tmp_path: Path, labels: list[str], properties: str, passed: bool
) -> None:
    images = [(data, {"label": label}) for (data, _), label in zip(different_images(5), labels, strict=False)]
    build = write_build(tmp_path, images or different_images(1))
    if not labels:
        rows = pd.read_parquet(build / "manifest.parquet")
        write_records(build / "manifest.parquet", conform(rows.head(0)))
    ran = run("audit", "--build", build, "--recipe", tmp_path / "recipe.toml")
    assert ran.status == (0 if passed else 3), ran.err
    assert "Warning" not in ran.err
    document = AuditDocument.read(build / "audit.json")
    assert document.images == len(labels)
    assert document.pairs == []
    assert check_of(document, "confounding").status == properties
    assert {check_of(document, name).status for name in PROBES} == {"not applicable"}


def test_the_duplicate_in_a_build_of_two_images_is_found(tmp_path: Path) -> None:
    image = phantom("twice", "Normal")
    build = write_build(tmp_path, [(jpeg(image), {}), (jpeg(crop(image)), {"split": "test"})])
    ran = run("audit", "--build", build, "--recipe", tmp_path / "recipe.toml")
    assert ran.status == 3
    assert "duplicate_leakage: 1 pair in two splits" in ran.err
    assert "Warning" not in ran.err


def test_images_without_any_detail_are_audited_without_warnings(tmp_path: Path) -> None:
    images = [jpeg(Image.new("L", (64, 64), grey)) for grey in (0, 0, 128, 255)]
    build = write_build(tmp_path, [(data, {}) for data in images])
    ran = run("audit", "--build", build, "--recipe", tmp_path / "recipe.toml")
    assert ran.status == 0, ran.err
    assert "Warning" not in ran.err
    assert "Of 4 images, 3 are compared: equal files once." in ran.err
    (pair,) = AuditDocument.read(build / "audit.json").pairs
    assert (pair.a, pair.b, pair.kind) == ("cohen_image-00", "cohen_image-01", "same bytes")


def test_another_audit_computes_the_descriptors_of_new_images_only(tmp_path: Path) -> None:
    images = different_images(4)
    build = write_build(tmp_path, images)
    first = audited(tmp_path).document
    digests = next((build / ".cxrbuild" / "audit").glob("descriptors-*/digests"))
    recorded = digests.read_bytes()
    # An image that was read once is missing all the same.
    missing = next((build / "images").rglob("cohen_image-03.jpg"))
    content = missing.read_bytes()
    missing.unlink()
    check = check_of(audited(tmp_path).document, "image_integrity")
    assert [finding.message for finding in check.findings] == ["cohen_image-03: missing"]
    missing.write_bytes(content)
    assert audited(tmp_path).document == first
    assert digests.read_bytes() == recorded
    # A killed run leaves a record without its digest, and half of one.
    thumbnails = digests.with_name("thumbnail")
    with thumbnails.open("ab") as stream:
        stream.write(bytes(128 * 128 + 5))
    write_build(tmp_path, [*images, (jpeg(phantom("new", "Normal")), {})])
    assert audited(tmp_path).document.images == 5
    assert digests.read_bytes()[: len(recorded)] == recorded
    assert digests.stat().st_size == 5 * 64
    assert thumbnails.stat().st_size == 5 * 128 * 128


def test_a_recipe_sets_limits_of_known_checks(tmp_path: Path) -> None:
    write_build(tmp_path, different_images(4))
    recipe = tmp_path / "own.toml"
    recipe.write_text(
        RECIPE + "[audit]\nlimits = { similar_patient_ids = 0, duplicates = 3 }\n"
        'report = ["image_integrity"]\n'
    )
    document = audit(tmp_path / "build", read_recipe(str(recipe))).document
    limits = {check.id: (check.limit, check.status) for check in document.checks}
    assert limits["similar_patient_ids"] == (0, "passed")
    assert limits["duplicates"] == (3, "passed")
    assert limits["image_integrity"] == (None, "reported")
    recipe.write_text(RECIPE + '[audit]\nlimits = { patients_leakage = 0 }\nreport = ["zzz"]\n')
    with pytest.raises(DeclarationError) as refused:
        read_recipe(str(recipe))
    message = str(refused.value)
    assert "no check has the id 'patients_leakage'; the nearest known id is 'patient_leakage'" in message
    assert "no check has the id 'zzz'; expected one of image_integrity, patient_leakage" in message


def test_another_package_adds_a_check_with_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = tmp_path / "site"
    site.mkdir()
    install(site, share="short_checks:SHARE", short_names="short_checks:SHORT")
    monkeypatch.syspath_prepend(site)
    write_build(tmp_path, different_images(2))
    recipe = tmp_path / "recipe.toml"
    try:
        assert values(audited(tmp_path).document)["share"] == ("failed", 0.5)
        recipe.write_text(RECIPE + "[audit]\nlimits = { share = 0.6 }\n")
        assert values(audited(tmp_path).document)["share"] == ("passed", 0.5)
        # A check for `verify`: reading the recipe does not import it.
        recipe.write_text(RECIPE + "[audit]\nlimits = { short_names = 1 }\n")
        with pytest.raises(DeclarationError, match="checks that the audit does not make: short_names"):
            audited(tmp_path)
    finally:
        sys.modules.pop("short_checks", None)


def test_findings_of_other_checks_keep_their_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = sys.modules[audit.__module__]
    found = Check("own", "Holds.", lambda _: [Finding("is odd", row="a", data={"n": 1})], "audit", limit=None)
    monkeypatch.setattr(module, "audit_checks", lambda: (found,))
    write_build(tmp_path, different_images(2))
    audited(tmp_path)
    (check,) = AuditDocument.read(tmp_path / "build" / "audit.json").checks
    assert check.findings == [OtherFinding(message="is odd", file=None, row="a", data={"n": 1})]


def test_the_documentation_lists_every_check() -> None:
    text = (Path(__file__).parent.parent / "docs" / "checks.md").read_text(encoding="utf-8")
    for check in CHECKS:
        limit = "none" if check.limit is None else f"{check.limit:g}"
        assert f"| `{check.id}` | {check.sentence} | {limit} |" in text


@pytest.mark.parametrize(
    ("is_build", "message"),
    [
        (False, "no finished build in this folder"),
        (True, "the build was made from another recipe. Expected: covid19-cxr. Found: small"),
    ],
)
def test_a_folder_without_a_build_of_the_recipe_is_refused(
    tmp_path: Path, is_build: bool, message: str
) -> None:
    build = write_build(tmp_path, different_images(2)) if is_build else tmp_path
    ran = run("audit", "--build", build, "--recipe", "covid19-cxr")
    assert ran.status == 1
    assert message in " ".join(ran.err.split())


@pytest.mark.parametrize("content", ["{}", "[]", '{"dataset": 1}'])
def test_a_malformed_build_json_is_refused(tmp_path: Path, content: str) -> None:
    build = write_build(tmp_path, different_images(2))
    (build / "build.json").write_text(content)
    ran = run("audit", "--build", build)
    assert ran.status == 1
    assert f"{build / 'build.json'}: not the build.json of a build" in " ".join(ran.err.split())


def test_a_release_is_refused_and_not_changed(tmp_path: Path) -> None:
    build = write_build(tmp_path, different_images(2))
    (build / "SHA256SUMS").write_text("")
    before = sorted(build.rglob("*"))
    ran = run("audit", "--build", build)
    assert ran.status == 1
    assert "this folder holds a release" in " ".join(ran.err.split())
    assert sorted(build.rglob("*")) == before


LINKS = "source_a,path_a,source_b,path_b,kind,note\n"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            ["a,1,b,2,duplicate,", "b,2,a,1,same patient,"],
            "line 3: links 2 and 1 as 'same patient'; line 2 links them as 'duplicate'",
        ),
        (
            ["a,1,b,2,duplicate,", "a,1,b,2,duplicate,"],
            "line 3: links 1 and 2 again; line 2 links them",
        ),
        (
            ["a,1,b,2,duplicate,", "b,2,c,3,duplicate,", "a,1,c,3,same patient,"],
            "1 and 3 are of the same patient by one link and duplicates by others",
        ),
    ],
)
def test_contradicting_links_are_refused(tmp_path: Path, lines: list[str], message: str) -> None:
    (tmp_path / "links.csv").write_text(LINKS + "\n".join(lines) + "\n")
    with pytest.raises(DeclarationError, match=re.escape(message)):
        read_links("links.csv", tmp_path)


def test_mutual_information_is_a_share_of_entropy() -> None:
    random = np.random.default_rng(0)
    first = random.integers(0, 4, 3000)
    second = np.where(random.random(3000) < 0.6, first % 3, random.integers(0, 3, 3000))
    counts = np.array([[((first == i) & (second == j)).sum() for j in range(3)] for i in range(4)])
    joint = counts / counts.sum()
    independent = joint.sum(1, keepdims=True) * joint.sum(0)
    expected = (joint * np.log2(joint / independent)).sum() - 3 * 2 / (2 * 3000) / np.log(2)
    entropy = -(joint.sum(0) * np.log2(joint.sum(0))).sum()
    bits, share = mutual_information(counts.tolist())
    assert bits == pytest.approx(expected)
    assert share == pytest.approx(expected / entropy)
    assert mutual_information([[50, 0], [0, 50]])[1] == pytest.approx(1, abs=0.01)
    assert mutual_information([[25, 25], [25, 25]]) == (0, 0)


def confounded(n: int, *, by: str) -> list[tuple[bytes, dict[str, Any]]]:
    """Return noise of two classes that the border, the view or nothing predicts, one for each patient."""
    pixels = np.random.default_rng(0).integers(100, 140, (n, 64, 64), np.uint8)
    if by == "border":
        pixels[1::2, :8] = 200
    images = []
    for i in range(n):
        row = {
            "label": ("COVID-19", "Normal")[i % 2],
            "split": ("train", "test")[i % 5 == 0],
            "view_position": ("AP", "PA")[i % 2 if by == "view" else i % 3 == 0],
        }
        images.append((jpeg(Image.fromarray(pixels[i])), row))
    return images


def test_probes_find_a_border_that_predicts_the_class(tmp_path: Path) -> None:
    # As a hospital's equal DICOM files: the bytes per pixel of their JPEGs depend on the border alone.
    equal = {"conversion": "encoded", "source_format": "DICOM 12-bit grey"}
    build = write_build(tmp_path, [(data, row | equal) for data, row in confounded(40, by="border")])
    tasks = Recorded()
    document = audited(tmp_path, progress=tasks).document
    # So that each shows how long it will take.
    assert tasks.totals["predicting the class from the histogram"] == 5
    # Two classes, and the four most confident images of each by three probes; no pairs.
    assert (tasks.totals["drawing the page"], document.pairs) == (24, [])
    found = values(document)
    assert found["probe_border"][0] == "failed"
    assert check_of(document, "probe_encoder").message == (
        "all images have the same size, aspect ratio, file format and encoder settings"
    )
    assert found["probe_encoder"] == ("not applicable", None)
    assert found["probe_border"][1] > 0.99
    assert found["confounding"] == ("passed", pytest.approx(0, abs=0.05))
    assert any("classifiers that do not see the lungs predict the class" in text for text in document.biases)
    page = (build / "audit.html").read_text()
    assert "the border, an eighth of each side" in page
    # No class is excluded from them.
    assert not any("fewer than 20 patients" in text for text in (page, *document.biases))


def test_a_rare_class_does_not_turn_off_the_probes_of_the_others(tmp_path: Path) -> None:
    images = confounded(44, by="border")
    few = [(data, row | {"label": "Pneumonia"}) for data, row in images[40:]]
    build = write_build(tmp_path, images[:40] + few)
    add_class(tmp_path, "Pneumonia")
    ran = run("audit", "--build", build, "--recipe", tmp_path / "recipe.toml")
    assert ran.status == 3
    document = AuditDocument.read(build / "audit.json")
    check = check_of(document, "probe_border")
    assert (check.status, [finding.label for finding in check.findings]) == ("failed", ["COVID-19", "Normal"])
    assert "by guessing 50%" in check.message
    page = (build / "audit.html").read_text()
    for text in (check.message, " ".join(ran.err.split()), page):
        assert "; without Pneumonia: fewer than 20 patients" in text
    assert (
        "Classes of fewer than 20 patients are excluded from these classifiers: Pneumonia."
        in document.biases[-1]
    )


def test_checks_that_were_not_made_do_not_count_as_passed(tmp_path: Path) -> None:
    """Of three classes, only one is of 20 patients."""
    labels = ["Normal"] * 24 + ["COVID-19"] * 8 + ["Pneumonia"] * 8
    images = [
        (data, row | {"label": label})
        for (data, row), label in zip(confounded(40, by="nothing"), labels, strict=True)
    ]
    build = write_build(tmp_path, images)
    add_class(tmp_path, "Pneumonia")
    ran = run("audit", "--build", build, "--recipe", tmp_path / "recipe.toml")
    document = AuditDocument.read(build / "audit.json")
    for name in PROBES:
        check = check_of(document, name)
        assert check.status == "not applicable"
        assert check.message == "fewer than 20 patients of Pneumonia, COVID-19"
    assert ran.status == 0, ran.err
    assert "10 checks with a limit: 6 passed, 4 not applicable." in ran.out
    assert "all passed" not in ran.out + (build / "audit.html").read_text()


def add_class(folder: Path, label: str) -> None:
    """Add a class to the recipe that `write_build` wrote."""
    recipe = folder / "recipe.toml"
    recipe.write_text(
        recipe.read_text().replace("labels = {", f'labels = {{ "{label}" = {{ cohen = ["{label}"] }},')
    )


def test_the_encoder_probe_sees_upstream_formats_and_the_settings_of_copies(tmp_path: Path) -> None:
    image = phantom("image", "Normal").resize((96, 96))
    files = [jpeg(image), jpeg(image, 60), jpeg(image, 70), jpeg(image, 80)]
    rows = pd.DataFrame({
        "conversion": ["copied", "copied", "encoded", "encoded"],
        "source_format": ["JPEG 8-bit grey", "JPEG 8-bit grey", "PNG 8-bit RGB", "PNG 16-bit grey"],
    })  # fmt: skip
    features = PROBES["probe_encoder"].features(described(files, tmp_path), conform(rows))
    copies = features[:2]
    assert (copies[0] != copies[1]).any()
    assert (features[2:, 3:8] == 0).all()
    assert (features[:, :3] == features[0, :3]).all()
    # Two formats, two numbers of bits, two colours.
    assert features[:, 8:].astype(int).tolist() == [
        [1, 0, 0, 1, 0, 1], [1, 0, 0, 1, 0, 1], [0, 1, 0, 1, 1, 0], [0, 1, 1, 0, 0, 1],
    ]  # fmt: skip


def test_probes_do_not_depend_on_the_number_of_threads() -> None:
    draw = np.random.default_rng(0)
    features, truth = draw.random((60, 8), np.float32), np.arange(60) % 2
    groups = [str(number // 2) for number in range(60)]
    with silent("folds", 5, "fold") as bar:
        one, two = (probes.cross_validate(features, truth, groups, workers, bar) for workers in (1, 2))
    assert one.tobytes() == two.tobytes()
    assert 0 < one[:, 0].mean() < 1


@pytest.mark.slow
def test_probes_of_many_images_draw_some(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "MOST_IMAGES", 60)
    write_build(tmp_path, confounded(80, by="border"))
    check = check_of(audited(tmp_path).document, "probe_border")
    assert check.value > 0.99
    assert check.message.endswith("; 60 images drawn at random")


@pytest.mark.slow
def test_probes_pass_where_nothing_predicts_the_class(tmp_path: Path) -> None:
    write_build(tmp_path, confounded(80, by="nothing"))
    found = values(audited(tmp_path).document)
    for name in PROBES:
        assert found[name][0] == "passed", name
        assert 0.25 < found[name][1] < 0.7


def test_a_property_that_predicts_the_class_fails(tmp_path: Path) -> None:
    # Too few for the probes.
    write_build(tmp_path, confounded(30, by="view"))
    check = check_of(audited(tmp_path).document, "confounding")
    assert check.status == "failed"
    assert check.value > 0.95
    finding = check.findings[0]
    assert isinstance(finding, AssociationFinding)
    assert finding.property == "view"
    assert finding.counts == {"AP": {"COVID-19": 15, "Normal": 0}, "PA": {"COVID-19": 0, "Normal": 15}}
    assert "view explains" in check.message


def test_confounding_does_not_apply_to_one_class(tmp_path: Path) -> None:
    images = [(data, row | {"label": "Normal"}) for data, row in confounded(20, by="nothing")]
    write_build(tmp_path, images)
    document = audited(tmp_path).document
    for name in ("confounding", *PROBES):
        assert values(document)[name] == ("not applicable", None)
    assert document.biases == []
