"""Measure mark detection on reviewed images; fit its models with --fit.

    python tests/benchmarks/bench_marks.py --data DATA [--reviews covid_frontal] [--fit]

DATA is a folder that `cxrbuild fetch` filled. Precision and recall count images: an image counts as found if
the kind is proposed anywhere on it. The first columns measure the shipped models, which were fitted to these
images. The columns `cross-validated` estimate the result on other images: weights and thresholds are fitted
to four fifths of the patients and measured on the others, five times.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import astuple, fields
from pathlib import Path

import numpy as np
import pandas as pd

from cxrbuild.catalog import read_reviews
from cxrbuild.cli.output import table
from cxrbuild.convert import read_image
from cxrbuild.curation import make_plan, read_declared
from cxrbuild.executors import default_workers, open_executor, run_batches
from cxrbuild.marks import (
    KINDS,
    MAX_SIDE,
    MODELS,
    ImageRegions,
    MarkModel,
    RegionFeatures,
    find_marks,
    find_regions,
)

FOLDS = 5
# The recall that a threshold must reach on the images that it is chosen on.
RECALL = {"arrow": 1.0, "letter": 0.9, "marker": 0.95}


def search(image: tuple[int, Path]) -> ImageRegions:
    """Find the regions of the image in a file."""
    return find_regions(read_image(image[1], max_side=MAX_SIDE, color=True))


def reviewed_kinds(images: pd.DataFrame) -> pd.DataFrame:
    """Return whether each image has each kind of mark: 1, 0, or null where the review does not say."""
    marks, notes = images["mark"], images["note"]
    truth = pd.DataFrame(index=images.index)
    truth["arrow"] = marks.isin(["arrow", "symbol"])
    truth["shape"] = marks == "shape"
    truth["letter"] = (marks == "letter") | notes.str.contains("panel letter")
    truth["overlay"] = marks.isin(["overlay", "identifier"]) | notes.str.contains("viewer-overlay|screenshot")
    truth["tint"] = (marks == "tint") | notes.str.contains("tint")
    truth = truth.astype(float)
    # A review names the most important mark only; just `clean` truth that there is no text.
    text = marks.isin(["marker", "letter", "overlay", "identifier"]) | notes.str.contains("panel letter")
    truth["marker"] = text.astype(float).where(text | (marks == "clean"))
    return truth[list(KINDS)]


def fit(kind: str, found: Sequence[ImageRegions], truth: np.ndarray, patients: np.ndarray) -> MarkModel:
    """Fit weights and threshold to images of which the marked region is not known."""
    scores = cross_validated_scores(kind, found, truth, patients)
    marked = np.sort(scores[truth == 1])
    threshold = float(marked[int((1 - RECALL[kind]) * len(marked))])
    weights, bias = fit_weights(kind, found, truth)
    return MarkModel(weights, bias, round(threshold * 0.98, 3))


def cross_validated_scores(
    kind: str, found: Sequence[ImageRegions], truth: np.ndarray, patients: np.ndarray
) -> np.ndarray:
    """Return each image's highest score by weights that were fitted to other patients."""
    scores = np.zeros(len(found))
    for fold in folds(patients):
        model = MarkModel(*fit_weights(kind, rows_of(found, ~fold), truth[~fold]), 0)
        for index in np.flatnonzero(fold).tolist():
            scores[index] = max((model.score(region.features) for region in found[index].edges), default=0.0)
    return scores


