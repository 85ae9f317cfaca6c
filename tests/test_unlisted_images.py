"""A public release says nothing of single excluded images whose source is not public, and counts them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from audited import make_only
from command import run
from PIL import Image
from releasing import sum_again

import cxrbuild
from cxrbuild.checks import Finding
from cxrbuild.files import read_json, write_json
from cxrbuild.patient_key import KEY_VARIABLE
from cxrbuild.records import read_records, write_records
from cxrbuild.verification.context import Context
from cxrbuild.verification.counts import check_funnel, check_missing
from cxrbuild.verification.decisions import check_groups, check_image_ids, check_splits
from cxrbuild.verification.policy import check_identities

KEY = "a secret of some length"
SOURCE = """
name = "{name}"
title = "Images of {name}"
citation = "{name}: its images"
license = "CC-BY-4.0"
public = {public}
{withdrawn}

[reader]
kind = "csv"
file = "table.csv"
path = "{{file}}"
images = ["*.png"]
patient_id = "{patient_id}"

[columns.patient_id]
from = "patient"

[columns.finding]
from = "finding"

[columns.view_position]
from = "view"
map = {{ PA = "PA", LL = "LL" }}

[columns.patient_age]
from = "age"
"""
RECIPE = """
name = "mine"
version = "{version}"
date = "2026-11-25"
title = "Mine"
sources = ["hospital.toml", "open.toml"]
reviews = ["reviews.csv"]

[labels]
Sick = {{ hospital = ["sick"], open = ["sick"] }}
Well = {{ hospital = ["well"], open = ["well"] }}

[[rules]]
name = "duplicate"
kind = "duplicate"
reason = "The same radiograph again."

[[rules]]
name = "lateral"
kind = "not_in"
column = "view_position"
values = ["LL"]
reason = "Lateral."
{more}
[[rules]]
name = "annotated"
kind = "reviewed"
at_finding = true
reason = "A mark shows the finding."

[[rules]]
name = "other_finding"
kind = "labelled"
reason = "No class."

