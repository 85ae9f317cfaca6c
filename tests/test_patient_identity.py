"""Patient numbers are hashed and file names hidden, whichever reader lists the files."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pandas as pd
import pytest
from command import run
from PIL import ExifTags, Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid
from releasing import set_version

import cxrbuild
from cxrbuild.artifact import open_build
from cxrbuild.convert import Settings, to_jpeg
from cxrbuild.errors import CxrbuildError, DeclarationError
from cxrbuild.files import read_json, write_json
from cxrbuild.patient_key import KEY_VARIABLE, hash_identifier, key_fingerprint
from cxrbuild.policy import require_hashed, without_identities
from cxrbuild.records import read_records
from cxrbuild.releasing.forecast import foresee
from cxrbuild.releasing.identities import require_no_metadata, require_no_numbers

KEY = "a secret of some length"
SOURCE = """
name = "hospital"
title = "A hospital"
citation = "A hospital: its radiographs"
license = "CC-BY-4.0"
{top}

[reader]
kind = "csv"
file = "labels.csv"
images = ["*.dcm"]
{reader}

[columns.finding]
from = "finding"
{columns}
"""
LATERAL = """[[rules]]
name = "lateral"
kind = "not_in"
column = "view_position"
values = ["LL"]
reason = "Lateral."

"""
RULE_BY_PATH = """[[rules]]
name = "by_hand"
kind = "not_in"
column = "source_path"
values = ["4.dcm"]
reason = "Not shown."

[split]"""
RECIPE = """
name = "mine"
version = "0.1.0"
date = "2026-11-25"
title = "Mine"
sources = ["source.toml"]

[labels]
Sick = { hospital = ["sick"] }
Well = { hospital = ["well"] }

{LATERAL}[[rules]]
name = "other_finding"
kind = "labelled"
reason = "No class."

[split]
salt = "mine"

[split.test]
count = { Sick = 1, Well = 1 }
"""


def write_image(path: Path, number: int, **header: object) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID = DigitalXRayImageStorageForPresentation
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=["instance", str(number)])
    dataset.StudyInstanceUID = generate_uid(entropy_srcs=["study", str(number // 2)])
    dataset.AccessionNumber = f"ACC{number // 2}"
    dataset.PatientID = f"MRN{number // 2}"
    dataset.Modality, dataset.PatientSex, dataset.PatientAge = "DX", "F", "045Y"
    dataset.Rows = dataset.Columns = 16
    dataset.SamplesPerPixel, dataset.PixelRepresentation = 1, 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.PixelData = bytes((number * 7 + i * i) % 256 for i in range(256))
    for keyword, value in header.items():
        setattr(dataset, keyword, value)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return dataset


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hospital's DICOM files with a CSV file of labels, fetched when `declare` has written the source."""
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    rows = []
    for number in range(12):
        header = {4: {"ViewPosition": "LL"}, 6: {"BurnedInAnnotation": "YES"}}.get(number, {})
        name = f"DOE-{number}.dcm"
        dataset = write_image(tmp_path / "in" / name, number, **header)
        rows.append({
            "file": name, "uid": dataset.SOPInstanceUID, "study": dataset.StudyInstanceUID,
            "accession": dataset.AccessionNumber, "record": f"MRN{number // 2}",
            "finding": "sick" if number % 4 < 2 else "well",
        })  # fmt: skip
    pd.DataFrame(rows).to_csv(tmp_path / "in" / "labels.csv", index=False)
    (tmp_path / "recipe.toml").write_text(RECIPE.replace("{LATERAL}", LATERAL))
    return tmp_path


def declare(world: Path, reader: str = 'path = "{file}"', columns: str = "", top: str = "") -> None:
    (world / "source.toml").write_text(SOURCE.format(reader=reader, columns=columns, top=top))


RECORD = '[columns.patient_id]\nfrom = "record"'


def fetch(world: Path, *, allow_unpinned: bool = False) -> None:
    origins = {"hospital": str(world / "in")}
    cxrbuild.fetch([world / "source.toml"], world / "data", origins=origins, allow_unpinned=allow_unpinned)


def plan(world: Path) -> pd.DataFrame:
    fetch(world)
    return cxrbuild.plan(world / "recipe.toml", world / "data").records.set_index("source_path")