def fit_weights(
    kind: str, found: Sequence[ImageRegions], truth: np.ndarray
) -> tuple[tuple[float, ...], float]:
    """Fit the weights by multiple-instance learning.

    The positives are the best region of each marked image, chosen again after each fit; the negatives are all
    regions of unmarked images.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    image = np.array([i for i, regions in enumerate(found) for _ in regions.edges])
    features = np.array([astuple(region.features) for regions in found for region in regions.edges])
    column = {field.name: features[:, i] for i, field in enumerate(fields(RegionFeatures))}
    # The first choice: arrows are symmetric along one axis and inside, letters alone and in a corner.
    if kind == "arrow":
        score = column["symmetry"] + column["ink"] + 5 * column["edge"] - column["row"] - 2 * column["fill"]
    elif kind == "letter":
        score = column["contrast"] - 5 * column["corner"] - column["row"] - column["left"]
    else:
        score = column["contrast"] + column["ink"] + column["row"]
    scaler = StandardScaler().fit(features)
    scaled, negatives = scaler.transform(features), truth[image] == 0
    # The mark of an image with coloured regions may have no region of edges.
    grey = [i for i in np.flatnonzero(truth == 1).tolist() if not found[i].coloured and (image == i).any()]
    for _ in range(6):
        positives = [np.flatnonzero(image == i)[np.argmax(score[image == i])] for i in grey]
        rows = np.concatenate([positives, np.flatnonzero(negatives)])
        classes = np.arange(len(rows)) < len(positives)
        model = LogisticRegression(C=1.0, class_weight="balanced", max_iter=2000).fit(scaled[rows], classes)
        score = model.decision_function(scaled)
    weights = model.coef_[0] / scaler.scale_
    bias = float(model.intercept_[0] - (weights * scaler.mean_).sum())
    return tuple(round(float(w), 4) for w in weights), round(bias, 4)


def folds(patients: np.ndarray) -> list[np.ndarray]:
    """Return five masks, each with the rows of a fifth of the patients."""
    names = np.random.default_rng(0).permutation(np.unique(patients))
    return [np.isin(patients, names[start::FOLDS]) for start in range(FOLDS)]


def rows_of(found: Sequence[ImageRegions], mask: np.ndarray) -> list[ImageRegions]:
    """Return the images that a mask selects."""
    return [found[index] for index in np.flatnonzero(mask).tolist()]


def fit_kinds(
    found: Sequence[ImageRegions], truth: pd.DataFrame, patients: np.ndarray
) -> dict[str, MarkModel]:
    """Fit the model of each kind."""
    coloured = np.array([bool(regions.coloured) for regions in found])
    models = {}
    for kind in RECALL:
        # Coloured arrows are found without a model.
        chosen = truth[kind].notna().to_numpy() & ~(coloured & (kind == "arrow"))
        models[kind] = fit(kind, rows_of(found, chosen), truth.loc[chosen, kind].to_numpy(), patients[chosen])
    return models


def proposed_kinds(found: Sequence[ImageRegions], models: dict[str, MarkModel]) -> pd.DataFrame:
    """Return whether each kind is proposed on each image."""
    proposed = [{mark.kind for mark in find_marks(regions, models)} for regions in found]
    return pd.DataFrame([{kind: kind in kinds for kind in KINDS} for kinds in proposed])


def cross_validated_kinds(
    found: Sequence[ImageRegions], truth: pd.DataFrame, patients: np.ndarray
) -> pd.DataFrame:
    """Return whether each kind is proposed on each image by models that were fitted to other patients."""
    proposed = pd.DataFrame(False, index=truth.index, columns=list(KINDS))
    for fold in folds(patients):
        models = fit_kinds(rows_of(found, ~fold), truth[~fold].reset_index(drop=True), patients[~fold])
        proposed.loc[fold] = proposed_kinds(rows_of(found, fold), models).to_numpy()
    return proposed


def rates(truth: pd.Series, proposed: pd.Series) -> tuple[str, str]:
    """Return precision and recall as text."""
    known = truth.notna()
    hits = int((proposed & (truth == 1))[known].sum())

    def share(of: int) -> str:
        return f"{hits / of:.2f} ({hits}/{of})" if of else "-"

    return share(int(proposed[known].sum())), share(int((truth == 1).sum()))


def read_reviewed(options: argparse.Namespace) -> tuple[pd.DataFrame, pd.Series]:
    """Return the reviewed images that are available, and their files."""
    records = make_plan(read_declared(options.recipe, {}), options.data, as_pinned=True).records
    images = pd.DataFrame(read_reviews(options.reviews, Path()))
    images = images[images["mark"] != "unseen"].merge(
        records[["source", "source_path", "patient_id"]],
        left_on=["source", "path"], right_on=["source", "source_path"], how="left",
    )  # fmt: skip
    paths = options.data / "sources" / images["source"] / images["path"]
    available = paths.map(Path.exists)
    reviewed = len(images)
    images, paths = images[available].reset_index(drop=True), paths[available].reset_index(drop=True)
    print(f"{reviewed} images reviewed, {len(images)} available, {images['patient_id'].nunique()} patients")
    return images, paths


def search_all(paths: pd.Series) -> list[ImageRegions]:
    """Find the regions of all images, and print how long it took."""
    started = time.perf_counter()
    found: dict[int, ImageRegions] = {}
    with open_executor("local", default_workers()) as executor:
        for (index, _), regions in run_batches(executor, search, enumerate(paths), ahead=16):
            found[index] = regions
    took = time.perf_counter() - started
    rate = f"{1000 * took / len(paths):.0f} ms per image"
    print(f"searched in {took:.0f} s, {rate}, {default_workers()} processes\n")
    return [found[index] for index in range(len(paths))]


def main() -> None:
    """Measure, and fit with --fit."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--recipe", default="covid19-cxr")
    parser.add_argument("--reviews", default="covid_frontal")
    parser.add_argument("--fit", action="store_true", help="print models fitted to all images")
    options = parser.parse_args()
    images, paths = read_reviewed(options)
    found, truth = search_all(paths), reviewed_kinds(images)
    patients = (images["source"] + images["patient_id"].fillna(images["path"])).to_numpy()
    models = fit_kinds(found, truth, patients) if options.fit else MODELS
    shipped, validated = proposed_kinds(found, models), cross_validated_kinds(found, truth, patients)
    header = ["kind", "precision", "recall", "precision, cross-validated", "recall, cross-validated"]
    print(table(header, [[kind, *rates(truth[kind], shipped[kind]), *rates(truth[kind], validated[kind])]
                         for kind in KINDS]))  # fmt: skip
    drawn = truth["arrow"].astype(bool) | truth["shape"].astype(bool)
    either = pd.Series(drawn.astype(float))
    print("\narrow or shape, proposed as either:")
    print(table(header, [["drawn", *rates(either, shipped["arrow"] | shipped["shape"]),
                          *rates(either, validated["arrow"] | validated["shape"])]]))  # fmt: skip
    clean = images["mark"] == "clean"
    false = f"{int(shipped['arrow'][clean].sum())}, cross-validated {int(validated['arrow'][clean].sum())}"
    print(f"\narrows proposed on {int(clean.sum())} clean images: {false}")
    missed = images[drawn & ~(validated["arrow"] | validated["shape"])]
    for row in missed.itertuples():
        print(f"  missed in cross-validation: {row.source} {row.path}: {row.note}")
    if options.fit:
        print("\nMODELS = {")
        for kind, model in models.items():
            lines = [
                f'"{kind}": MarkModel(',
                f"    {model.weights},",
                f"    {model.bias},",
                f"    {model.threshold},",
                "),",
            ]
            print("\n".join(f"    {line}" for line in lines))
        print("}")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
