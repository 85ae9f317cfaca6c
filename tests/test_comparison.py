"""Comparisons of networks: which images are trained on and evaluated, the differences, and resuming."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command import run
from recording import Recorded

from cxrbuild.artifact.comparison import ComparisonDocument
from cxrbuild.baseline import ComparisonResult, compare_baselines, train_baseline
from cxrbuild.baseline.partitions import keep_splits, make_folds, withhold_sources
from cxrbuild.bootstrap import exact_interval, paired_figures
from cxrbuild.catalog import Recipe
from cxrbuild.catalog.split import Folds, Split
from cxrbuild.errors import CxrbuildError
from cxrbuild.files import sha256_of
from cxrbuild.folds import add_folds
from cxrbuild.records import read_records

tensorflow = pytest.mark.xdist_group("tensorflow")
SPLIT = Split(salt="test")


def make_rows(**counts: int) -> pd.DataFrame:
    """Return images of ``label_source``, two of each patient, every fifth patient in the test split."""
    rows = []
    for key, count in counts.items():
        label, source = key.split("_")
        for number in range(count):
            group = f"{key}:{number // 2}"
            split = "test" if number // 2 % 5 == 4 else "train"
            rows.append((f"{key}-{number:03d}", source, group, label, split))
    return pd.DataFrame(rows, columns=["image_id", "source", "group", "label", "split"])


# Partitions


def test_folds_keep_groups_whole_and_are_stratified_by_class_and_source() -> None:
    rows = make_rows(a_x=80, a_y=40, b_x=40)
    partitions = make_folds(rows, 4, SPLIT, ["a", "b"], "build")
    assert [partition.name for partition in partitions] == [f"fold-{number}" for number in (1, 2, 3, 4)]
    tested = pd.concat([partition.splits[partition.splits == "test"] for partition in partitions])
    # Each image that is not in the test split is evaluated once.
    assert sorted(tested.index) == rows.index[rows["split"] == "train"].tolist()
    for partition in partitions:
        view = rows.loc[partition.splits.index].assign(part=partition.splits)
        assert set(view["split"]) == {"train"}
        assert view.groupby("group")["part"].nunique().max() == 1
        counts = view[view["part"] == "test"].groupby(["label", "source"]).size()
        assert counts.to_dict() == {("a", "x"): 16, ("a", "y"): 8, ("b", "x"): 8}


def test_folds_are_those_of_a_build_with_as_many() -> None:
    rows = make_rows(a_x=40, a_y=20, b_x=30)
    split = SPLIT.model_copy(update={"folds": Folds(count=3)})
    fold = add_folds(rows.assign(exclusion=None), split)["fold"]
    for number, partition in enumerate(make_folds(rows, 3, SPLIT, ["a", "b"], "build")):
        tested = partition.splits.index[partition.splits == "test"]
        assert tested.tolist() == rows.index[(fold == number) & (rows["split"] == "train")].tolist()


def test_an_image_of_a_linked_patient_is_in_the_fold_of_the_others() -> None:
    rows = make_rows(a_x=20, b_y=20)
    rows.loc[rows["group"] == "b_y:0", "group"] = "a_x:0"
    for partition in make_folds(rows, 3, SPLIT, ["a", "b"], "build"):
        assert partition.splits[rows["group"] == "a_x:0"].nunique() == 1


def test_a_class_that_cannot_fill_the_folds_is_an_error_with_its_number_of_groups() -> None:
    # Five patients, one of them in the test split.
    with pytest.raises(
        CxrbuildError, match=r"build: b cannot fill 5 folds\. Expected: at least 5 groups"
    ) as error:
        make_folds(make_rows(a_x=40, b_y=10), 5, SPLIT, ["a", "b"], "build")
    assert "Found: b 4 groups. Name fewer --folds" in str(error.value)
    assert len(make_folds(make_rows(a_x=40, b_y=10), 4, SPLIT, ["a", "b"], "build")) == 4


def test_folds_that_groups_of_several_classes_leave_without_a_class_are_an_error() -> None:
    # Each two classes share a group: two of the three groups are in one fold.
    rows = make_rows(a_x=2, b_x=2, c_x=2)
    rows["group"] = ["1", "2", "1", "3", "2", "3"]
    rows["split"] = "train"
    with pytest.raises(CxrbuildError, match=r"fold \d has no image of [abc] to ") as error:
        make_folds(rows, 2, SPLIT, ["a", "b", "c"], "build")
    assert "Found: groups of patients with several classes, which stay in one fold." in str(error.value)


@pytest.mark.parametrize("joined", [False, True])
@pytest.mark.parametrize("count", [2, 3, 5])
def test_a_class_of_as_many_groups_as_folds_fills_them_whatever_their_sources(
    count: int, *, joined: bool
) -> None:
    for attempt in range(4):
        few = {f"a_{attempt}s{number}": 2 for number in range(count)}
        rows = make_rows(**few, b_x=60)
        if joined:
            rows.loc[rows["group"] == "b_x:0", "group"] = f"a_{attempt}s0:0"
        partitions = make_folds(rows, count, SPLIT, ["a", "b"], "build")
        for partition in partitions:
            tested = rows.loc[partition.splits.index[partition.splits == "test"]]
            assert (tested["label"] == "a").sum() == 2


def test_a_source_is_withheld_with_the_patients_that_it_shares() -> None:
    rows = make_rows(a_x=20, b_x=20, a_y=20, b_y=20, b_z=4)
    rows.loc[rows["group"] == "b_z:0", "group"] = "b_x:3"
    (partition,) = withhold_sources(rows, ["x"], ["a", "b"], "build")
    assert (partition.name, partition.evaluation) == ("without-x", "x")
    train = rows.loc[partition.splits.index[partition.splits == "train"]]
    test = rows.loc[partition.splits.index[partition.splits == "test"]]
    assert len(test) == (rows["source"] == "x").sum()
    assert "x" not in set(train["source"])
    assert set(train["split"]) == {"train"}
    assert not set(train["group"]) & set(test["group"])
    assert "b_z-000" not in set(train["image_id"])
    assert "b_z-002" in set(train["image_id"])


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("mooney", "the source mooney cannot be withheld: without it no training image of Normal, Pneumonia"),
        ("cohen", "the source cohen cannot be withheld: it has images of COVID only, so there is nothing"),
        ("moony", "the dataset has no source 'moony'; the nearest source is 'mooney'"),
    ],
)
def test_a_source_that_is_one_with_a_class_is_refused_with_the_reason(source: str, message: str) -> None:
    """The paper's dataset: no score could show whether a model recognises the disease or the source."""
    rows = make_rows(COVID_cohen=20, COVID_figure1=10, Normal_mooney=20, Pneumonia_mooney=20)
    with pytest.raises(CxrbuildError, match=message) as error:
        withhold_sources(rows, [source], ["COVID", "Normal", "Pneumonia"], "build")
    if source != "moony":
        assert "COVID from cohen, figure1; Normal from mooney; Pneumonia from mooney" in str(error.value)