[split]
salt = "mine"
links = ["links.csv"]
declared = [{{ source = "open", map = {{ test = "test", train = "train" }} }}]
test = {{ share = 0.3 }}
"""
# File, patient, finding, view and age of the hospital's images. Of kept ones two are over 89 years old.
HOSPITAL = [
    ("a-side.png", "", "sick", "LL", 91),
    ("b-marked.png", "P-1", "sick", "PA", 92),
    ("c-other.png", "P-2", "neither", "PA", 93),
    ("d-twin.png", "P-3", "well", "LL", 94),
    *[
        (
            f"k{n}.png",
            "" if n < 2 else f"Q-{n}",
            "sick" if n % 2 else "well",
            "PA",
            {3: 101, 4: 90}.get(n, 40),
        )
        for n in range(10)
    ],
]
OPEN = [(f"o{n}.png", f"R{n}", "sick" if n % 2 else "well", "PA" if n else "LL", 50) for n in range(8)]
# The ids that `image_id` gives to the paths of excluded images are asked of the build.
EXCLUDED = {"a-side": "lateral", "b-marked": "annotated", "c-other": "other_finding", "d-twin": "lateral"}
REVIEWS = """source,path,mark,marks_finding,note
hospital,b-marked.png,arrow,yes,an arrow drawn by Dr Doe
"""
LINKS = """source_a,path_a,source_b,path_b,kind,note
hospital,a-side.png,hospital,k0.png,same patient,noted by Dr Doe
hospital,a-side.png,open,o3.png,same patient,noted by Dr Doe
open,o3.png,open,o5.png,same patient,
hospital,d-twin.png,open,o2.png,duplicate,found by Dr Doe
hospital,k1.png,open,o4.png,duplicate,found by Dr Doe
"""


def write_source(
    world: Path, name: str, rows: list[tuple[str, str, str, str, int]], withdrawn: str = ""
) -> None:
    (world / name).mkdir(exist_ok=True)
    for file, *_ in rows:
        pixels = np.random.default_rng([*file.encode()]).integers(0, 255, (16, 16), np.uint8)
        Image.fromarray(pixels).save(world / name / file)
    table = pd.DataFrame(rows, columns=["file", "patient", "finding", "view", "age"])
    split = np.where(table["file"].isin(["o5.png", "o6.png"]), "test", "train")
    table.assign(split=split).to_csv(world / name / "table.csv", index=False)
    public = name == "open"
    (world / f"{name}.toml").write_text(
        SOURCE.format(
            name=name,
            public=str(public).lower(),
            patient_id="keep" if public else "hash",
            withdrawn=withdrawn,
        )
        + ('\n[columns.upstream_split]\nfrom = "split"\n' if public else "")
    )


def curate(world: Path, out: str = "build", *words: str, version: str = "1.0.0", more: str = "") -> Path:
    (world / "recipe.toml").write_text(RECIPE.format(version=version, more=more))
    (world / "reviews.csv").write_text(REVIEWS)
    (world / "links.csv").write_text(LINKS)
    ran = run("fetch", "hospital.toml", "open.toml", "--from", "hospital=hospital", "--from", "open=open",
              "--allow-unpinned", "--quiet", cwd=world)  # fmt: skip
    assert ran.status == 0, ran.err
    ran = run("curate", "--recipe", "recipe.toml", "--out", out, "--format", "parquet", "--workers", "1",
              *words, cwd=world)  # fmt: skip
    assert ran.status == 0, ran.err
    return world / out


def release(world: Path, build: Path, version: str, out: str, *words: object) -> Path:
    ran = run("release", version, "--build", build, "--out", world / out, *words, cwd=world)
    assert ran.status == 0, ran.err
    return world / out


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hospital's images and public ones, a build of them with its audit, and its releases."""
    folder = tmp_path_factory.mktemp("unlisted")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(KEY_VARIABLE, KEY)
        write_source(folder, "hospital", HOSPITAL)
        write_source(folder, "open", OPEN)
        build = curate(folder)
        make_only(patch, "patient_leakage")
        audited = run("audit", "--build", build, "--recipe", "recipe.toml", "--workers", "1", cwd=folder)
        assert audited.status in (0, 3), audited.err
        release(folder, build, "1.0.0", "public")
        release(folder, build, "1.0.0", "private", "--policy", "private")
    return folder


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)


def ids(world: Path) -> dict[str, str]:
    """Return the id of each image of the hospital by the stem of its file."""
    ledger = read_records(world / "build" / "ledger.parquet")
    rows = ledger[ledger["source"] == "hospital"]
    return dict(zip(rows["source_path"].str.removesuffix(".png"), rows["image_id"], strict=True))


