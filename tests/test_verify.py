"""`verify` names every change: a release is damaged in one way, and a finding must name it."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command import run
from PIL import Image
from releasing import images_of, sum_again
from systems import needs_links
from verifying import findings_of

from cxrbuild.errors import CheckError, CxrbuildError
from cxrbuild.files import read_json, sha256_of, write_json
from cxrbuild.records import read_records, write_records
from cxrbuild.verification import VerificationResult, require_verified, verify
from cxrbuild.verification.context import Context
from cxrbuild.verification.files import check_document

# Other files need the same release.
pytestmark = pytest.mark.xdist_group("verify")


@pytest.fixture(scope="module")
def verified(audited_release: Path) -> VerificationResult:
    """What `verify` finds in a whole release."""
    return verify(audited_release)


@pytest.fixture(scope="module")
def verified_build(demo: Path) -> VerificationResult:
    """What `verify` finds in a whole build."""
    return verify(demo / "build")


@pytest.fixture
def folder(audited_release: Path, tmp_path: Path) -> Path:
    shutil.copytree(audited_release, tmp_path / "release")
    return tmp_path / "release"


@pytest.fixture
def older(folder: Path) -> Path:
    """A release of another version of cxrbuild, whose words this one cannot make again."""
    edited(lambda document: document["packaging"].update(cxrbuild="0.0.1"))(folder / "build.json")
    sum_again(folder)
    return folder


def findings(folder: Path, *checks: str) -> list[str]:
    """Return what `verify` finds in a folder, or what some of its checks find in a release."""
    found = findings_of(folder, *checks) if checks else verify(folder).findings
    return [str(finding) for finding in found]


def some_image(folder: Path) -> str:
    """An image of Mooney's train split, whose pixels are in the release."""
    return str(images_of(folder, source="mooney", split="train")["image_id"].iloc[3])


def change_tables(folder: Path, image: str, *names: str, **columns: object) -> None:
    for name in names:
        records = read_records(folder / name)
        records.loc[records["image_id"] == image, list(columns)] = list(columns.values())
        write_records(folder / name, records)


def change_shard(folder: Path, change: Callable[[pa.Table], pa.Table], part: str = "train") -> None:
    path = folder / "data" / f"{part}-00000-of-00001.parquet"
    table = pq.read_table(path)
    pq.write_table(change(table).replace_schema_metadata(table.schema.metadata), path)


def replaced(text: Path, old: str, new: str) -> None:
    words = text.read_text()
    assert old in words
    text.write_text(words.replace(old, new))


def test_verify_finds_nothing_in_a_whole_release(verified: VerificationResult) -> None:
    assert verified.findings == ()


def test_verify_names_the_image_with_a_flipped_byte(folder: Path) -> None:
    """In the pixels of an image: found by the file's hash, by Croissant's, and by the image."""
    image = some_image(folder)
    path = folder / "data" / "train-00000-of-00001.parquet"
    table = pq.read_table(path)
    pixels = table.column("image").to_pylist()[table.column("image_id").to_pylist().index(image)]["bytes"]
    data = bytearray(path.read_bytes())
    data[data.index(pixels) + len(pixels) // 2] ^= 0x40
    path.write_bytes(data)
    found = findings(folder)
    assert [words.split(": its SHA-256")[0] for words in found[:1]] == ["data/train-00000-of-00001.parquet"]
    assert any(words.startswith(f"data/train-00000-of-00001.parquet: {image}: its bytes") for words in found)
    key = "croissant.json: distribution[data/train-00000-of-00001.parquet].sha256"
    assert any(words.startswith(f"{key}: is ") and ", the file's is " in words for words in found)
    assert all(image in words or "SHA-256" in words or "sha256" in words for words in found)


def flip_byte(path: Path) -> bytes:
    """Change a byte in the middle of a file, and return what it held."""
    data = path.read_bytes()
    at = len(data) // 2
    path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    return data


def test_verify_names_every_file_with_a_flipped_byte(folder: Path) -> None:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "SHA256SUMS")
    for path in files:
        flip_byte(path)
    found = findings(folder)
    names = [path.relative_to(folder).as_posix() for path in files]
    assert [name for name in names if not any(one.startswith(f"{name}: its SHA-256") for one in found)] == []


def test_verify_finds_a_flipped_byte_in_the_sums(folder: Path) -> None:
    flip_byte(folder / "SHA256SUMS")
    assert findings(folder, "sums", "file_hashes")


