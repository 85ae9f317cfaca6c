"""`verify` names each change of a release although all sums were made again."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from releasing import drop_rows, images_of, sum_again
from verifying import findings_of

from cxrbuild.artifact import CheckDescription, names
from cxrbuild.documents import croissant, texts
from cxrbuild.files import read_json, sha256_of, write_json
from cxrbuild.records import read_records, write_records
from cxrbuild.shards import example, record_file
from cxrbuild.verification import verify
from cxrbuild.verification.context import Context

Change = Callable[[Path], object]
TABLES = (names.LEDGER, names.MANIFEST)
TRAIN = "data/train-00000-of-00001.parquet"
TFDS = "tfds/demo_cxr/1.0.0"
RECORDS = "demo_cxr-train.tfrecord-00000-of-00001"


# Other files need the same release.
pytestmark = pytest.mark.xdist_group("verify")


@pytest.fixture
def folder(audited_release: Path, tmp_path: Path) -> Path:
    """A release with both formats, an audit result with a pair, and a baseline result."""
    shutil.copytree(audited_release, tmp_path / "release")
    return tmp_path / "release"


def sum_all(folder: Path) -> None:
    """Make every sum again: in build.json, Croissant, the results and ``SHA256SUMS``."""
    document = read_json(folder / names.BUILD)
    if isinstance(document, dict) and "packaging" in document:
        manifest = folder / "build-manifest"
        try:
            write_records(manifest, read_records(folder / names.MANIFEST).assign(withheld=None))
            document["packaging"]["manifest_sha256"] = sha256_of(manifest)
        finally:
            manifest.unlink(missing_ok=True)
        for name in (names.AUDIT, names.RELEASED_BASELINE):
            if (folder / name).is_file():
                result = read_json(folder / name)
                result["dataset"]["manifest_sha256"] = document["packaging"]["manifest_sha256"]
                write_json(folder / name, result)
        files = {
            name: sha256_of(folder / name)
            for name in document["packaging"]["files"]
            if (folder / name).is_file()
        }
        document["packaging"]["files"] = files
        write_json(folder / names.BUILD, document)
    metadata = read_json(folder / names.CROISSANT)
    for entry in metadata["distribution"]:
        path = folder / str(entry.get("contentUrl"))
        if "sha256" in entry and path.is_file():
            entry |= {"sha256": sha256_of(path), "contentSize": f"{path.stat().st_size} B"}
    write_json(folder / names.CROISSANT, metadata)
    sum_again(folder)


def generate(folder: Path) -> None:
    """Generate the documents again from the changed data, as cxrbuild itself would."""
    context = Context(folder, "release")
    manifest = sha256_of(folder / names.MANIFEST)
    for name, text in texts(folder, context.contents, context.split_sizes, context.results.kinds, manifest):
        (folder / name).write_text(text, newline="")
    write_json(folder / names.CROISSANT, croissant(folder, context.contents, context.hashes))


def document(name: str, edit: Callable[[dict[str, Any]], object]) -> Change:
    def change(folder: Path) -> None:
        content = read_json(folder / name)
        edit(content)
        write_json(folder / name, content)

    return change


def text(name: str, old: str, new: str) -> Change:
    def change(folder: Path) -> None:
        found = (folder / name).read_text()
        changed = re.sub(old, new, found, count=1)
        assert changed != found
        (folder / name).write_text(changed)

    return change


def row(folder: Path, **where: str) -> str:
    return str(images_of(folder, **where)["image_id"].iloc[3])


def cell(tables: tuple[str, ...] = TABLES, shards: bool = False, **columns: object) -> Change:
    """Change cells of one of Mooney's rows in train."""

    def change(folder: Path) -> None:
        image = row(folder, source="mooney", split="train")
        for name in tables:
            records = read_records(folder / name)
            records.loc[records["image_id"] == image, list(columns)] = list(columns.values())
            write_records(folder / name, records)
        if shards:
            parquet(lambda rows: [r | columns if r["image_id"] == image else r for r in rows])(folder)

    return change


def parquet(edit: Callable[[list[dict[str, Any]]], list[dict[str, Any]]], file: str = TRAIN) -> Change:
    def change(folder: Path) -> None:
        table = pq.read_table(folder / file)
        rows = edit(table.to_pylist())
        pq.write_table(pa.Table.from_pylist(rows, table.schema), folder / file)

    return change