def texts(folder: Path) -> str:
    """Return all that the files of a folder say, tables as CSV."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".parquet":
            found.append(pd.read_parquet(path).drop(columns="image", errors="ignore").to_csv())
        elif path.is_file():
            found.append(path.read_bytes().decode(errors="replace"))
    return "\n".join(found)


def test_a_public_release_says_nothing_of_a_single_excluded_image(world: Path, tmp_path: Path) -> None:
    of_build = read_records(world / "build" / "ledger.parquet").set_index("image_id")
    said, names = texts(world / "public"), ids(world)
    for stem, exclusion in EXCLUDED.items():
        assert of_build.loc[names[stem], "exclusion"] == exclusion
        assert names[stem] not in said
        assert stem not in said
    assert "Doe" not in said
    ledger = read_records(world / "public" / "ledger.parquet")
    rows = ledger[ledger["source"] == "hospital"]
    assert rows["exclusion"].isna().all()
    # An exact age over 89 would identify a patient: the text must not say who is exactly 90 either.
    assert dict(rows["patient_age"].value_counts()) == {40: len(rows) - 2, 90: 2}
    assert rows.loc[rows["patient_age"] == 90, "patient_age_text"].isna().all()
    assert rows.loc[rows["patient_age"] == 40, "patient_age_text"].eq("40").all()
    assert "The tables have the age 90" in (world / "public" / "README.md").read_text()
    why = run("why", "k3.png", "--build", world / "build").out
    assert "no declaration of the source is named: add --recipe FILE" in " ".join(why.split())
    # Nor must a changelog, where an earlier version of cxrbuild left the text of an age of 90.
    shutil.copytree(world / "public", tmp_path / "earlier")
    manifest = read_records(world / "public" / "manifest.parquet")
    manifest.loc[manifest["patient_age"] == 90, "patient_age_text"] = "090Y"
    write_records(tmp_path / "earlier" / "manifest.parquet", manifest)
    assert cxrbuild.diff(tmp_path / "earlier", world / "public").rows["metadata_changed"].empty
    private = read_records(world / "private" / "manifest.parquet")
    assert (private["patient_age"] == 101).sum() == 1
    assert "The tables have the age 90" not in (world / "private" / "README.md").read_text()
    planned = run("plan", "--recipe", "recipe.toml", cwd=world)
    assert "has the age 90 for 2 images of patients over 89" in " ".join(planned.out.split())
    kept = of_build[of_build["exclusion"].isna() & of_build["source"].eq("hospital")]
    assert set(rows["image_id"]) == set(kept.index)
    # Of the public source every image is listed.
    assert (ledger["source"] == "open").sum() == len(OPEN)
    assert set(ledger.loc[ledger["exclusion"].notna(), "exclusion"]) == {"lateral", "duplicate"}


def test_groups_and_details_name_no_image_that_is_not_listed(world: Path) -> None:
    names = ids(world)
    build = read_records(world / "build" / "ledger.parquet").set_index("image_id")
    ledger = read_records(world / "public" / "ledger.parquet").set_index("image_id")
    of_path = ledger.reset_index().set_index("source_path")["image_id"]
    # The group was named after the lateral image, which is its least.
    assert build.loc[names["k0"], "group"] == "hospital/a-side.png"
    assert ledger.loc[names["k0"], "group"] == f"hospital/{names['k0']}"
    assert ledger.loc[of_path["o3.png"], "group"] == f"hospital/{names['k0']}"
    assert ledger.loc[of_path["o2.png"], "exclusion_detail"] == "duplicate of an image that is not listed"
    assert ledger.loc[of_path["o4.png"], "exclusion_detail"] == f"duplicate of {names['k1']}"
    # Those who are together stay together, and nobody else joins them.
    both = ledger.index
    pairs = set(zip(build.loc[both, "group"], ledger["group"], strict=True))
    assert len(pairs) == build.loc[both, "group"].nunique() == ledger["group"].nunique()


def test_the_flow_chart_of_a_public_release_adds_up(world: Path) -> None:
    build, public = (read_json(world / name / "build.json") for name in ("build", "public"))
    assert public["funnel"] == build["funnel"]
    steps = {row["step"]: row["by_source"]["hospital"] for row in public["funnel"]}
    assert steps["upstream"] == len(HOSPITAL)
    assert steps["lateral"] == 2
    assert sum(n for step, n in steps.items() if step != "upstream") == len(HOSPITAL)
    card = (world / "public" / "README.md").read_text()
    assert f"| upstream | {len(HOSPITAL) + len(OPEN)} | |" in card
    assert "but for the images of hospital that are excluded" in card
    report = (world / "public" / "report.html").read_text()
    assert f"{len(HOSPITAL) + len(OPEN)} images upstream" in report


def test_a_private_release_lists_every_image(world: Path) -> None:
    build, private = (read_records(world / name / "ledger.parquet") for name in ("build", "private"))
    pd.testing.assert_frame_equal(build, private)
    assert "has a row for every upstream image. `exclusion`" in (world / "private" / "README.md").read_text()


def test_audit_and_release_use_one_name_for_a_group(world: Path) -> None:
    """The public source has images of one group in two splits."""
    audit = read_json(world / "public" / "audit.json")
    findings = next(check for check in audit["checks"] if check["id"] == "patient_leakage")["findings"]
    name = f"hospital/{ids(world)['k0']}"
    assert [finding["group"] for finding in findings] == [name]
    assert findings[0]["message"].startswith(f"{name}: ")
    assert read_json(world / "public" / "build.json")["groups_in_several_splits"] == {name: "test, train"}
    private = read_json(world / "private" / "audit.json")
    assert private == read_json(world / "build" / "audit.json")
    assert "hospital/a-side.png" in json.dumps(private)


@pytest.mark.parametrize(
    ("change", "check", "message"),
    [
        ("row", check_identities, "is an excluded image of a source that is not public"),
        ("step", check_funnel, "the ledger and the steps of sources that are not public have"),
        ("kept", check_funnel, "the ledger and the steps of sources that are not public have"),
        ("group", check_identities, "group names a file or an excluded image of a source that is not public"),
        ("age", check_identities, "patient_age_text shows an age over 89, in a source that is not public"),
        (
            "detail",
            check_identities,
            "exclusion_detail has a note about an image, or names an excluded image",
        ),
        ("state", check_identities, "is a file, and no image of the dataset, of a source that is not public"),
        ("missing", check_missing, "missing has missing_file, the ledger null"),
    ],
)
def test_verify_finds_an_image_that_is_named_or_not_counted(
    world: Path, tmp_path: Path, change: str, check: Callable[[Context], Iterable[Finding]], message: str
) -> None:
    folder = Path(shutil.copytree(world / "public", tmp_path / "release"))
    assert not [*check(Context(folder, "release"))]
    document, ledger = read_json(folder / "build.json"), read_records(folder / "ledger.parquet")
    build, names = read_records(world / "build" / "ledger.parquet"), ids(world)
    excluded = names["a-side"]
    if change == "row":
        row = build[build["image_id"] == excluded].assign(source_path=excluded, group=None)
        ledger = pd.concat([ledger, row], ignore_index=True)
    elif change in ("step", "kept"):
        name = "lateral" if change == "step" else "kept"
        step = next(row for row in document["funnel"] if row["step"] == name)
        step["by_source"]["hospital"] += 1
        step["images"] += 1
    elif change == "group":
        ledger.loc[ledger["image_id"] == names["k0"], "group"] = f"hospital/{excluded}"
    elif change == "age":
        ledger.loc[ledger["patient_age"] == 90, "patient_age_text"] = "090Y"
    elif change == "detail":
        ledger.loc[ledger["exclusion"] == "duplicate", "exclusion_detail"] = f"duplicate of {excluded}"
    elif change == "state":
        document["sources"]["hospital"]["extra"] = [excluded]
    else:
        document["missing"] = {excluded: "missing_file"}
    write_records(folder / "ledger.parquet", ledger)
    write_json(folder / "build.json", document)
    assert message in " ".join(map(str, check(Context(folder, "release"))))
    if change == "row":
        sum_again(folder)
        ran = run("verify", folder)
        assert ran.status == 3
        assert message in " ".join(ran.err.split())


def test_groups_and_splits_of_named_images_are_checked(world: Path, tmp_path: Path) -> None:
    ran = run("verify", world / "public", COLUMNS="1000")
    assert ran.status == 0, ran.err
    assert ran.out.count("he release does not name the files of hospital") == 1
    assert "The release does not name the files of hospital: whether their groups" in ran.out
    assert "The check `splits` does not apply: links of the recipe may name groups after" in ran.out
    patients = read_records(world / "public" / "manifest.parquet")["patient_id"].nunique()
    assert f"1 group in two splits, as the sources assign them, of {patients} patients, " in ran.out
    folder = tmp_path / "release"
    shutil.copytree(world / "public", folder)
    ledger, document = read_records(folder / "ledger.parquet"), read_json(folder / "build.json")
    o1, o6, o7 = (ledger["source_path"] == f"{name}.png" for name in ("o1", "o6", "o7"))
    k9 = ledger["image_id"] == ids(world)["k9"]
    ledger.loc[o1, "group"] = "open:other"
    ledger.loc[o6 | k9, "group"] = "hospital:with an unnamed one"
    ledger.loc[o7 | k9, "split"] = "validation"
    write_records(folder / "ledger.parquet", ledger)
    document["recipe"]["split"]["links"] = ["known_duplicates"]  # names no source that is not public
    write_json(folder / "build.json", document)
    context = Context(folder, "release")
    assert [finding.row for finding in check_groups(context)] == [*ledger.loc[o1, "image_id"]]
    assert [finding.row for finding in check_splits(context)] == [*ledger.loc[o7, "image_id"]]
    assert not [*check_image_ids(context)]


def test_why_and_load_work_on_such_a_release(world: Path, tmp_path: Path) -> None:
    names = ids(world)
    alone = shutil.copytree(world / "public", tmp_path / "public")
    ran = run("why", names["a-side"], "--build", alone)
    assert ran.status == 1
    assert "no image has this name" in " ".join(ran.err.split())
    listed = run("why", "--excluded", "--build", alone, "--json")
    result = json.loads(listed.out)
    assert result["unlisted"] == ["hospital"]
    assert "hospital" not in {image["source"] for image in result["images"]}
    assert "A public release does not list the excluded images of hospital" in " ".join(listed.err.split())
    # A path is no patient: the key does not help.
    other_key = {KEY_VARIABLE: "another-key-of-32-characters-abc"}
    for name in ("no-such.png", "hospital/no-such.png"):
        said = " ".join(run("why", name, "--build", alone, COLUMNS="400", **other_key).err.split())
        assert "its whole path within the source" in said
        assert "CXRBUILD_PATIENT_KEY" not in said
    assert "CXRBUILD_PATIENT_KEY" in run("why", "no-such", "--build", alone, **other_key).err
    for name in ("k0.png", "hospital/k0.png", "data/sources/hospital/k0.png"):
        [image] = json.loads(run("why", name, "--build", alone, "--json").out)["images"]
        assert image["image_id"] == names["k0"]
    # The builds that somebody has next to it know the image.
    ran = run("why", names["a-side"], "--build", world / "public", COLUMNS="400")
    assert ran.status == 1
    assert f"--build {world / 'build'}: mine 1.0.0 has it as {names['a-side']} (lateral)" in ran.err
    ran = run("why", "nothing-like-it", "--build", world / "public")
    text = " ".join(ran.err.split())
    assert (
        "Ask the build: a public release lists neither the excluded images nor the file names of hospital"
        in text
    )
    ran = run("why", names["k0"], "--build", world / "public", "--json")
    assert ran.status == 0, ran.err
    others = json.loads(ran.out)["images"][0]["group_images"]
    assert [image.split("_")[1] for image in others] == ["o3", "o5"]
    dataset = cxrbuild.load(world / "public")
    assert len(dataset) == len(read_records(world / "public" / "manifest.parquet"))
    # The release does not list the excluded images, so it does not say which findings have no class.
    found = cxrbuild.diff(world / "build", world / "public")
    assert not [total for total in found.totals if total.old != total.new]


def test_diff_and_changelog_of_public_releases(world: Path, tmp_path: Path) -> None:
    """An image of the release is withdrawn, an excluded one is kept now, and a new one is excluded."""
    folder = tmp_path / "next"
    shutil.copytree(
        world, folder, ignore=shutil.ignore_patterns("build", "public", "private", "data", "release")
    )
    names = ids(world)
    (folder / "lost.csv").write_text(
        "path,date,reason\nk3.png,2026-02-28,said by Dr Doe\nb-marked.png,2026-02-27,of Dr Doe\n"
    )
    rows = [(*row[:3], "PA", *row[4:]) if row[0] == "a-side.png" else row for row in HOSPITAL]
    rows = [row for row in rows if row[0] != "k4.png"] + [("z-new.png", "P-9", "well", "LL", 96)]
    write_source(folder, "hospital", rows, 'withdrawn = "lost.csv"')
    (folder / "hospital" / "k4.png").unlink()
    build = curate(folder, version="2.0.0")
    public = release(folder, build, "2.0.0", "public", "--previous", world / "public")
    added, removed, left = names["a-side"], names["k3"], names["k4"]
    said = (public / "CHANGELOG.md").read_text()
    escaped = said.replace("\\", "")
    assert (
        f"{removed} (train Sick): withdrawn\n" in escaped or f"{removed} (test Sick): withdrawn\n" in escaped
    )
    assert "2026-02-2" not in said
    assert names["b-marked"] not in said
    assert "Doe" not in texts(public)
    assert f"{added} (" in escaped
    assert "not stated: the source is not public" in escaped
    assert f"{left} (train Well): no longer upstream\n" in escaped.replace("(test", "(train")
    # How many images of the hospital came or left upstream, a public release does not say.
    assert "upstream: 1 image" not in said
    recorded = read_json(public / "build.json")["removed"]
    assert recorded == [
        {"image_id": image, "source": "hospital", "version": "2.0.0", "cause": cause}
        for image, cause in sorted([(removed, "withdrawn"), (left, "no longer upstream")])
    ]
    ran = run("diff", world / "public", public, "--json")
    found = json.loads(ran.out)
    reasons = {row["image_id"]: row["reason"] for kind in ("removed", "added") for row in found[kind]}
    assert reasons == {
        removed: "withdrawn", left: "no longer upstream", added: "not stated: the source is not public"
    }  # fmt: skip
    alone = shutil.copytree(public, tmp_path / "alone" / "public")
    for name in (removed, "k3.png"):
        ran = run("why", name, "--build", alone, "--recipe", folder / "recipe.toml", COLUMNS="400")
        assert ran.status == 1
        assert f"{removed} is not in mine 2.0.0: withdrawn since version 2.0.0" in ran.err
        assert "A public release has no more about it, as hospital is not public: ask the build" in ran.err
    of_public = found["totals"]
    ran = run("diff", world / "build", build, "--json")
    assert json.loads(ran.out)["totals"] == of_public
    reasons = {row["image_id"]: row["reason"] for row in json.loads(ran.out)["removed"]}
    assert reasons[removed] == "withdrawn (2026-02-28: said by Dr Doe)"


@pytest.mark.parametrize(
    ("previous", "message"),
    [("private", "what only a private release has"), ("build", "no release in this folder")],
)
def test_a_changelog_that_names_files_is_refused(
    world: Path, tmp_path: Path, previous: str, message: str
) -> None:
    out = tmp_path / "release"
    ran = run("release", "1.0.0", "--build", world / "build", "--out", out, "--previous", world / previous)
    text = " ".join(ran.err.split())
    assert ran.status == 1
    assert message in text
    assert not out.exists()


@pytest.mark.usefixtures("without_verifying")
def test_a_recipe_that_names_an_excluded_image_is_refused(world: Path, tmp_path: Path) -> None:
    folder = tmp_path / "named"
    shutil.copytree(
        world, folder, ignore=shutil.ignore_patterns("build", "public", "private", "data", "release")
    )
    rule = """