def test_a_short_key_is_refused_before_anything_is_copied(
    world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ("fetch", world / "source.toml", f"--from=hospital={world / 'in'}", "--data", world / "data")
    declare(world, columns=RECORD)
    refused = run(*arguments, **{KEY_VARIABLE: "short"})
    assert refused.status == 1
    assert "the key to hash patient numbers with is too short" in " ".join(refused.err.split())
    assert "Found: 5 characters" in " ".join(refused.err.split())
    assert not (world / "data" / "sources" / "hospital").exists()
    monkeypatch.delenv(KEY_VARIABLE)
    done = run(*arguments)
    assert done.status == 0
    assert f"Set {KEY_VARIABLE} to the key of before, or at first" in " ".join(done.out.split())


def test_headers_are_read_whichever_reader_lists_the_files(world: Path) -> None:
    declare(world)
    ledger = plan(world)
    assert ledger.loc["DOE-4.dcm", "exclusion"] == "lateral"
    assert ledger.loc["DOE-6.dcm", "exclusion"] == "burned_in_annotation"
    assert set(ledger["modality"]) == {"DX"}
    assert set(ledger["patient_sex"]) == {"F"}
    assert set(ledger["patient_age"]) == {45}
    assert ledger.loc["DOE-1.dcm", "patient_id"] == hash_identifier(KEY.encode(), "MRN0")
    assert "MRN" not in ledger.to_csv()


def test_a_column_of_record_numbers_is_hashed_like_the_header(world: Path) -> None:
    declare(world)
    from_header = plan(world)["patient_id"]
    declare(world, columns=RECORD)
    from_column = plan(world)["patient_id"]
    pd.testing.assert_series_equal(from_header, from_column)


def test_declared_columns_win_and_the_header_fills_the_blanks(world: Path) -> None:
    labels = pd.read_csv(world / "in" / "labels.csv", dtype="str", keep_default_na=False)
    labels["view"] = ["AP"] + [""] * 11
    labels.to_csv(world / "in" / "labels.csv", index=False)
    write_image(world / "in" / "DOE-0.dcm", 0, ViewPosition="PA")
    declare(world, columns='[columns.view_position]\nfrom = "view"')
    views = plan(world)["view_position"].fillna("")
    assert views["DOE-0.dcm"] == "AP"
    assert views["DOE-4.dcm"] == "LL"
    assert views["DOE-1.dcm"] == ""


def test_patient_numbers_do_not_hide_in_other_columns(world: Path) -> None:
    declare(world, columns=f'{RECORD}\n[columns.attribution]\nfrom = "record"')
    with pytest.raises(CxrbuildError, match=r"columns\.attribution comes from record, which identifies"):
        plan(world)


@pytest.mark.parametrize(
    ("reader", "count"),
    [
        ('sop_instance_uid = "{uid}"', 12),
        ('study_instance_uid = "{study}"', 12),
        ('accession_number = "{accession}"', 12),
    ],
)
def test_a_csv_labels_images_by_an_identifier_of_their_header(world: Path, reader: str, count: int) -> None:
    labels = pd.read_csv(world / "in" / "labels.csv", dtype="str")
    key = reader.split("{")[1].split("}")[0]
    labels = labels.drop_duplicates(key, ignore_index=True).drop(columns="file")
    labels.loc[len(labels)] = {
        "uid": "1.2.3",
        "study": "1.2.3",
        "accession": "ACC99",
        "record": "MRN99",
        "finding": "sick",
    }
    labels.to_csv(world / "in" / "labels.csv", index=False)
    declare(world, reader)
    ledger = plan(world)
    assert ledger["label"].notna().sum() == count + 1
    assert (ledger["exclusion"] == "row_without_file").sum() == 1
    (stray,) = ledger.index[ledger["exclusion"] == "row_without_file"]
    assert "1.2.3" not in stray
    assert "ACC99" not in stray
    assert "MRN" not in ledger.reset_index().to_csv()


def test_a_row_needs_one_way_to_its_image(world: Path) -> None:
    declare(world, 'path = "{file}"\nsop_instance_uid = "{uid}"')
    with pytest.raises(
        DeclarationError, match="needs one of path, file_name, sop_instance_uid, study_instance_uid"
    ):
        fetch(world)


def curate(world: Path, out: str = "build"):
    return run(
        "curate", "--recipe", "recipe.toml", "--out", out, "--format", "parquet", "--workers", "1", cwd=world
    )


def test_a_public_release_holds_no_number_and_no_file_name(world: Path) -> None:
    # The pin lists a file that is missing, and others than those that are there.
    (world / "list.tsv").write_text(
        f"mode\tblob\tpath\n100644\t{'0' * 40}\tDOE-0.dcm\n100644\t{'0' * 40}\tDOE-99.txt\n"
    )
    declare(world, columns=f'{RECORD}\n[pin]\ntree = "{"1" * 40}"\nlisting = "list.tsv"')
    fetch(world, allow_unpinned=True)
    ran = curate(world)
    assert ran.status == 0, ran.err
    assert "DOE-99.txt" in (world / "build" / "build.json").read_text()
    ran = run("release", "0.1.0", "--build", "build", "--out", "release", cwd=world)
    assert ran.status == 0, ran.err
    for path in (world / "release").rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            if path.suffix == ".parquet":
                content += pd.read_parquet(path).to_csv().encode()
            assert b"MRN" not in content, path
            assert b"DOE" not in content, path
    # A private release has them.
    opened = open_build(world / "build")
    private = without_identities(opened.ledger, opened.document, "private")
    assert private["source_path"].str.startswith("DOE").all()


@pytest.mark.parametrize(
    ("name", "columns", "column"),
    [
        pytest.param("{record}.dcm", "", "source_path", marks=pytest.mark.slow),
        pytest.param("{record}/{n}.dcm", "", "source_path", marks=pytest.mark.slow),
        ("scan_{record}_{n}.dcm", "", "source_path"),
        pytest.param(
            "scan{n}.dcm", "[columns.attribution]\nfrom = 'credit'", "attribution", marks=pytest.mark.slow
        ),
        ("scan{n}.dcm", "[columns.license]\nfrom = 'credit'\npattern = '(CC-BY-4.0)'", "license_text"),
        pytest.param("scan{n}.dcm", "", None, marks=pytest.mark.slow),
    ],
)
def test_a_number_in_a_name_or_text_stops_a_public_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, columns: str, column: str | None
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    rows = ["file,record,finding,credit"]
    for n in range(4):
        file = name.format(record=f"70{n}1", n=n)
        write_image(tmp_path / "in" / file, n, PatientID="")
        rows.append(f"{file},70{n}1,{'sick' if n % 2 else 'well'},CC-BY-4.0 chart 0070{n}1")
    (tmp_path / "in" / "labels.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "recipe.toml").write_text(RECIPE.replace("{LATERAL}", ""))
    declare(tmp_path, columns=f"{RECORD}\n{columns}")
    fetch(tmp_path)
    foreseen = foresee(cxrbuild.plan(tmp_path / "recipe.toml", tmp_path / "data")).refusals
    expected = f"no number of a patient in `{column}` of a source that is not public"
    assert [one.expected for one in foreseen] == ([] if column is None else [expected])
    if column == "license_text":
        return  # what is foreseen of one column is what `release` says of each
    assert curate(tmp_path).status == 0
    ran = run("release", "0.1.0", "--build", "build", "--out", "release", cwd=tmp_path)
    message = " ".join(ran.err.split())
    if column is None:
        assert ran.status == 0, ran.err
        return
    assert ran.status == 1
    assert expected in message
    assert "Found: 4 images with the patient's number there" in message
    assert not (tmp_path / "release").exists()
    document = open_build(tmp_path / "build").document
    require_no_numbers(
        tmp_path / "build", document, read_records(tmp_path / "build" / "ledger.parquet"), "private"
    )


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        (
            '"No class."',
            '"No class, as MRN000001 was."',
            "1 text with one: recipe.rules.other_finding.reason",
        ),
        pytest.param(
            '"Mine"', '"Mine, without 0MRN000001."', "1 text with one: recipe.title", marks=pytest.mark.slow
        ),
        pytest.param('"Mine"', '"Mine, without MRN0000019."', None, marks=pytest.mark.slow),
        ("[split]", RULE_BY_PATH, "1 path: recipe.rules.by_hand.values.0"),
    ],
)
def test_a_recipe_that_names_a_patient_or_file_stops_a_public_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str, found: str | None
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    rows = ["file,record,finding"]
    for n in range(5):
        write_image(tmp_path / "in" / f"{n}.dcm", n, PatientID="")
        rows.append(f"{n}.dcm,MRN00000{n},{'sick' if n % 2 else 'well'}")
    (tmp_path / "in" / "labels.csv").write_text("\n".join(rows) + "\n")
    recipe = RECIPE.replace("{LATERAL}", "")
    assert old in recipe
    (tmp_path / "recipe.toml").write_text(recipe.replace(old, new))
    declare(tmp_path, columns=RECORD)
    fetch(tmp_path)
    foreseen = foresee(cxrbuild.plan(tmp_path / "recipe.toml", tmp_path / "data")).refusals
    assert [one.found for one in foreseen] == ([] if found is None else [found])
    if new == RULE_BY_PATH:
        return  # what is foreseen of a text is what `release` says of each
    assert curate(tmp_path).status == 0
    ran = run("release", "0.1.0", "--build", "build", "--out", "release", cwd=tmp_path)
    if found is None:
        assert ran.status == 0, ran.err
        return
    assert ran.status == 1
    assert f"Found: {found}." in " ".join(ran.err.split())
    assert not (tmp_path / "release").exists()