def test_a_source_that_is_named_twice_is_withheld_once() -> None:
    rows = make_rows(a_x=20, b_x=20, a_y=20, b_y=20)
    partitions = withhold_sources(rows, ["y", "x", "y"], ["a", "b"], "build")
    assert [one.name for one in partitions] == ["without-y", "without-x"]


def test_without_folds_or_sources_the_splits_are_the_datasets_own() -> None:
    rows = make_rows(a_x=20, b_x=20)
    (partition,) = keep_splits(rows)
    assert partition.splits.tolist() == rows["split"].tolist()


# Differences


def test_figures_are_those_of_all_images() -> None:
    labels = np.array([0, 0, 0, 1, 1, 3])
    right = np.array([[1, 1, 0, 1, 0, 1], [1, 1, 1, 0.5, 0, 1]], float)
    found = paired_figures(labels, right[:, None], list("aabbcd"), list("wxyz"), resamples=50)
    assert found.names == ["accuracy", "balanced_accuracy", "w", "x", "y", "z"]
    np.testing.assert_allclose(
        found.figures[0, :, 0], [4 / 6, (2 / 3 + 1 / 2 + 1) / 3, 2 / 3, 1 / 2, np.nan, 1]
    )
    np.testing.assert_allclose(found.differences[1, :3, 0], [0.5 / 6, (1 / 3 - 1 / 4) / 3, 1 / 3])
    assert (found.differences[0, :4, 0] == 0).all()
    # Four patients are too few for an interval of a difference.
    assert np.isnan(found.differences[..., 1:]).all()
    # One patient who is right shows little; a bootstrap of it has no width.
    assert found.figures[0, 5].tolist() == [1, pytest.approx(0.025), 1]
    # A class without images has no figure.
    assert np.isnan(found.figures[:, 4]).all()