@pytest.mark.slow
def test_verify_finds_a_flipped_byte_in_any_single_file(folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            data = flip_byte(path)
            assert verify(folder).findings, path.name
            path.write_bytes(data)
    assert findings(folder) == []


@pytest.mark.parametrize("hidden", [pytest.param(False, marks=pytest.mark.slow), True])
def test_verify_finds_a_row_moved_in_the_tables(folder: Path, hidden: bool) -> None:
    image = some_image(folder)
    path = images_of(folder, image_id=image)["jpeg_path"].item().replace("/train/", "/test/")
    change_tables(folder, image, "manifest.parquet", "ledger.parquet", split="test", jpeg_path=path)
    if hidden:
        sum_again(folder)
    found = findings(folder, "file_hashes", "counts", "parquet", "tfrecord", "generated")
    assert f"data/train-00000-of-00001.parquet: {image}: is in train, the manifest has test" in found
    tfrecord = "tfds/demo_cxr/1.0.0/demo_cxr-train.tfrecord-00000-of-00001"
    assert f"{tfrecord}: {image}: is in train, the manifest has test" in found
    assert "build.json: counts train Normal: counts 14 images, the manifest has 13" in found
    assert any(
        re.match(r"README.md: line \d+: expected '\| Normal \| 13 \| 5 \|.*found '\| Normal \| 14 \| 4", w)
        for w in found
    )
    assert hidden != any("SHA-256" in words for words in found)


def test_verify_finds_a_row_moved_in_the_shards(folder: Path) -> None:
    """An image that is moved between shards and not in the manifest."""
    image = some_image(folder)
    table = pq.read_table(folder / "data" / "train-00000-of-00001.parquet")
    row = table.filter(pa.compute.equal(table["image_id"], image))
    change_shard(folder, lambda t: t.filter(pa.compute.not_equal(t["image_id"], image)))
    change_shard(folder, lambda t: pa.concat_tables([t, row.cast(t.schema)]), "test")
    sum_again(folder)
    found = findings(folder, "parquet", "generated")
    assert f"data/test-00000-of-00001.parquet: {image}: is in test, the manifest has train" in found
    assert any(re.match(r"README.md: line \d+: expected '    num_examples: 14', found", w) for w in found)


def test_verify_finds_another_label(folder: Path) -> None:
    image = some_image(folder)
    change_tables(folder, image, "manifest.parquet", label="Pneumonia")
    sum_again(folder)
    found = findings(folder, "tables_agree", "row_values", "parquet", "generated", "lists")
    assert f"manifest.parquet: {image}: label is Pneumonia, in the ledger Normal" in found
    assert f"data/train-00000-of-00001.parquet: {image}: label is Normal, the manifest has Pneumonia" in found
    assert any(words.startswith(f"manifest.parquet: {image}: jpeg_path is") for words in found)
    assert f"images.csv: {image}: finding is Normal, the manifest has Pneumonia" not in found  # the ledger's


@pytest.mark.parametrize(
    "changes",
    [
        [
            (
                "| Normal | 14 | 4 |",
                "| Normal | 15 | 4 |",
                "table of class, Normal, train: has 15, the data have 14",
            ),
            ("num_examples: 13", "num_examples: 16", "split test: num_examples is 16, the shards have 13"),
            ("download_size: ", "download_size: 1", "download_size: is 1"),
            (
                "'0': COVID-19",
                "'0': Corona",
                "features: label has the names ['Corona', 'Normal', 'Pneumonia']",
            ),
            ("| ct | ", "| ct | 1", "table of step, ct, images: has 1"),
            ("| unseen | 1 |", "| unseen | 2 |", "table of reason, unseen, images: has 2, the data have 1"),
            ("| unknown | 1 | 0 |", "| unknown | 1 | 1 |", "table of licence, unknown, with pixels: has 1"),
        ],
        [
            ("path: data/test-*.parquet", "path: data/probe-*.parquet", "split test: no shard matches"),
            ("| reason | images |", "| cause | images |", "reason: no table has the columns images"),
        ],
        pytest.param(
            [
                (
                    "dataset_info:",
                    "dataset_news:",
                    "YAML: is not as Hugging Face reads it: KeyError('dataset_info')",
                )
            ],
            marks=pytest.mark.slow,
        ),
    ],
)
def test_verify_finds_wrong_values_in_an_older_card(older: Path, changes: list[tuple[str, str, str]]) -> None:
    for old, new, _ in changes:
        replaced(older / "README.md", old, new)
    sum_again(older)
    found = findings(older)
    for _, _, fault in changes:
        assert any(words.startswith(f"README.md: {fault}") for words in found), found
    assert all(words.startswith("README.md") for words in found)


@pytest.mark.parametrize(
    ("pattern", "new"),
    [
        (r"- Measured: [^\n]+\n", ""),
        pytest.param(r"- Every Pneumonia image is from [^\n]+\n", "", marks=pytest.mark.slow),
        (r"\Z", "\nCite me.\n"),
    ],
)
def test_verify_finds_a_line_too_many_or_too_few_in_the_card(folder: Path, pattern: str, new: str) -> None:
    card = folder / "README.md"
    before = card.read_text()
    after = re.sub(pattern, new, before, count=1)
    assert after != before
    card.write_text(after)
    sum_again(folder)
    at = next(
        i
        for i, (a, b) in enumerate(zip(f"{before}\n\n".split("\n"), f"{after}\n\n".split("\n"), strict=False))
        if a != b
    )
    found = findings(folder, "generated")
    assert found
    assert found[0].startswith(f"README.md: line {at + 1}: ")
    assert all(words.startswith("README.md: line") for words in found)


def test_verify_compares_every_line_of_the_card_at_once(folder: Path) -> None:
    card = folder / "README.md"
    before = card.read_text()
    after = before
    for pattern, new in (
        (r"pixels of \d+\n", "pixels of 999\n"),
        (r"(\d+) images upstream, \d+ kept", r"\1 images upstream, 999 kept"),
        (r"\| upstream \| \d+", "| upstream | 999"),
        (r"\| lateral \| (\d+) \|", r"| lateral | 99\1 |"),
    ):
        changed = re.sub(pattern, new, after, count=1)
        assert changed != after
        after = changed
    card.write_text(after)
    sum_again(folder)
    lines = zip(before.splitlines(), after.splitlines(), strict=True)
    differ = [number for number, (one, other) in enumerate(lines, 1) if one != other]
    assert len(differ) == 4
    assert [words.split(": expected")[0] for words in findings(folder, "generated")] == [
        f"README.md: line {number}" for number in differ
    ]


def test_verify_names_failed_checks_of_the_audit_as_no_fault(
    demo: Path, audited_release: Path, verified_build: VerificationResult, tmp_path: Path
) -> None:
    build = Path(shutil.copytree(demo / "build", tmp_path / "build"))
    document = read_json(audited_release / "audit.json")
    document["checks"][1]["status"] = document["status"] = "failed"
    write_json(build / "audit.json", document)
    result = verify(build)
    assert result.passed
    assert list(result.failed_audit) == result.to_dict()["failed_audit"] == ["patient_leakage"]
    ran = run("verify", build, COLUMNS="600")
    assert ran.status == 0, ran.err
    # Without a page, which `curate` removes if it shows a withdrawn image, the result itself is named.
    said = (
        "Failed checks of its audit: patient_leakage. These are no faults of the files; audit.json explains"
    )
    assert said in ran.out
    assert verified_build.failed_audit == ()


def test_verify_shows_where_a_line_differs(folder: Path) -> None:
    replaced(folder / "README.md", "Every Normal image is from mooney.", "Every Normal image is from mars.")
    sum_again(folder)
    (found,) = findings(folder, "generated")
    assert re.fullmatch(
        r"README\.md: line \d+: expected '- Every Normal image is from mooney\.', "
        r"found '- Every Normal image is from mars\.'", found
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("ATTRIBUTION.csv", ",none,", ",unchanged,"),
        ("images.csv", "XR", "CT"),
        ("CITATION.cff", "Cite ", "Do cite "),
    ],
)
def test_verify_compares_every_line_of_the_lists(folder: Path, name: str, old: str, new: str) -> None:
    replaced(folder / name, old, new)
    sum_again(folder)
    found = findings(folder, "generated")
    assert any(re.match(rf"{re.escape(name)}: line \d+: expected ", words) for words in found)