def swap_pixels(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    rows[0]["image"], rows[1]["image"] = rows[1]["image"], rows[0]["image"]
    return rows


def swap_label_everywhere(folder: Path) -> None:
    """Give a Normal image the label Pneumonia wherever a label is."""
    image = row(folder, source="mooney", split="train", label="Normal")
    for name in TABLES:
        records = read_records(folder / name)
        path = f"images/train/Pneumonia/{image}.jpg"
        records.loc[records["image_id"] == image, ["label", "jpeg_path"]] = ["Pneumonia", path]
        write_records(folder / name, records)
    parquet(lambda rows: [r | {"label": 2} if r["image_id"] == image else r for r in rows])(folder)
    shutil.rmtree(folder / "tfds")
    document(names.BUILD, lambda d: d.update(formats=["parquet"]))(folder)
    for label, change in (("Normal", -1), ("Pneumonia", 1)):
        document(names.BUILD, lambda d, label=label, change=change: add(d["counts"]["train"], label, change))(
            folder
        )
    sum_again(folder)
    generate(folder)


def move_everywhere(folder: Path) -> None:
    """Move an image from train to test wherever a split is."""
    image = row(folder, source="mooney", split="train", label="Normal")
    for name in TABLES:
        records = read_records(folder / name)
        path = f"images/test/Normal/{image}.jpg"
        records.loc[records["image_id"] == image, ["split", "jpeg_path"]] = ["test", path]
        write_records(folder / name, records)
    moved: list[dict[str, Any]] = []
    parquet(lambda rows: [r for r in rows if r["image_id"] != image or moved.append(r)])(folder)
    parquet(lambda rows: [*rows, *moved], "data/test-00000-of-00001.parquet")(folder)
    shutil.rmtree(folder / "tfds")
    document(names.BUILD, lambda d: d.update(formats=["parquet"]))(folder)
    document(
        names.BUILD,
        lambda d: (add(d["counts"]["train"], "Normal", -1), add(d["counts"]["test"], "Normal", 1)),
    )(folder)
    sum_again(folder)
    generate(folder)


def add(counts: dict[str, int], key: str, change: int) -> None:
    counts[key] += change


def move_cell(content: dict[str, Any]) -> None:
    """Move an image of the flow chart from one source to another: the sums stay."""
    kept = content["funnel"][-1]["by_source"]
    kept["cohen"] -= 1
    kept["mooney"] += 1


def write_extra(name: str) -> Change:
    def change(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"extra")

    return change


def drop_last_record(folder: Path) -> None:
    path = folder / TFDS / "demo_cxr-train.tfrecord-00000-of-00001"
    data, at, starts = path.read_bytes(), 0, []
    while at < len(data):
        starts.append(at)
        at += int.from_bytes(data[at : at + 8], "little") + 16
    path.write_bytes(data[: starts[-1]])


def find_check(content: dict[str, Any], check: str) -> dict[str, Any]:
    return next(one for one in content["checks"] if one["id"] == check)


def swap_thumbnails(folder: Path) -> None:
    page = (folder / names.REPORT).read_text()
    first, second = re.findall(r"data:image/jpeg;base64,[^\"]+", page)[:2]
    page = page.replace(first, "@").replace(second, first).replace("@", second)
    (folder / names.REPORT).write_text(page)


def exclusion(name: str, code: str) -> Change:
    def change(folder: Path) -> None:
        ledger = read_records(folder / names.LEDGER)
        ledger.loc[ledger["exclusion"] == name, "exclusion"] = code
        write_records(folder / names.LEDGER, ledger)

    return change


def drop_excluded_row(folder: Path) -> None:
    ledger = read_records(folder / names.LEDGER)
    lost = ledger[ledger["exclusion"] == "lateral"].index[:1]
    write_records(folder / names.LEDGER, ledger.drop(index=lost))


def change_record(edit: Callable[[dict[str, Any]], object]) -> Change:
    """Change the features of the first record of train, with its checksums."""

    def change(folder: Path) -> None:
        path = folder / TFDS / RECORDS
        first, *others = record_file.read_records(path)
        features = example.read_example(first)
        image = features.pop("image")
        edit(features)
        records = [example.write_example(features, memoryview(image)), *others]
        path.write_bytes(b"".join(part for record in records for part in record_file.frame(record)))

    return change


def flip_checksum(folder: Path) -> None:
    path = folder / TFDS / RECORDS
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


def pass_gate(result: dict[str, Any]) -> None:
    result["gate"]["passed"] = result["gate"]["checks"][0]["passed"] = True


BUILD = names.BUILD
CHANGES: dict[str, tuple[Change, str, str]] = {
    # build.json
    "a count": (document(BUILD, lambda d: add(d["counts"]["train"], "Normal", 1)), "counts", BUILD),
    "a step of the flow chart": (
        document(BUILD, lambda d: add(d["funnel"][1], "images", 1)),
        "funnel",
        BUILD,
    ),
    "a cell of the flow chart": (document(BUILD, move_cell), "funnel", BUILD),
    "a missing image": (
        document(BUILD, lambda d: d["missing"].update(x="unreadable")),
        "missing_images",
        BUILD,
    ),
    "a group in two splits": (
        document(BUILD, lambda d: d["groups_in_several_splits"].update(x="test, train")),
        "known_leakage",
        BUILD,
    ),
    "a source called pinned": (
        document(BUILD, lambda d: d["sources"]["cohen"].update(unpinned=True)),
        "summary",
        BUILD,
    ),
    "the name": (document(BUILD, lambda d: d["dataset"].update(name="other")), "summary", BUILD),
    "the title": (document(BUILD, lambda d: d["dataset"].update(title="Other")), "summary", BUILD),
    "a format": (document(BUILD, lambda d: d.update(formats=["parquet"])), "summary", BUILD),
    "withheld images": (document(BUILD, lambda d: add(d["withheld"], "unseen", 1)), "withheld_counts", BUILD),
    "the policy": (document(BUILD, lambda d: d.update(policy="private")), "withheld", names.MANIFEST),
    "a finding of a class": (
        document(BUILD, lambda d: d["recipe"]["labels"]["Normal"].update(mooney=["HEALTHY"])),
        "labels",
        names.LEDGER,
    ),
    "a rule": (
        document(BUILD, lambda d: d["recipe"]["rules"][1].update(values=["PA"])),
        "exclusions",
        names.LEDGER,
    ),
    "the salt": (
        document(BUILD, lambda d: d["recipe"]["split"].update(salt="other")),
        "splits",
        names.LEDGER,
    ),
    "the date": (document(BUILD, lambda d: d.update(date="2020-01-01")), "generated", names.CROISSANT),
    "a licence of a source": (
        document(BUILD, lambda d: d["declared_sources"]["mooney"].update(citation="Me: mine")),
        "generated",
        names.CARD,
    ),
    # Tables
    "a label in all places": (swap_label_everywhere, "labels", names.LEDGER),
    "a split in all places": (move_everywhere, "splits", names.LEDGER),
    "a label of the tables": (cell(label="Pneumonia"), "labels", names.LEDGER),
    "a finding": (cell(finding="PNEUMONIA"), "labels", names.LEDGER),
    "an unknown finding": (cell(finding="fine"), "labels", names.LEDGER),
    "a group": (cell(group="mooney:other"), "groups", names.LEDGER),
    "a path": (cell(source_path="other.jpeg"), "image_ids", names.MANIFEST),
    "a source": (cell(source="cohen"), "image_ids", names.MANIFEST),
    "the manifest's age": (cell((names.MANIFEST,), patient_age=3.0), "tables_agree", names.MANIFEST),
    "the tables' age": (cell(patient_age=3.0), "parquet", TRAIN),
    "a hash of a JPEG": (cell(jpeg_sha256="0" * 64), "parquet", TRAIN),
    "a width": (cell(width=1), "parquet", TRAIN),
    "a withheld image": (cell(withheld="unseen"), "withheld", names.MANIFEST),
    "a rule's name": (exclusion("lateral", "ct"), "exclusions", names.LEDGER),
    "an unknown exclusion": (exclusion("lateral", "ugly"), "exclusions", names.LEDGER),
    "an excluded row": (drop_excluded_row, "funnel", BUILD),
    "a class without images": (
        document(BUILD, lambda d: d["recipe"]["labels"].update(Other={"cohen": ["Other"]})),
        "empty_classes",
        BUILD,
    ),
    # Shards
    "swapped pixels": (parquet(swap_pixels), "parquet", TRAIN),
    "a label of a shard": (parquet(lambda rows: [rows[0] | {"label": 0}, *rows[1:]]), "parquet", TRAIN),
    "a lost row": (parquet(lambda rows: rows[1:]), "parquet", "data"),
    "a row twice": (parquet(lambda rows: [*rows, rows[0]]), "parquet", TRAIN),
    "the order of rows": (parquet(lambda rows: rows[::-1]), "parquet", TRAIN),
    "an age of a shard": (
        parquet(lambda rows: [rows[0] | {"patient_age": 7.5}, *rows[1:]]),
        "parquet",
        TRAIN,
    ),
    "a lost record": (drop_last_record, "tfrecord", f"{TFDS}/dataset_info.json"),
    "a feature of a record": (
        change_record(lambda features: features.pop("license")),
        "tfrecord",
        f"{TFDS}/{RECORDS}",
    ),
    "a new feature of a record": (
        change_record(lambda features: features.update(diagnosis=b"fine")),
        "tfrecord",
        f"{TFDS}/{RECORDS}",
    ),
    "a cell of a record": (
        change_record(lambda features: features.update(patient_age=7.5)),
        "tfrecord",
        f"{TFDS}/{RECORDS}",
    ),
    "a checksum of a record": (flip_checksum, "tfrecord", f"{TFDS}/{RECORDS}"),
    "names of classes": (
        text(f"{TFDS}/label.labels.txt", "Normal", "Healthy"),
        "tfrecord",
        f"{TFDS}/label.labels.txt",
    ),
    "a description": (
        document(f"{TFDS}/dataset_info.json", lambda d: d.update(description="Mine")),
        "tfrecord_metadata",
        f"{TFDS}/dataset_info.json",
    ),
    "a feature": (
        text(f"{TFDS}/features.json", "uint8", "uint16"),
        "tfrecord_metadata",
        f"{TFDS}/features.json",
    ),
    # Documents
    "a number of the card": (text(names.CARD, r"\d+ images", "999 images"), "generated", names.CARD),
    "a sentence of the card": (text(names.CARD, r"\Z", "\nTrust me.\n"), "generated", names.CARD),
    "an attribution": (text(names.ATTRIBUTION, "CC0-1.0", "CC-BY-4.0"), "generated", names.ATTRIBUTION),
    "a row of the list": (text(names.IMAGE_LIST, "XR", "CT"), "generated", names.IMAGE_LIST),
    "the citation": (text(names.CITATION, "version: ", "version: 1"), "generated", names.CITATION),
    "a licence of Croissant": (
        document(names.CROISSANT, lambda d: d.update(license="CC0-1.0")),
        "generated",
        names.CROISSANT,
    ),
    "a key of Croissant": (
        document(names.CROISSANT, lambda d: d.update(sponsor="me")),
        "generated",
        names.CROISSANT,
    ),
    "a number of the report": (text(names.REPORT, r">(\d+)</td>", ">9\\1</td>"), "report", names.REPORT),
    "a sentence of the report": (
        text(names.REPORT, "</body>", "<p>Trust me.</p></body>"),
        "report",
        names.REPORT,
    ),
    "images of the report": (swap_thumbnails, "report", names.REPORT),
    "the changelog's version": (text(names.CHANGELOG, "## 1.0.0", "## 1.0.1"), "changelog", names.CHANGELOG),
    # Results
    "an audit's number of images": (
        document(names.AUDIT, lambda d: d.update(images=1)),
        "audit_result",
        names.AUDIT,
    ),
    "an audit's status": (
        document(names.AUDIT, lambda d: d.update(status="failed")),
        "audit_result",
        names.AUDIT,
    ),
    "a check's status": (
        document(names.AUDIT, lambda d: find_check(d, "patient_leakage").update(status="failed")),
        "audit_result",
        names.AUDIT,
    ),
    "a check's value": (
        document(names.AUDIT, lambda d: find_check(d, "unknown_patients").update(value=5.0)),
        "audit_result",
        names.AUDIT,
    ),
    "a value without findings": (
        document(names.AUDIT, lambda d: find_check(d, "label_conflicts").update(value=1.0, status="failed")),
        "audit_result",
        names.AUDIT,
    ),
    "an audit's bias": (
        document(names.AUDIT, lambda d: d["biases"].append("None.")),
        "generated",
        names.CARD,
    ),
    "an audit of another dataset": (
        document(names.AUDIT, lambda d: d["dataset"].update(name="other")),
        "results",
        names.AUDIT,
    ),
    "a baseline's figure": (
        document(names.RELEASED_BASELINE, lambda d: d["gate"]["checks"][0].update(value=0.5)),
        "report",
        names.REPORT,
    ),
    "a baseline's summary": (
        document(
            names.RELEASED_BASELINE, lambda d: d["summary"]["metrics"]["test"]["accuracy"].update(mean=0.9)
        ),
        "baseline_result",
        names.RELEASED_BASELINE,
    ),
    "a baseline's confusion": (
        document(names.RELEASED_BASELINE, lambda d: d["runs"][0]["confusion"].update(Normal=[0, 4, 1])),
        "baseline_result",
        names.RELEASED_BASELINE,
    ),
    "a baseline's limit": (
        document(names.RELEASED_BASELINE, lambda d: d["settings"]["gate"].update(accuracy=0.2)),
        "baseline_result",
        names.RELEASED_BASELINE,
    ),
    "a baseline's gate": (
        document(names.RELEASED_BASELINE, pass_gate),
        "baseline_result",
        names.RELEASED_BASELINE,
    ),
    "a baseline's mistake": (
        document(names.RELEASED_BASELINE, lambda d: d["runs"][0]["mistakes"].append("mooney_x_0123456789")),
        "baseline_result",
        names.RELEASED_BASELINE,
    ),
    # Files
    "an extra file": (write_extra("notes.txt"), "known_files", "notes.txt"),
    "an extra shard": (
        write_extra("data/probe-00000-of-00001.parquet"),
        "known_files",
        "data/probe-00000-of-00001.parquet",
    ),
    "a lost file": (lambda folder: (folder / names.CITATION).unlink(), "generated", names.CITATION),
    "a lost report": (lambda folder: (folder / names.REPORT).unlink(), "report", names.REPORT),
}


def test_sums_made_again_of_an_unchanged_release_give_no_finding(folder: Path) -> None:
    sum_all(folder)
    generate(folder)
    sum_all(folder)
    assert verify(folder).findings == ()


def first_of_each_check() -> list[str]:
    """Return one change for each check of `verify`; the others take a minute and run with the slow tests."""
    return sorted({check: name for name, (_, check, _) in reversed(CHANGES.items())}.values())


@pytest.mark.parametrize("name", first_of_each_check())
def test_each_check_names_a_change_although_all_sums_were_made_again(folder: Path, name: str) -> None:
    change, check, file = CHANGES[name]
    change(folder)
    sum_all(folder)
    found = findings_of(folder, check, "sums", "file_hashes")
    assert {finding.check for finding in found} == {check}
    assert file in {finding.file for finding in found}


@pytest.mark.slow
@pytest.mark.parametrize("name", CHANGES)
def test_verify_names_a_change_although_all_sums_were_made_again(folder: Path, name: str) -> None:
    """Whatever the other checks find of it: each finding is named once."""
    change, check, file = CHANGES[name]
    change(folder)
    sum_all(folder)
    found = verify(folder).findings
    assert "file_hashes" not in {finding.check for finding in found}
    texts = [str(finding) for finding in found]
    assert (check, file) in {(finding.check, finding.file) for finding in found}, texts[:12]
    assert sorted(texts) == sorted(set(texts))


def test_a_pair_of_an_audit_is_compared_with_the_manifest(folder: Path) -> None:
    first, second = images_of(folder, source="mooney", split="train")["image_id"].iloc[:2]
    pair = {
        "a": first, "b": second, "kind": "same pixels", "similarity": 1.0, "changes": [],
        "crosses": ["split"], "linked": True,
    }  # fmt: skip
    document(names.AUDIT, lambda d: d["pairs"].append(pair))(folder)
    sum_all(folder)
    found = [str(finding) for finding in findings_of(folder, "audit_result")]
    key = f"audit.json: pairs.{first} {second}"
    assert f"{key}: the images do not differ in split" in found
    assert f"audit.json: checks.duplicate_leakage: the pair {first} {second} is missing" in found
    assert f"audit.json: checks.duplicates: the pair {first} {second} is missing" in found
    assert not any("unlinked_duplicates" in one for one in found)


def test_a_check_counts_the_pairs_that_it_states(folder: Path) -> None:
    a, b = images_of(folder, source="mooney", split="train").drop_duplicates("group")["image_id"].iloc[:2]
    pair = {
        "a": a, "b": b, "kind": "same pixels", "similarity": 1.0, "changes": [], "crosses": ["patient"],
        "linked": False,
    }  # fmt: skip
    finding = {"type": "pair", "message": "", "a": a, "b": b, "kind": "same pixels", "crosses": ["patient"]}

    def change(audit: dict[str, Any]) -> None:
        audit["pairs"] = [pair]
        for name in ("duplicates", "label_conflicts"):
            find_check(audit, name).update(value=1.0, findings=[finding], limit=None, status="reported")

    document(names.AUDIT, change)(folder)
    sum_all(folder)
    found = [str(one) for one in verify(folder).findings if one.check == "audit_result"]
    assert f"audit.json: checks.unlinked_duplicates: the pair {a} {b} is missing" in found
    assert f"audit.json: checks.label_conflicts: the pair {a} {b} does not follow from the data" in found
    assert not any("checks.duplicates" in one for one in found)


def test_another_packages_check_that_was_not_made_counts_no_pairs(folder: Path) -> None:
    a, b = images_of(folder, source="mooney", split="train").drop_duplicates("group")["image_id"].iloc[:2]
    pair = {
        "a": a, "b": b, "kind": "same pixels", "similarity": 1.0, "changes": [], "crosses": ["patient"],
        "linked": False,
    }  # fmt: skip

    def change(audit: dict[str, Any]) -> None:
        audit["pairs"] = [pair]
        other = find_check(audit, "duplicates") | {
            "limit": 0.0, "description": CheckDescription(counted_pairs="all").model_dump()
        }  # fmt: skip
        skipped = {"id": "skipped", "value": None, "status": "not applicable", "findings": []}
        made = {"id": "made", "value": 0.0, "status": "passed", "findings": []}
        audit["checks"] += [other | skipped, other | made]

    document(names.AUDIT, change)(folder)
    sum_all(folder)
    found = [str(one) for one in findings_of(folder, "audit_result")]
    assert f"audit.json: checks.made: the pair {a} {b} is missing" in found
    assert not any("checks.skipped" in one for one in found)


def test_a_description_does_not_replace_what_is_known_of_a_check(folder: Path) -> None:
    def change(audit: dict[str, Any]) -> None:
        find_check(audit, "duplicate_leakage")["description"] = CheckDescription().model_dump()

    document(names.AUDIT, change)(folder)
    sum_all(folder)
    (found,) = findings_of(folder, "audit_result")
    assert str(found).startswith("audit.json: checks.duplicate_leakage: has a description")


@pytest.mark.skipif(os.name == "nt", reason="this system allows no such names")
def test_names_of_a_stranger_are_printed_visibly(folder: Path) -> None:
    from command import run

    (folder / "a\x1b[2J\u202egnp.exe").write_text("x")
    ran = run("verify", folder, "--json")
    assert ran.status == 3
    assert r"a\x1b[2J\u202egnp.exe: is not in SHA256SUMS" in " ".join(ran.err.split())
    assert json.loads(ran.out)["findings"][0]["file"] == "a\x1b[2J\u202egnp.exe"


def test_a_dataset_without_images_is_not_verified(demo: Path, tmp_path: Path) -> None:
    shutil.copytree(
        demo / "build", tmp_path / "build", ignore=shutil.ignore_patterns("images", "data", "tfds")
    )
    build = tmp_path / "build"
    drop_rows(build, images_of(build)["image_id"].tolist(), step="missing_file")
    assert "build.json: counts: no image is kept" in [str(f) for f in verify(build).findings]
