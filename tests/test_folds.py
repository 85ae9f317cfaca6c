"""Folds keep patients whole, have their share of every stratum, and barely move when images are added."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from command import run
from hypothesis import given, settings
from hypothesis import strategies as st
from releasing import change_rows

import cxrbuild
from cxrbuild.catalog.split import Split
from cxrbuild.folds import add_folds, assign_folds, choose_folds
from cxrbuild.records import conform

FIVE = Split.model_validate({"salt": "s", "folds": {"count": 5}})


def images(count: int, seed: int = 1) -> pd.DataFrame:
    """Return rows of groups of one to three images, in two splits, classes and sources."""
    random = np.random.default_rng(seed)
    group = random.integers(0, count // 2, count)
    # What decides the stratum is of the group.
    return conform(
        pd.DataFrame({
            "image_id": [f"i{seed}-{i}" for i in range(count)],
            "group": [f"g{seed}-{g}" for g in group],
            "split": np.where(group % 5 == 0, "test", "train"),
            "label": np.where(group % 3 == 0, "A", "B"),
            "source": np.where(group % 2 == 0, "x", "y"),
        })
    )  # fmt: skip


def test_groups_are_whole_and_every_stratum_is_shared_out() -> None:
    rows = add_folds(images(2000), FIVE)
    assert (rows.groupby("group")["fold"].nunique() == 1).all()
    assert set(rows["fold"]) == set(range(5))
    largest = rows.groupby("group").size().max()
    for columns in (["split", "label", "source"], ["split"], ["label"], ["source"]):
        counts = rows.groupby([*columns, "fold"]).size().unstack(fill_value=0)
        strata = rows[["split", "label", "source"]].drop_duplicates().groupby(columns).size()
        # Each stratum can be off by one image, or by a group that fits nowhere.
        assert ((counts.max(axis=1) - counts.min(axis=1)) <= largest * strata).all()


def test_the_order_of_the_rows_does_not_matter_and_the_salt_does() -> None:
    rows = images(300)
    folds = assign_folds(rows, FIVE)
    assert assign_folds(rows.iloc[::-1], FIVE).sort_index().equals(folds)
    other = FIVE.model_copy(update={"salt": "t"})
    assert (assign_folds(rows, other) != folds).mean() > 0.5


def test_added_images_move_few_others() -> None:
    rows = images(2000)
    folds = assign_folds(rows, FIVE)
    moved = [
        (
            assign_folds(pd.concat([rows, images(2, seed)], ignore_index=True), FIVE)[: len(rows)] != folds
        ).sum()
        for seed in range(2, 8)
    ]
    assert np.mean(moved) < 6
    more = pd.concat([rows, images(200, 30)], ignore_index=True)
    assert (assign_folds(more, FIVE)[: len(rows)] != folds).mean() < 0.1


def test_sources_of_few_groups_are_balanced_against_each_other() -> None:
    rows = images(40).assign(group=[f"g{n}" for n in range(40)], source=[f"s{n}" for n in range(40)])
    rows = rows.assign(label="A", split="train")
    assert set(assign_folds(rows, FIVE).value_counts()) == {8}


@settings(max_examples=25)
@given(st.lists(st.integers(1, 9), min_size=3, max_size=12), st.integers(0, 99))
def test_a_class_of_enough_groups_is_in_every_fold(sizes: list[int], salt: int) -> None:
    rows = pd.DataFrame({"group": np.repeat([f"g{n}" for n in range(len(sizes))], sizes)})
    rows = conform(rows.assign(image_id=[f"i{n}" for n in range(len(rows))], split="train", label="A"))
    rows["source"] = rows["group"].str[-1].map(lambda last: "x" if last in "0123" else last)
    split = Split.model_validate({"salt": str(salt), "folds": {"count": 3}})
    assert set(assign_folds(rows, split)) == {0, 1, 2}


def test_excluded_images_and_recipes_without_folds_have_none() -> None:
    rows = images(100)
    rows.loc[3, "exclusion"] = "ct"
    assert assign_folds(rows, FIVE).isna().tolist() == [i == 3 for i in range(100)]
    assert add_folds(rows, Split(salt="s"))["fold"].isna().all()


def test_fewer_groups_than_folds_are_refused() -> None:
    with pytest.raises(cxrbuild.CxrbuildError, match="has 1 group of patients, fewer than folds"):
        assign_folds(images(2), FIVE)


def test_a_group_of_two_strata_is_in_one_fold() -> None:
    rows = images(100)
    rows.loc[:9, "group"] = "joined"
    folds = assign_folds(rows, FIVE)
    assert folds[:10].nunique() == 1


@given(st.lists(st.integers(1, 6), min_size=1, max_size=60), st.integers(2, 7))
def test_folds_differ_by_the_largest_group_at_most(sizes: list[int], count: int) -> None:
    groups = {f"g{i}": size for i, size in enumerate(sizes)}
    folds = choose_folds(groups, count, "s")
    assert set(folds) == set(groups)
    images = [sum(groups[g] for g, fold in folds.items() if fold == number) for number in range(count)]
    assert max(images) - min(images) <= max(sizes)


@pytest.fixture(scope="module")
def recipe(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's recipe with folds."""
    folder = tmp_path_factory.mktemp("folds") / "declared"
    shutil.copytree(demo / "declared", folder)
    with (folder / "recipe.toml").open("a") as stream:
        stream.write("\n[split.folds]\ncount = 3\n")
    return folder / "recipe.toml"