@pytest.mark.parametrize(
    "changes",
    [
        [
            (lambda d: d.update(license="CC0-1.0"), "license: expected "),
            (
                lambda d: d.update({"rai:dataCollectionMissingData": "Pixels withheld, unseen: 10"}),
                "rai:dataCollectionMissingData: expected 'Pixels withheld, ",
            ),
            (lambda d: d.pop("creator"), "creator: is missing here: "),
            (lambda d: d.update(sponsor="me"), "sponsor: should not be here: 'me'"),
            (lambda d: d["rai:dataBiases"].pop(), "rai:dataBiases["),
            (lambda d: d["@context"].update(cr="http://example.org"), "@context.cr: expected "),
            (
                lambda d: d["distribution"].pop(0),
                "distribution[data/test-00000-of-00001.parquet]: is missing",
            ),
        ],
        pytest.param(
            [(lambda d: d["distribution"].reverse(), "distribution: is in another order")],
            marks=pytest.mark.slow,
        ),
    ],
)  # fmt: skip
def test_verify_compares_every_key_of_croissant(
    folder: Path, changes: list[tuple[Callable[[dict[str, Any]], object], str]]
) -> None:
    for change, _ in changes:
        edited(change)(folder / "croissant.json")
    sum_again(folder)
    found = findings(folder, "generated", "croissant")
    assert len(found) == len(changes), found
    for _, fault in changes:
        assert any(words.startswith(f"croissant.json: {fault}") for words in found), found