def test_kept_numbers_are_released_only_where_the_source_is_public(world: Path) -> None:
    declare(world, 'path = "{file}"\npatient_id = "keep"', RECORD)
    fetch(world)
    ran = curate(world)
    assert ran.status == 0, ran.err
    opened = open_build(world / "build")
    assert opened.ledger["patient_id"].str.startswith("MRN").all()
    ran = run("release", "0.1.0", "--build", "build", "--out", "release", cwd=world)
    assert ran.status == 1
    assert "would publish the patient numbers of sources that are not public" in " ".join(ran.err.split())
    require_hashed(opened.ledger, opened.document, "private")
    declare(world, 'path = "{file}"\npatient_id = "keep"', RECORD, "public = true")
    fetch(world)
    planned = cxrbuild.plan(world / "recipe.toml", world / "data")
    assert planned.records["patient_id"].str.startswith("MRN").all()
    assert foresee(planned).refusals == []


def test_lock_and_build_carry_the_keys_fingerprint(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    declare(world)
    fetch(world)
    assert curate(world).status == 0
    lock = json.loads((world / "data" / "sources.lock.json").read_text())
    fingerprint = lock["sources"]["hospital"]["patient_key"]
    assert fingerprint == key_fingerprint()
    assert json.loads((world / "build" / "build.json").read_text())["patient_key"] == fingerprint
    assert KEY not in (world / "data" / "sources.lock.json").read_text()
    before = (world / "build" / "build.json").read_bytes()

    monkeypatch.setenv(KEY_VARIABLE, "another secret of some length")
    fetch(world)
    assert json.loads((world / "data" / "sources.lock.json").read_text()) == lock
    for ran in (curate(world), run("plan", "--recipe", "recipe.toml", cwd=world)):
        assert ran.status == 1
        message = " ".join(ran.err.split())
        assert "is not the key that the patient numbers were hashed with" in message
        assert fingerprint in message
    assert (world / "build" / "build.json").read_bytes() == before


@pytest.mark.usefixtures("without_verifying")
def test_a_build_refuses_another_key_where_the_lock_has_none(
    world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(world)
    monkeypatch.delenv(KEY_VARIABLE)
    fetch(world)
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    lock = world / "data" / "sources.lock.json"
    for found in ("an entry without it", "no entry"):
        for ran in (curate(world), run("plan", "--recipe", "recipe.toml", cwd=world)):
            message = " ".join(ran.err.split())
            assert ran.status == 1
            assert "the lock does not record which key patient numbers are hashed with" in message
            assert f"Found: {found}." in message
            assert "run `cxrbuild fetch " in message
        lock.unlink(missing_ok=True)
    fetch(world)
    assert curate(world).status == 0
    monkeypatch.setenv(KEY_VARIABLE, "another secret of some length")
    ran = curate(world)
    assert ran.status == 1
    assert "is not the key that the patient numbers were hashed with" in " ".join(ran.err.split())
    ran = run("release", "0.1.0", "--build", "build", "--out", "mine-0.1.0", cwd=world)
    assert ran.status == 1
    assert "is not the key that the patient numbers were hashed with" in " ".join(ran.err.split())
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    assert run("release", "0.1.0", "--build", "build", "--out", "mine-0.1.0", cwd=world).status == 0
    # As if the release had been made with another key.
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    previous = read_json(world / "mine-0.1.0" / "build.json")
    write_json(world / "mine-0.1.0" / "build.json", previous | {"patient_key": "0" * 16})
    set_version(world / "build", "0.2.0")
    ran = run("release", "0.2.0", "--build", "build", "--out", "mine-0.2.0", cwd=world)
    assert ran.status == 1
    assert "hashed with another key than in the previous release" in " ".join(ran.err.split())


def test_a_source_without_patient_numbers_needs_no_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(b"image")
    (tmp_path / "source.toml").write_text(
        'name = "hospital"\ntitle = "A hospital"\n[reader]\nkind = "folders"\nimages = ["*.png"]\n'
        'pattern = "(?P<name>[^/]+)"\n[columns.finding]\nvalue = "sick"\n'
    )
    recipe = (
        RECIPE.replace('Well = { hospital = ["well"] }\n', "")
        .replace(", Well = 1", "")
        .replace("{LATERAL}", "")
    )
    (tmp_path / "recipe.toml").write_text(recipe)
    assert "a.png" in plan(tmp_path).index


def jpeg_with(metadata: str) -> bytes:
    """A grey JPEG that names its patient."""
    stream, exif = io.BytesIO(), Image.Exif()
    exif[ExifTags.Base.ImageDescription] = "Doe^Jane MRN7"
    options: dict[str, dict[str, object]] = {
        "exif": {"exif": exif}, "comment": {"comment": b"Doe^Jane MRN7"}, "no": {}, "trailing": {},
    }  # fmt: skip
    Image.radial_gradient("L").resize((32, 32)).save(stream, "JPEG", **options[metadata])
    return stream.getvalue() + (b"Doe^Jane MRN7" if metadata == "trailing" else b"")


@pytest.mark.parametrize("metadata", ["exif", "comment", "trailing", "no"])
def test_metadata_of_a_confidential_jpeg_is_not_copied(metadata: str) -> None:
    data = jpeg_with(metadata)
    settings = Settings(95, 10_000)
    assert to_jpeg(data, settings).data == data
    jpeg = to_jpeg(data, settings, keep_metadata=False)
    assert jpeg.conversion == ("copied" if metadata == "no" else "encoded")
    assert b"Doe" not in jpeg.data


def test_a_source_that_is_no_longer_public_gives_no_metadata_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    for number, metadata in enumerate(["exif", "comment", "no", "trailing"] * 2):
        path = tmp_path / "root" / f"{number}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(jpeg_with(metadata))
    rows = [f"{n}.jpg,{'sick' if n < 4 else 'well'}" for n in range(8)]
    (tmp_path / "root" / "labels.csv").write_text("\n".join(["file,finding", *rows]) + "\n")
    (tmp_path / "recipe.toml").write_text(RECIPE.replace("{LATERAL}", ""))
    source = SOURCE.replace("*.dcm", "*.jpg")

    def build(top: str) -> pd.DataFrame:
        text = source.format(top=top, reader='path = "{file}"', columns="")
        (tmp_path / "source.toml").write_text(text)
        fetched = run("fetch", "source.toml", "--from", "hospital=root", "--allow-unpinned", cwd=tmp_path)
        assert fetched.status == 0, fetched.err
        ran = curate(tmp_path)
        assert ran.status == 0, ran.err
        return pd.read_parquet(tmp_path / "build" / "manifest.parquet")

    copied = build("public = true")
    assert set(copied["conversion"]) == {"copied"}
    before = {path: (tmp_path / "build" / path).read_bytes() for path in copied["jpeg_path"]}
    rows = build("public = false")
    assert rows["conversion"].value_counts().to_dict() == {"encoded": 6, "copied": 2}
    assert not any(b"Doe" in path.read_bytes() for path in (tmp_path / "build").rglob("*.jpg"))
    assert b"Doe" not in pd.read_parquet(tmp_path / "build" / "data").to_csv().encode()
    require_no_metadata(tmp_path / "build", open_build(tmp_path / "build").document, rows, "public")
    # Another run converts nothing again.
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "build").rglob("*.jpg")}
    ran = run("curate", "--recipe", "recipe.toml", "--out", "build", "--format", "tfrecord", cwd=tmp_path)
    assert ran.status == 0, ran.err
    assert {path: path.stat().st_mtime_ns for path in times} == times
    # A build of an earlier version may hold copies.
    document = open_build(tmp_path / "build").document
    for path, data in before.items():
        (tmp_path / "old" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "old" / path).write_bytes(data)
    require_no_metadata(tmp_path / "old", document, copied, "private")
    with pytest.raises(CxrbuildError, match="6 images with them"):
        require_no_metadata(tmp_path / "old", document, copied, "public")