@pytest.fixture(scope="module")
def build(recipe: Path, demo: Path) -> Path:
    out = recipe.parent.parent / "build"
    cxrbuild.curate(recipe, demo / "data", out, formats=["parquet"], workers=1)
    return out


def test_a_build_has_folds_in_its_table_shards_loaders_and_exports(build: Path, tmp_path: Path) -> None:
    manifest = pd.read_parquet(build / "manifest.parquet").set_index("image_id")
    assert set(manifest["fold"]) == {0, 1, 2}
    shards = pd.concat(pq.read_table(path).to_pandas() for path in (build / "data").glob("*.parquet"))
    assert shards.set_index("image_id")["fold"].sort_index().equals(manifest["fold"].sort_index())

    dataset = cxrbuild.load(build).select("train")
    train, held_out = dataset.fold(1)
    assert set(held_out.rows["fold"]) == {1}
    assert set(train.rows["fold"]) == {0, 2}
    assert sorted([*train.rows["image_id"], *held_out.rows["image_id"]]) == sorted(dataset.rows["image_id"])
    assert [row["image_id"] for _, row in held_out] == held_out.rows["image_id"].tolist()
    with pytest.raises(cxrbuild.CxrbuildError, match="is in the fold 1"):
        train.read_image(held_out.rows["image_id"].iloc[0])
    with pytest.raises(cxrbuild.CxrbuildError, match=r"has no fold 3.*Expected: one of 0, 1, 2"):
        dataset.fold(3)

    out = cxrbuild.export(build, "npz", tmp_path / "npz", size=8).folder
    with np.load(out / "demo-cxr_8.npz") as arrays:
        for split in ("train", "test"):
            expected = manifest.loc[arrays[f"{split}_ids"], "fold"].tolist()
            assert arrays[f"{split}_folds"][:, 0].tolist() == expected
    table = pd.read_csv(out / "images.csv").set_index("image_id")["fold"]
    assert table.sort_index().equals(manifest["fold"].sort_index())
    coco = cxrbuild.export(build, "coco", tmp_path / "coco").folder
    for image in json.loads((coco / "annotations" / "test.json").read_text("utf-8"))["images"]:
        assert image["fold"] == manifest.loc[image["image_id"], "fold"]


def test_a_release_with_folds_is_verified_and_loads(build: Path, tmp_path: Path) -> None:
    released = cxrbuild.release(build, "1.0.0", tmp_path / "release").release.folder
    assert not cxrbuild.verify(released).findings
    train, held_out = cxrbuild.load(released).select("train").fold(2)
    assert set(held_out.rows["fold"]) == {2}
    assert len(list(held_out)) == len(held_out)
    assert len(list(train.iterate_bytes())) == len(train)
    assert [row["fold"] for _, row in held_out] == [2] * len(held_out)


def test_verify_finds_a_fold_that_does_not_follow_from_the_recipe(build: Path, tmp_path: Path) -> None:
    shutil.copytree(build, tmp_path / "build")
    rows = pd.read_parquet(build / "manifest.parquet")
    row = rows[rows["fold"] == 0].iloc[0]
    change_rows(tmp_path / "build", row["image_id"], fold=2)
    ran = run("verify", tmp_path / "build", "--json")
    findings = [found for found in json.loads(ran.out)["findings"] if found["check"] == "folds"]
    assert [(found["row"], found["message"]) for found in findings] == [
        (row["image_id"], "fold is 2, by the recipe it is 0")
    ]


def test_a_build_without_folds_says_so(demo: Path) -> None:
    with pytest.raises(cxrbuild.CxrbuildError, match=r"recipe with `\[split.folds\]`"):
        cxrbuild.load(demo / "build").fold(0)


@pytest.mark.slow
def test_tfrecord_has_folds(recipe: Path, demo: Path, tmp_path: Path) -> None:
    ran = run("curate", "--recipe", recipe, "--data", demo / "data", "--out", tmp_path / "b")
    assert ran.status == 0, ran.err
    code = (
        "import sys, json, tensorflow_datasets as tfds\n"
        "builder = tfds.builder_from_directory(sys.argv[1])\n"
        "print(json.dumps({row['image_id'].decode(): int(row['fold']) for split in builder.info.splits\n"
        "    for row in tfds.as_numpy(builder.as_dataset(split=split))}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "b" / "tfds" / "demo_cxr" / "1.0.0")],
        capture_output=True, text=True, check=False, env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    manifest = pd.read_parquet(tmp_path / "b" / "manifest.parquet").set_index("image_id")
    assert json.loads(done.stdout.splitlines()[-1]) == manifest["fold"].to_dict()
    assert run("verify", tmp_path / "b").status == 0