@pytest.mark.parametrize(
    "junk", [None, *(pytest.param(data, marks=pytest.mark.slow) for data in (b"junk", b"[]", b"{}"))]
)
def test_verify_compares_other_files_with_the_hashes_in_build_json(folder: Path, junk: bytes | None) -> None:
    files = [folder / name for name in ("audit.json", "baseline.json", "report.html", "CHANGELOG.md")]
    whole = {path: path.read_bytes() for path in files}
    for path, data in whole.items():
        path.write_bytes(data.replace(b"0", b"1") if junk is None else junk)
    sum_again(folder)
    found = "\n".join(findings(folder, "packaged_files"))
    for path in files:
        assert re.search(rf"^{path.name}: its SHA-256 is \w+, build\.json has", found, re.MULTILINE)


def test_verify_finds_files_that_build_json_records_and_others(folder: Path) -> None:
    files = [folder / name for name in ("audit.json", "baseline.json", "report.html", "CHANGELOG.md")]
    whole = {path: path.read_bytes() for path in files}
    for path in files:
        path.unlink()
    sum_again(folder)
    found = findings(folder, "packaged_files")
    assert {f"{path.name}: is missing; build.json records it" for path in files} <= set(found)
    # And where build.json, too, is made to agree.
    for path in files[1:]:
        path.write_bytes(whole[path])
    edited(lambda document: document["packaging"]["files"].pop("audit.json"))(folder / "build.json")
    sum_again(folder)
    found = findings(folder, "generated")
    assert any(re.search(r"should not be here: '- Measured: ", words) for words in found)
    assert any(
        re.search(r"README.md: line \d+: (is missing here:|expected) '- This build was not aud", w)
        for w in found
    )


@pytest.mark.parametrize("name", ["audit", pytest.param("baseline", marks=pytest.mark.slow)])
def test_verify_finds_a_result_of_another_build(folder: Path, name: str) -> None:
    """Also where its hash in build.json is the foreign one's."""
    file = f"{name}.json"
    edited(lambda result: result["dataset"].update(manifest_sha256="0" * 64))(folder / file)
    digest = sha256_of(folder / file)
    edited(lambda document: document["packaging"]["files"].update({file: digest}))(folder / "build.json")
    sum_again(folder)
    build = read_json(folder / "build.json")["packaging"]["manifest_sha256"]
    found = findings(folder, "packaged_files", "build_manifest", "results", "audit_result", "baseline_result")
    assert found == [f"{file}: manifest_sha256: is {'0' * 64}, build.json has {build}"]


def test_verify_finds_a_result_of_another_dataset(folder: Path) -> None:
    edited(lambda result: result["recipe"].update(name="other"))(folder / "baseline.json")
    sum_again(folder)
    assert "baseline.json: is of demo-cxr, other, not of demo-cxr" in findings(folder, "results")


def test_verify_derives_the_hash_of_the_builds_manifest(folder: Path) -> None:
    """A stranger can make the build's manifest from the release's: it is the one with `withheld` blank."""
    packed = read_json(folder / "build.json")["packaging"]
    assert read_json(folder / "audit.json")["dataset"]["manifest_sha256"] == packed["manifest_sha256"]
    for file in ("audit.json", "baseline.json"):
        edited(lambda result: result["dataset"].update(manifest_sha256="0" * 64))(folder / file)
    files = {name: sha256_of(folder / name) for name in packed["files"]}
    forged = packed | {"manifest_sha256": "0" * 64, "files": files}
    edited(lambda document: document.update(packaging=forged))(folder / "build.json")
    sum_again(folder)
    (found,) = findings(folder, "packaged_files", "build_manifest", "results")
    assert found.startswith(f"build.json: packaging.manifest_sha256: is {'0' * 64}, but manifest.parquet")
    assert found.endswith(packed["manifest_sha256"])


def test_verify_reads_a_release_of_another_version(older: Path) -> None:
    ran = run("verify", older)
    assert ran.status == 0, ran.err
    assert "Made by cxrbuild 0.0.1" in ran.out


