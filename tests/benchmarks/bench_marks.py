"""Measure the detector of marks on the films that people have seen; fit it anew with --fit.

    python tests/benchmarks/bench_marks.py --data DATA [--reviews covid_frontal] [--fit]

DATA is a folder that `cxrbuild fetch` filled. Precision and recall are of films: a film counts as found if
the detector proposes the kind anywhere on it. Column `shipped` is the detector as it stands, which was fitted
to these very films. Column `left out` is what to expect of others: five times a fifth of the patients is
left out, weights and limits are fitted to the rest alone, and the films left out are judged.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path

import numpy as np
import pandas as pd

from cxrbuild.catalog import read_reviews
from cxrbuild.cli.output import table
from cxrbuild.curation import make_plan, read_declared
from cxrbuild.executors import default_workers, open_executor, run_batches
from cxrbuild.marks.detection import KINDS, MODELS, Model, find_marks
from cxrbuild.marks.image import read_film
from cxrbuild.marks.regions import SIDE, Scan, scan_film

FOLDS = 5
# The share of marked films that a limit must let pass on the films it is chosen on.
RECALL = {"arrow": 1.0, "letter": 0.9, "marker": 0.95}


def scan(item: tuple[int, Path]) -> Scan:
    """Scan the film in a file."""
    return scan_film(read_film(item[1], SIDE))


def truth(films: pd.DataFrame) -> pd.DataFrame:
    """Return for each kind whether each film bears it: 1, 0, or null where the review does not say."""
    marks, notes = films["mark"], films["note"]
    says = pd.DataFrame(index=films.index)
    says["arrow"] = marks.isin(["arrow", "symbol"])
    says["shape"] = marks == "shape"
    says["letter"] = (marks == "letter") | notes.str.contains("panel letter")
    says["overlay"] = marks.isin(["overlay", "identifier"]) | notes.str.contains("viewer-overlay|screenshot")
    says["tint"] = (marks == "tint") | notes.str.contains("tint")
    says = says.astype(float)
    # A review names the weightiest mark; that no text is there it says only where it says `clean`.
    text = marks.isin(["marker", "letter", "overlay", "identifier"]) | notes.str.contains("panel letter")
    says["marker"] = text.astype(float).where(text | (marks == "clean"))
    return says[list(KINDS)]


def fit(kind: str, scans: Sequence[Scan], says: np.ndarray, patients: np.ndarray) -> Model:
    """Fit weights and limit to films of which only the film, not the region, is known to bear the mark."""
    inner = scores_left_out(kind, scans, says, patients)
    marked = np.sort(inner[says == 1])
    limit = float(marked[int((1 - RECALL[kind]) * len(marked))])
    weights, bias = weigh(kind, scans, says)
    return Model(weights, bias, round(limit * 0.98, 3))


def scores_left_out(kind: str, scans: Sequence[Scan], says: np.ndarray, patients: np.ndarray) -> np.ndarray:
    """Return each film's highest score by weights that were fitted to other patients."""
    scores = np.zeros(len(scans))
    for fold in folds(patients):
        weights, bias = weigh(kind, [s for s, out in zip(scans, fold, strict=True) if not out], says[~fold])
        for index in np.flatnonzero(fold):
            scores[index] = best(Model(weights, bias, 0), scans[index])
    return scores


def best(model: Model, film: Scan) -> float:
    """Return the highest score of a film's regions."""
    return max((model.score(region.features) for region in film.regions), default=0.0)