def test_intervals_of_differences_are_paired_and_by_patient() -> None:
    """The models agree on hard images, and one is right on some more: the difference is more certain."""
    random = np.random.default_rng(0)
    labels = np.zeros(600, int)
    # Three images of each patient, of whom some are hard for both models.
    hard = np.repeat(random.random(200) < 0.4, 3)
    better = np.repeat(random.random(200) < 0.2, 3)
    right = np.stack([~hard, ~hard | better]).astype(float)
    groups = [str(number // 3) for number in range(600)]
    found = paired_figures(labels, right[:, None], groups, ["a"], resamples=2000)
    widths = found.figures[:, 0, 2] - found.figures[:, 0, 1]
    value, low, high = found.differences[1, 0]
    assert value == pytest.approx((right[1] - right[0]).mean())
    assert 0 < low < value < high
    assert high - low < 0.7 * widths.min()
    # Three equal images of a patient show no more than one.
    single = paired_figures(labels[::3], right[:, None, ::3], groups[::3], ["a"], resamples=2000)
    np.testing.assert_allclose(single.differences, found.differences, atol=1e-12)
    # By image, the same images would look like three times as many patients.
    single_images = [str(number) for number in range(600)]
    images = paired_figures(labels, right[:, None], single_images, ["a"], resamples=2000)
    narrow = images.differences[1, 0]
    assert narrow[2] - narrow[1] < 0.7 * (high - low)


def test_intervals_of_several_seeds_contain_what_the_seed_changes() -> None:
    """A seed that makes both models better makes neither of them the better one."""
    labels, groups = np.zeros(400, int), [str(number) for number in range(400)]
    random = np.random.default_rng(1)
    # One seed is right on half of the images, the others on nine of ten; the second model is equally good.
    one = np.stack([random.random(400) < share for share in (0.5, 0.9, 0.9)])
    right = np.stack([one, one]).astype(float)
    found = paired_figures(labels, right, groups, ["a"], resamples=2000)
    alone = paired_figures(labels, right.mean(axis=1, keepdims=True), groups, ["a"], resamples=2000)
    value, low, high = found.figures[0, 0]
    assert value == pytest.approx(one.mean()) == alone.figures[0, 0, 0]
    assert low < 0.6 < 0.88 < high
    assert high - low > 2 * (alone.figures[0, 0, 2] - alone.figures[0, 0, 1])
    assert found.differences[1, 0].tolist() == [0, 0, 0]


def test_exact_intervals_contain_the_share() -> None:
    for hits in range(11):
        low, high = exact_interval(hits, 10)
        assert low <= hits / 10 <= high
        assert high - low > 0.25
    # 1 - 0.025 ** (1 / 10), from the binomial distribution.
    assert exact_interval(10, 10) == pytest.approx((0.025**0.1, 1))


# A comparison


@pytest.fixture(scope="module")
def compared(demo: Path, recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> ComparisonResult:
    """Two optimizers, two seeds, two folds."""
    return compare_baselines(
        demo / "build",
        recipe,
        out=tmp_path_factory.mktemp("compared"),
        optimizers=["adam", "sgd"],
        folds=2,
        epochs=2,
        seeds=[1, 2],
    )


@pytest.mark.slow
@tensorflow
def test_every_combination_predicts_every_image_once_without_its_patient(
    demo: Path, compared: ComparisonResult
) -> None:
    out, document = compared.out, compared.document
    assert ComparisonDocument.read(out / "comparison.json") == document
    predictions = pd.read_parquet(out / "comparison.parquet")
    manifest = read_records(demo / "build" / "manifest.parquet")
    train = manifest[manifest["split"] == "train"]
    assert len(document.runs) == 8
    for _, of_model in predictions.groupby(["combination", "seed"]):
        assert sorted(of_model["image_id"]) == sorted(train["image_id"])
        assert set(of_model["split"]) == {"train"}
    for described in document.runs:
        trained = pd.read_parquet(out / described.folder / "trained_on.parquet")
        tested = predictions[
            (predictions["combination"] == described.combination)
            & (predictions["part"] == described.part)
            & (predictions["seed"] == described.seed)
        ]
        assert not set(trained["group"]) & set(tested["group"])
        assert len(trained) + len(tested) == len(train)
        assert sum(described.test.values()) == len(tested)


@pytest.mark.slow
@tensorflow
def test_the_figures_follow_from_the_predictions(compared: ComparisonResult) -> None:
    document = compared.document
    (evaluation,) = document.evaluations
    predictions = pd.read_parquet(compared.out / "comparison.parquet")
    predictions["right"] = predictions["predicted"] == predictions["label"]
    probabilities = predictions.filter(like="probability_").to_numpy()
    assert (
        np.array(document.classes)[probabilities.argmax(axis=1)] == predictions["predicted"]
    ).all()  # fmt: skip
    assert [one.name for one in document.combinations] == ["zhong-adam", "zhong-sgd"]
    accuracy = predictions.groupby("combination")["right"].mean()
    recall = predictions.groupby(["combination", "label"])["right"].mean()
    for name, figures in evaluation.figures.items():
        assert figures.accuracy.value == pytest.approx(accuracy[name])
        assert figures.accuracy.low <= figures.accuracy.value <= figures.accuracy.high
        assert figures.balanced_accuracy.value == pytest.approx(recall[name].mean())
        for label, interval in figures.recall.items():
            assert interval.value == pytest.approx(recall[name, label])
    difference = evaluation.differences["zhong-sgd"].accuracy.value
    assert difference == pytest.approx(accuracy["zhong-sgd"] - accuracy["zhong-adam"])
    report = (compared.out / "comparison.md").read_text()
    assert f"| zhong-sgd | {difference:+.3f} (" in report
    assert "The test split has no part in it" in report
    assert (compared.out / "figures" / "comparison.png").is_file()


@tensorflow
@pytest.mark.slow
def test_a_repeated_comparison_trains_only_what_is_missing(
    demo: Path, recipe: Recipe, compared: ComparisonResult, tmp_path: Path
) -> None:
    out = Path(shutil.copytree(compared.out, tmp_path / "out"))
    removed = compared.document.runs[0].folder
    shutil.rmtree(out / removed)
    before = {path: path.stat().st_mtime_ns for path in out.glob("runs/**/model.keras")}
    again = compare_baselines(
        demo / "build", recipe, out=out, optimizers=["adam", "sgd"], folds=2, epochs=2, seeds=[1, 2]
    )
    assert again.document == compared.document
    after = {path: path.stat().st_mtime_ns for path in out.glob("runs/**/model.keras")}
    assert {path for path in after if before.get(path) != after[path]} == {out / removed / "model.keras"}
    for name in ("comparison.json", "comparison.md", "comparison.parquet", "figures/comparison.svg"):
        assert sha256_of(out / name) == sha256_of(compared.out / name)
    with pytest.raises(CxrbuildError, match=r"another training\. Expected: epochs 1\. Found: epochs 2"):
        compare_baselines(demo / "build", recipe, out=out, folds=2, epochs=1)


@tensorflow
@pytest.mark.usefixtures("drawn_figures")
def test_optimizers_are_compared_on_the_test_split_which_chooses_nothing(
    demo: Path, small_recipe: Path, tmp_path: Path
) -> None:
    ran = run("train-baseline", "--build", demo / "build", "--recipe", small_recipe, "--optimizer", "sgd",
              "--optimizer", "nadam", "--epochs", 1, "--out", tmp_path / "out", COLUMNS="1000")  # fmt: skip
    assert ran.status == 0, ran.err
    lines = [line for line in ran.err.splitlines() if " left" not in line and "so far" not in line]
    assert [line.partition(":")[0] for line in lines] == [
        "Stages", "1/5 loading TensorFlow", "2/5 reading images", "3/5 training", "4/5 measuring",
        "5/5 drawing figures",
    ]  # fmt: skip
    document = ComparisonDocument.read(tmp_path / "out" / "comparison.json")
    assert [one.name for one in document.combinations] == ["zhong-sgd", "zhong-nadam"]
    assert document.protocol == "split"
    assert "test  zhong-nadam" in ran.out
    assert f"The report is {tmp_path / 'out' / 'comparison.md'}" in ran.out
    report = (tmp_path / "out" / "comparison.md").read_text()
    assert "**The test split chooses\nnothing here**" in report
    assert "**15 images show little**" in report


@tensorflow
@pytest.mark.slow
def test_networks_of_different_sides_are_compared_on_the_same_images(
    demo: Path, small_recipe: Path, tmp_path: Path
) -> None:
    shutil.copytree(small_recipe.parent, tmp_path / "declared")
    recipe = tmp_path / "declared" / "recipe.toml"
    declared = '[[baseline.networks]]\nname = "MobileNetV2"\nside = 32\n\n[baseline.network]\n'
    recipe.write_text(small_recipe.read_text().replace("[baseline.network]\n", declared))
    ran = run("train-baseline", "--build", demo / "build", "--recipe", recipe, "--network", "MobileNetV2",
              "--network", "zhong", "--epochs", 1, "--out", tmp_path / "out")  # fmt: skip
    assert ran.status == 0, ran.err
    document = ComparisonDocument.read(tmp_path / "out" / "comparison.json")
    assert [(one.name, one.side) for one in document.combinations] == [
        ("MobileNetV2-adam", 32), ("zhong-adam", 16),
    ]  # fmt: skip
    predictions = pd.read_parquet(tmp_path / "out" / "comparison.parquet")
    images = predictions.groupby("combination")["image_id"].agg(list)
    assert images["MobileNetV2-adam"] == images["zhong-adam"]


# Wrong input


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["--folds", 30], 1, "COVID-19, Normal, Pneumonia cannot fill 30 folds"),
        (["--leave-out", "cohen"], 1, "the source cohen cannot be withheld"),
        (["--network", "VGG91", "--folds", 2], 1, "no network is called 'VGG91'"),
        (["--folds", 2, "--leave-out", "cohen"], 2, "are two protocols"),
        (["--folds", 2, "--gate"], 2, "--gate is for one network"),
        (
            ["--network", "zhong", "--network", "VGG19", "--evaluate-only", "x"],
            2,
            "--evaluate-only is for one",
        ),
    ],
)
def test_what_cannot_be_compared_is_an_error_before_an_image_is_read(
    demo: Path, small_recipe: Path, tmp_path: Path, words: list[object], status: int, message: str
) -> None:
    ran = run("train-baseline", "--build", demo / "build", "--recipe", small_recipe,
              "--out", tmp_path / "out", *words, COLUMNS="1000")  # fmt: skip
    assert ran.status == status
    assert " ".join(message.split()) in " ".join(ran.err.split())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("start", [train_baseline, partial(compare_baselines, folds=2)])
def test_a_build_without_pixels_is_an_error_before_tensorflow_is_loaded(
    demo: Path, recipe: Recipe, tmp_path: Path, start: Callable[..., object]
) -> None:
    build = tmp_path / "build"
    build.mkdir()
    for name in ("manifest.parquet", "build.json"):
        shutil.copy(demo / "build" / name, build)
    progress = Recorded()
    with pytest.raises(CxrbuildError) as error:
        start(build, recipe, progress=progress)
    assert f"{build}: this dataset has no pixels. Expected: images/ or data/*.parquet" in str(error.value)
    assert "Found: manifest.parquet alone. Run `cxrbuild curate`" in str(error.value)
    assert progress.planned == []
    assert sorted(path.name for path in build.iterdir()) == ["build.json", "manifest.parquet"]