@pytest.mark.parametrize(
    "text",
    ["{}", *(pytest.param(one, marks=pytest.mark.slow) for one in ("[]", '{"format": 1, "dataset": {"na'))],
)
def test_verify_checks_the_rest_without_build_json(folder: Path, text: str) -> None:
    image, moved = images_of(folder, source="mooney", split="train")["image_id"].iloc[[3, 4]]
    (folder / "build.json").write_text(text)
    sum_again(folder)
    assert {words.split(":")[0] for words in findings(folder)} == {"build.json"}
    change_shard(folder, lambda table: table.filter(pa.compute.not_equal(table["image_id"], image)))
    change_tables(folder, moved, "manifest.parquet", split="test")
    replaced(folder / "images.csv", f"{moved},", "x,")
    found = findings(folder, "tables_agree", "shards", "parquet", "lists", "croissant")
    for words in (
        f"data: {image}: is in no shard; by the manifest its pixels are here",
        f"data/train-00000-of-00001.parquet: {moved}: is in train, the manifest has test",
        f"manifest.parquet: {moved}: split is test, in the ledger train",
        f"images.csv: {moved}: is missing",
    ):
        assert words in found
    assert any(
        words.startswith("croissant.json: data/train-00000-of-00001.parquet: sha256") for words in found
    )


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        *(
            pytest.param(text, marks=pytest.mark.slow)
            for text in ("[]", '{"files": 3}', '{"format": 1, "dataset": {"na')
        ),
    ],
)
def test_verify_checks_a_build_without_build_json(demo: Path, tmp_path: Path, text: str) -> None:
    shutil.copytree(demo / "build", tmp_path / "build")
    (tmp_path / "build" / "build.json").write_text(text)
    path = images_of(tmp_path / "build")["jpeg_path"].iloc[0]
    (tmp_path / "build" / path).unlink()
    found = findings(tmp_path / "build")
    assert any(words.startswith("build.json") for words in found)
    assert any(f"{Path(path).stem}: is missing" in words for words in found)