[[rules]]
name = "by_hand"
kind = "not_in"
column = "image_id"
values = ["{image}"]
reason = "Not shown."
"""
    build = curate(folder, more=rule.format(image=ids(world)["k5"]))
    ran = run("release", "1.0.0", "--build", build, "--out", folder / "public")
    text = " ".join(ran.err.split())
    assert ran.status == 1
    assert "a public release would name images that it does not include" in text
    assert "1 id: recipe.rules.by_hand.values.0" in text
    release(folder, build, "1.0.0", "private", "--policy", "private")


@pytest.mark.usefixtures("without_verifying")
def test_missing_images_are_counted_and_not_named(world: Path, tmp_path: Path) -> None:
    folder = tmp_path / "missing"
    shutil.copytree(world, folder, ignore=shutil.ignore_patterns("build", "public", "private", "release"))
    (folder / "data" / "sources" / "hospital" / "k4.png").unlink()
    (folder / "data" / "sources" / "open" / "o7.png").unlink()
    ran = run("curate", "--recipe", "recipe.toml", "--out", "build", "--format", "parquet", "--workers", "1",
              "--allow-missing", cwd=folder)  # fmt: skip
    assert ran.status == 0, ran.err
    public = release(folder, folder / "build", "1.0.0", "public")
    missing = read_json(folder / "build" / "build.json")["missing"]
    assert ids(world)["k4"] in missing
    assert len(missing) == 2
    found = read_json(public / "build.json")["missing"]
    assert [image.split("_")[0] for image in found] == ["open"]
    assert ids(world)["k4"] not in texts(public)
    card = (public / "README.md").read_text()
    assert "2 of the 15 images of the dataset are missing. `build.json` counts them by source." in card
    ran = run("verify", public)
    assert ran.status == 0, ran.err
    assert "Incomplete: 2 images missing" in ran.out