def weigh(kind: str, scans: Sequence[Scan], says: np.ndarray) -> tuple[tuple[float, ...], float]:
    """Fit the weights: of each marked film the region most like the kind, against all of the others'."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    film = np.array([i for i, s in enumerate(scans) for _ in s.regions])
    features = np.array([astuple(r.features) for s in scans for r in s.regions])
    names = list(scans[0].regions[0].features.__dict__) if scans[0].regions else []
    names = names or next(list(s.regions[0].features.__dict__) for s in scans if s.regions)
    column = {name: features[:, i] for i, name in enumerate(names)}
    # Where to begin: arrows are symmetric along one axis and well inside, letters alone and in a corner.
    if kind == "arrow":
        liking = column["symmetry"] + column["ink"] + 5 * column["edge"] - column["row"] - 2 * column["fill"]
    elif kind == "letter":
        liking = column["step"] - 5 * column["corner"] - column["row"] - column["left"]
    else:
        liking = column["step"] + column["ink"] + column["row"]
    scaler = StandardScaler().fit(features)
    scaled, negatives = scaler.transform(features), says[film] == 0
    # A marked film that lies in colour alone has no such region.
    grey = [i for i in np.flatnonzero(says == 1) if not scans[i].coloured and (film == i).any()]
    for _ in range(6):
        positives = [np.flatnonzero(film == i)[np.argmax(liking[film == i])] for i in grey]
        rows = np.concatenate([positives, np.flatnonzero(negatives)])
        classes = np.arange(len(rows)) < len(positives)
        model = LogisticRegression(C=1.0, class_weight="balanced", max_iter=2000).fit(scaled[rows], classes)
        liking = model.decision_function(scaled)
    weights = model.coef_[0] / scaler.scale_
    bias = float(model.intercept_[0] - (weights * scaler.mean_).sum())
    return tuple(round(float(w), 4) for w in weights), round(bias, 4)


def folds(patients: np.ndarray) -> list[np.ndarray]:
    """Return five masks that leave out a fifth of the patients each."""
    names = np.random.default_rng(0).permutation(np.unique(patients))
    return [np.isin(patients, names[start::FOLDS]) for start in range(FOLDS)]


def fit_kinds(scans: Sequence[Scan], says: pd.DataFrame, patients: np.ndarray) -> dict[str, Model]:
    """Fit all that is fitted."""
    models = {}
    for kind in RECALL:
        known = says[kind].notna().to_numpy()
        chosen = [s for s, k in zip(scans, known, strict=True) if k]
        grey = np.array(
            [not (k == "arrow" and s.coloured) for k, s in zip([kind] * len(chosen), chosen, strict=True)]
        )
        models[kind] = fit(
            kind, [s for s, g in zip(chosen, grey, strict=True) if g],
            says.loc[known, kind].to_numpy()[grey], patients[known][grey],
        )  # fmt: skip
    return models


def proposed(scans: Sequence[Scan], models: dict[str, Model]) -> pd.DataFrame:
    """Return for each film and kind whether it is proposed."""
    found = [{mark.kind for mark in find_marks(film, models)} for film in scans]
    return pd.DataFrame([{kind: kind in kinds for kind in KINDS} for kinds in found])


def rates(says: pd.Series, found: pd.Series) -> tuple[str, str]:
    """Return precision and recall as words."""
    known = says.notna()
    hits = int((found & (says == 1))[known].sum())

    def share(of: int) -> str:
        return f"{hits / of:.2f} ({hits}/{of})" if of else "-"

    return share(int(found[known].sum())), share(int((says == 1).sum()))


def main() -> None:
    """Measure, and fit where asked to."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--recipe", default="covid19-cxr")
    parser.add_argument("--reviews", default="covid_frontal")
    parser.add_argument("--fit", action="store_true", help="print weights and limits fitted to all films")
    options = parser.parse_args()
    declared = read_declared(options.recipe, {})
    records = make_plan(declared, options.data, as_pinned=True).records
    films = pd.DataFrame(read_reviews(options.reviews, Path()))
    films = films[films["mark"] != "unseen"].merge(
        records[["source", "source_path", "patient_id"]],
        left_on=["source", "path"], right_on=["source", "source_path"], how="left",
    )  # fmt: skip
    paths = options.data / "sources" / films["source"] / films["path"]
    there = paths.map(Path.exists)
    films, paths = films[there].reset_index(drop=True), paths[there].reset_index(drop=True)
    print(f"{len(there)} films seen, {len(films)} at hand, {films['patient_id'].nunique()} patients")
    started = time.perf_counter()
    scans: list[Scan] = [None] * len(films)  # type: ignore[list-item]
    with open_executor("local", default_workers()) as pool:
        for (index, _), found in run_batches(pool, scan, paths.items(), ahead=16):
            scans[index] = found
    took = time.perf_counter() - started
    print(
        f"scanned in {took:.0f} s, {1000 * took / len(films):.0f} ms a film, {default_workers()} processes\n"
    )
    says = truth(films)
    patients = (films["source"] + films["patient_id"].fillna(films["path"])).to_numpy()
    models = fit_kinds(scans, says, patients) if options.fit else MODELS
    shipped = proposed(scans, models)
    left_out = pd.DataFrame(False, index=films.index, columns=list(KINDS))
    for fold in folds(patients):
        rest = [s for s, out in zip(scans, fold, strict=True) if not out]
        fitted = fit_kinds(rest, says[~fold].reset_index(drop=True), patients[~fold])
        left_out.loc[fold] = proposed(
            [s for s, out in zip(scans, fold, strict=True) if out], fitted
        ).to_numpy()
    rows = [[kind, *rates(says[kind], shipped[kind]), *rates(says[kind], left_out[kind])] for kind in KINDS]
    header = ["kind", "precision", "recall", "precision, left out", "recall, left out"]
    print(table(header, rows))
    drawn = says["arrow"].astype(bool) | says["shape"].astype(bool)
    either = pd.Series(drawn.astype(float))
    print("\narrow or shape, proposed as either:")
    print(table(header, [["drawn", *rates(either, shipped["arrow"] | shipped["shape"]),
                          *rates(either, left_out["arrow"] | left_out["shape"])]]))  # fmt: skip
    missed = films[drawn & ~(left_out["arrow"] | left_out["shape"])]
    for row in missed.itertuples():
        print(f"  missed when left out: {row.source} {row.path}: {row.note}")
    if options.fit:
        print("\nMODELS = {")
        for kind, model in models.items():
            lines = [
                f'"{kind}": Model(',
                f"    {model.weights},",
                f"    {model.bias},",
                f"    {model.limit},",
                "),",
            ]
            print("\n".join(f"    {line}" for line in lines))
        print("}")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