def edited(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def edit(path: Path) -> None:
        document = read_json(path)
        change(document)
        path.write_text(json.dumps(document))

    return edit


@pytest.mark.parametrize(
    "changes",
    [
        [
            (lambda d: d.pop("creator"), "creator: is required"),
            (lambda d: d.pop("url"), "url: is required"),
            (lambda d: d.update(description=""), "description: is required"),
            (lambda d: d.update(version="9.9.9"), "version: is 9.9.9, not 1.0.0"),
            (lambda d: d.update(license="CC0-1.0"), "license: is CC0-1.0, not ["),
            (
                lambda d: d.update({"rai:dataCollectionMissingData": "Pixels withheld, unseen: 10"}),
                "rai:dataCollectionMissingData: lacks unseen: 1",
            ),
        ],
        [
            (
                lambda d: d["distribution"][0].update(sha256="0" * 64),
                f"data/test-00000-of-00001.parquet: sha256 is {'0' * 64}",
            ),
            (
                lambda d: d["distribution"][-1].update(includes=["data/train-*.parquet"]),
                "data/test-00000-of-00001.parquet: is in no FileSet",
            ),
        ],
        pytest.param(
            [(lambda d: d["distribution"].pop(0), "data/test-00000-of-00001.parquet: is no FileObject")],
            marks=pytest.mark.slow,
        ),
        [
            (
                lambda d: d["recordSet"][2]["field"][3]["source"]["extract"].update(column="name"),
                "images/name: is no column of the files",
            ),
            (lambda d: d["recordSet"][0]["data"].reverse(), "classes: is ['Pneumonia', 'Normal'"),
        ],
    ],
)  # fmt: skip
def test_verify_finds_wrong_values_in_an_older_croissant(
    older: Path, changes: list[tuple[Callable[[dict[str, Any]], object], str]]
) -> None:
    """Most of these `mlcroissant validate` lets pass."""
    for change, _ in changes:
        edited(change)(older / "croissant.json")
    sum_again(older)
    found = findings(older, "croissant")
    for _, fault in changes:
        assert any(words.startswith(f"croissant.json: {fault}") for words in found), found
    assert all(words.startswith("croissant.json") for words in found)


@pytest.mark.parametrize(
    ("text", "error"),
    [("{", "JSONDecodeError"), pytest.param("[]", "AttributeError", marks=pytest.mark.slow)],
)
def test_verify_says_that_an_older_file_is_not_croissant(older: Path, text: str, error: str) -> None:
    (older / "croissant.json").write_text(text)
    sum_again(older)
    found = findings(older, "croissant")
    assert any(words.startswith(f"croissant.json: is not Croissant: {error}") for words in found), found
    assert all(words.startswith("croissant.json") for words in found)


def test_verify_finds_a_patient_in_two_splits(folder: Path) -> None:
    train, test = (images_of(folder, source="mooney", split=part).iloc[0] for part in ("train", "test"))
    change_tables(folder, test["image_id"], "manifest.parquet", "ledger.parquet", group=train["group"])
    found = findings(folder, "patient_leakage")
    assert any(
        words.startswith(f"manifest.parquet: {train['group']}: is in test and train: ")
        and test["image_id"] in words
        for words in found
    )


def test_verify_finds_pixels_that_the_policy_withholds(folder: Path) -> None:
    """A public release that embeds a path under a licence that forbids it."""
    image = images_of(folder, license="CC-BY-NC-ND-4.0")["image_id"].item()
    change_tables(folder, image, "manifest.parquet", "ledger.parquet", withheld=None)
    sum_again(folder)
    found = findings(folder, "withheld", "shards", "parquet")
    assert f"manifest.parquet: {image}: withheld is null, by the public policy it is no_adaptation" in found
    assert f"data: {image}: is in no shard; by the manifest its pixels are here" in found


def test_verify_finds_a_withheld_image_in_a_shard(folder: Path, demo: Path) -> None:
    row = images_of(folder, withheld="license_unknown").iloc[0]
    data = (demo / "build" / row["jpeg_path"]).read_bytes()

    def add(table: pa.Table) -> pa.Table:
        extra = table.slice(0, 1).to_pylist()[0] | {"image_id": row["image_id"]}
        extra["image"] = {"bytes": data, "path": "x.jpg"}
        return pa.concat_tables([table, pa.Table.from_pylist([extra], table.schema)])

    change_shard(folder, add)
    found = findings(folder, "parquet")
    assert any(f"{row['image_id']}: is no row of the manifest with pixels here" in words for words in found)


def test_verify_compares_every_cell_of_shards(folder: Path) -> None:
    image = some_image(folder)

    def change(table: pa.Table) -> pa.Table:
        rows = table.to_pylist()
        for row in rows:
            if row["image_id"] == image:
                row |= {"license": "CC-BY-4.0", "patient_age": 3.0}
        return pa.Table.from_pylist([*rows, rows[0]], table.schema)

    change_shard(folder, change)
    found = findings(folder, "parquet")
    file = "data/train-00000-of-00001.parquet"
    assert f"{file}: {image}: license is CC-BY-4.0, the manifest has CC0-1.0" in found
    assert any(re.match(rf"{file}: {image}: patient_age is 3.0, the manifest has", words) for words in found)
    assert any(words.endswith("is in the shards twice") for words in found)


def test_verify_finds_a_jpeg_that_does_not_decode(folder: Path) -> None:
    image = some_image(folder)

    def change(table: pa.Table) -> pa.Table:
        rows = table.to_pylist()
        for row in rows:
            if row["image_id"] == image:
                row["image"]["bytes"] = row["image"]["bytes"][: len(row["image"]["bytes"]) // 2]
        return pa.Table.from_pylist(rows, table.schema)

    change_shard(folder, change)
    found = findings(folder, "parquet")
    assert any(f"{image}: does not decode: " in words for words in found)


def test_verify_finds_missing_and_unlisted_files(folder: Path) -> None:
    (folder / "CITATION.cff").unlink()
    (folder / "data" / "test-00000-of-00001.parquet").unlink()
    (folder / "notes.txt").write_text("x")
    (folder / ".gitattributes").write_text("*.parquet filter=lfs")
    found = findings(folder)
    assert "CITATION.cff: is missing" in found
    assert found.count("CITATION.cff: is missing") == 1
    assert "data/test-00000-of-00001.parquet: is missing" in found
    assert not [words for words in found if "is in no shard" in words]
    lost = "data/test-00000-of-00001.parquet: is missing or cannot be used; 13 images should be in it"
    assert found.count(lost) == 1
    assert "notes.txt: is not in SHA256SUMS" in found
    assert any(re.match(r"README.md: line \d+: should not be here: '    num_examples: 13'", w) for w in found)
    assert not any("gitattributes" in words for words in found)


@needs_links
def test_verify_follows_links_of_a_hub_cache(folder: Path, tmp_path: Path) -> None:
    (folder / "README.md").rename(tmp_path / "blob")
    (folder / "README.md").symlink_to(tmp_path / "blob")
    assert findings(folder, "file_hashes", "unlisted_files", "known_files", "generated") == []


@pytest.mark.parametrize("name", ["manifest.parquet", "ledger.parquet", "build.json", "SHA256SUMS"])
@pytest.mark.parametrize(
    "damage",
    ["truncated", *(pytest.param(damage, marks=pytest.mark.slow) for damage in ("lost", "nonsense"))],
)
def test_verify_names_damaged_tables_and_documents(folder: Path, name: str, damage: str) -> None:
    path = folder / name
    data = path.read_bytes()
    path.unlink()
    if damage != "lost":
        # Within the hash of a line, in `SHA256SUMS`.
        half = data.rindex(b"\n", 0, len(data) // 2) + 20 if name == "SHA256SUMS" else len(data) // 2
        path.write_bytes(data[:half] if damage == "truncated" else b"{}")
    found = findings(folder)
    assert any(words.startswith(name) for words in found), found


def test_verify_finds_missing_columns(folder: Path) -> None:
    path = folder / "manifest.parquet"
    table = pq.read_table(path)
    ages = table["patient_age"].cast(pa.string())
    index = table.schema.get_field_index("patient_age")
    pq.write_table(table.drop(["license"]).set_column(index, "patient_age", ages), path)
    found = findings(folder)
    assert "manifest.parquet: license: the column is missing" in found


def test_verify_result_lists_every_check(verified: VerificationResult) -> None:
    document = json.loads(json.dumps(verified.to_dict()))
    assert (document["findings"], verified.passed) == ([], True)
    statuses = {check["id"]: check["status"] for check in document["checks"]}
    assert statuses["generated"] == statuses["parquet"] == statuses["splits"] == "passed"
    assert statuses["card"] == "not applicable"
    assert "demo-cxr 1.0.0" in verified._repr_html_()


def test_verify_makes_checks_of_other_packages(
    audited_release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "row_checks.py").write_text(
        "from cxrbuild import Check, Finding\n\n\n"
        "def run(context):\n"
        "    yield Finding(f'has {len(context.manifest)} rows', 'manifest.parquet')\n\n\n"
        "ROWS = Check('rows', 'There are no rows.', run, 'verify', applies_to=frozenset({'release'}))\n"
    )
    info = tmp_path / "row_checks-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: row-checks\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[cxrbuild.checks]\nrows = row_checks:ROWS\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert [(f.check, str(f)) for f in findings_of(audited_release, "rows", "table_columns")] == [
        ("rows", "manifest.parquet: has 89 rows")
    ]


@pytest.mark.slow
def test_verify_lists_all_findings_at_once(folder: Path) -> None:
    image = some_image(folder)
    change_tables(folder, image, "manifest.parquet", label="Pneumonia")
    replaced(folder / "README.md", "| Normal | 14 | 4 |", "| Normal | 15 | 4 |")
    (folder / "images.csv").unlink()
    files = {finding.file for finding in verify(folder).findings}
    assert {"manifest.parquet", "README.md", "images.csv", "data/train-00000-of-00001.parquet"} <= files


def test_verify_command_lists_findings_with_status_3(folder: Path) -> None:
    replaced(folder / "README.md", "| Normal | 14 | 4 |", "| Normal | 15 | 4 |")
    ran = run("verify", folder, "--json")
    assert ran.status == 3
    assert re.search(
        r"README.md: line \d+: expected '\| Normal \| 14 \|.*found '\| Normal \| 15 \|",
        " ".join(ran.err.split()),
    )
    assert [finding["file"] for finding in json.loads(ran.out)["findings"]] == ["README.md", "README.md"]


def test_require_verified_shortens_many_findings(folder: Path) -> None:
    write_records(folder / "manifest.parquet", images_of(folder).assign(source="nowhere"))
    verified = verify(folder)
    with pytest.raises(CheckError, match=r"and \d+ more findings; --json lists all") as refused:
        require_verified(verified, folder)
    assert len(verified.findings) > 89
    assert str(refused.value).count("\n") < 150


def test_verify_finds_missing_images_of_a_build(demo: Path, tmp_path: Path) -> None:
    shutil.copytree(demo / "build", tmp_path / "build", ignore=shutil.ignore_patterns("images"))
    verified = verify(tmp_path / "build")
    assert verified.kind == "build"
    assert sum("is missing" in finding.message for finding in verified.findings) == 89
    # The command has the options of the build: it adds no TFRecord to one that has none.
    with pytest.raises(CheckError) as refused:
        require_verified(verified, tmp_path / "build")
    command = str(refused.value.todo).split("`")[1]
    options = ["--recipe", demo / "declared" / "recipe.toml", "--format", "parquet", "--data", demo / "data"]
    assert shlex.split(command) == [
        "cxrbuild",
        "curate",
        *map(str, options),
        "--out",
        str(tmp_path / "build"),
    ]
    ran = run(*shlex.split(command)[1:])
    assert ran.status == 0, ran.err
    assert sha256_of(tmp_path / "build" / "build.json") == sha256_of(demo / "build" / "build.json")
    assert not (tmp_path / "build" / "tfds").exists()


def test_verify_finds_an_edited_build_json_of_a_build(demo: Path, tmp_path: Path) -> None:
    """A reason of the recipe, of a correction or of a rule is in no other file of a build."""
    for name in ("build.json", ".cxrbuild/seal"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(demo / "build" / name, tmp_path / name)
    assert list(check_document(Context(tmp_path, "build"))) == []
    document = read_json(tmp_path / "build.json")
    document["recipe"]["rules"][0]["reason"] = "Another reason."
    write_json(tmp_path / "build.json", document)
    (found,) = check_document(Context(tmp_path, "build"))
    assert str(found).startswith("build.json: its SHA-256 is ")
    assert str(found).endswith(f"and was {sha256_of(demo / 'build' / 'build.json')} when the build was made")


def test_verify_finds_misplaced_images_of_a_build(
    demo: Path, verified_build: VerificationResult, tmp_path: Path
) -> None:
    assert verified_build.findings == ()
    shutil.copytree(demo / "build", tmp_path / "build")
    row = images_of(demo / "build", source="mooney").iloc[0]
    path = tmp_path / "build" / row["jpeg_path"]
    path.rename(path.parent.parent / "Pneumonia" / path.name)
    Image.new("RGB", (9, 9)).save(path.with_name("stray.jpg"))
    found = findings(tmp_path / "build")
    assert any(f"{row['image_id']}: is of {row['split']} Normal, but in" in words for words in found)
    assert f"{Path(row['jpeg_path']).with_name('stray.jpg')}: is no image of the manifest" in found


def test_verify_compares_images_with_a_manifest(demo: Path, tmp_path: Path) -> None:
    build = demo / "build"
    shutil.copytree(build / "images", tmp_path / "images")
    first, second, third = images_of(build, source="mooney")["jpeg_path"].iloc[:3]
    (tmp_path / first).unlink()
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / second)
    (tmp_path / third).write_bytes(b"<html>Not found</html>")
    verified = verify(tmp_path / "images", manifest=str(build / "manifest.parquet"))
    found = [str(finding) for finding in verified.findings]
    assert (verified.kind, verified.images) == ("images", 88)
    assert any(f"{Path(first).stem}: is missing (train Normal)" in words for words in found)
    assert any(f"{Path(second).stem}: is of mode RGB" in words for words in found)
    assert any(f"{Path(second).stem}: its bytes are not the manifest's" in words for words in found)
    assert any(f"{Path(third).stem}: does not decode" in words for words in found)


def test_verify_reads_images_in_one_folder(demo: Path, tmp_path: Path) -> None:
    for path in (demo / "build" / "images").rglob("*.jpg"):
        os.link(path, tmp_path / path.name)
    assert verify(tmp_path, manifest=str(demo / "build" / "manifest.parquet")).findings == ()


def test_verify_compares_images_with_the_published_manifest(tmp_path: Path) -> None:
    row = read_records(Path("manifests/covid19-cxr/1.0.0/manifest.parquet")).iloc[0]
    path = tmp_path / "images" / row["split"] / row["label"] / f"{row['image_id']}.jpg"
    path.parent.mkdir(parents=True)
    Image.new("L", (9, 9)).save(path)
    verified = verify(tmp_path / "images")
    assert verified.images == 1
    # All but this one, and nothing of this one: the published manifest knows no pixels.
    assert len(verified.findings) == 6353
    assert not [finding for finding in verified.findings if finding.row == row["image_id"]]


@pytest.mark.parametrize("there", [None, "empty", "strange"])
def test_verify_refuses_a_folder_with_nothing_to_verify(there: str | None, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    if there:
        folder.mkdir()
    if there == "strange":
        (folder / "x.txt").write_text("x")
    with pytest.raises(
        CxrbuildError, match="nothing to verify in this folder" if there else "no such folder"
    ):
        verify(folder)


@pytest.mark.slow
def test_verify_needs_memory_for_one_batch(audited_release: Path) -> None:
    """Shards are read in batches: a path of the first must be let go of when a later one is read."""
    import tracemalloc

    verify(audited_release)
    tracemalloc.start()
    verify(audited_release)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6
