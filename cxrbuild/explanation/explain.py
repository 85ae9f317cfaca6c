"""Explain a model from beginning to end: masks, maps, blackout tests, groups, calibration, page."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from cxrbuild.artifact import names
from cxrbuild.artifact.baseline import RecipeVersion
from cxrbuild.artifact.explanation import (
    MOST_SURVIVING,
    TESTS,
    BlackoutTest,
    ClassShares,
    ExplanationDataset,
    ExplanationDocument,
    Lungs,
    Shares,
)
from cxrbuild.baseline.backend import LOADING, describe_environment, require_packages
from cxrbuild.baseline.dataset import read_dataset
from cxrbuild.baseline.folders import choose_folder, locked_for_reading
from cxrbuild.baseline.image_table import ImageTable, find_identified, find_images
from cxrbuild.baseline.leakage import find_seen, require_unseen
from cxrbuild.baseline.trained_on import describe_model, read_trained_on
from cxrbuild.bootstrap import LEAST_PATIENTS
from cxrbuild.catalog import Recipe
from cxrbuild.catalog.baseline import Baseline
from cxrbuild.catalog.source import read_source
from cxrbuild.errors import CheckError, CxrbuildError
from cxrbuild.explanation.attribution import Attribution, probabilities_of
from cxrbuild.explanation.calibration import measure_calibration
from cxrbuild.explanation.explained import (
    EXPLAINING,
    METHODS,
    PREDICTING,
    Explained,
    KnownLungs,
    explain_images,
    predict_images,
)
from cxrbuild.explanation.groups import measure_groups
from cxrbuild.explanation.images import read_metadata, select
from cxrbuild.explanation.lungs import LUNGS, Masks, find_masks, make_region, require_usable
from cxrbuild.explanation.model import input_side, open_model
from cxrbuild.explanation.page import MAPS, draw_shown, write_page
from cxrbuild.explanation.result import ExplanationResult
from cxrbuild.explanation.scores import measure
from cxrbuild.explanation.selection import choose
from cxrbuild.explanation.table import write_table
from cxrbuild.files import locked, remove_temporary_files
from cxrbuild.progress import Progress, silent
from cxrbuild.records import read_records

if TYPE_CHECKING:
    import pandas as pd

MEASURING = "measuring"

_logger = logging.getLogger(__name__)
PAGE, TABLE = "explain.html", "explain.parquet"
DOCUMENT = Path(names.EXPLANATION).name


def explain(
    build: Path,
    recipe: Recipe,
    *,
    data: Path = Path("data"),
    model: Path | None = None,
    out: Path | None = None,
    exclude_seen_patients: bool = False,
    without_masks: bool = False,
    allow_missing: bool = False,
    occlude_all: bool = False,
    progress: Progress = silent,
) -> ExplanationResult:
    """Show which pixels a trained model uses, and what it predicts without the lungs.

    The same dataset, masks, model, device and library versions give the same bytes in every file. Images are
    read in batches, so memory does not grow with their pixels.

    Parameters
    ----------
    build
        A build, a release, or a TensorFlow Datasets folder.
    recipe
        The recipe of the dataset. Its sources declare the lung masks.
    data
        The folder that ``fetch`` filled, which has the masks.
    model
        A saved model; default ``baseline/model.keras`` in the build. Of a release without it, that of
        the folder next to the release where ``train_baseline`` writes by default.
    out
        Folder of ``explanation.json``, ``explain.parquet`` and ``explain.html``; default ``explanation`` in
        the build. Of a release it is next to it, after its name and ``-``.
    exclude_seen_patients
        Exclude images of patients that the model was trained on, instead of raising an error.
    without_masks
        Do not read lung masks.
    allow_missing
        Continue without lung masks that are missing or cannot be used, and record them.
    occlude_all
        Make the occlusion map of every image, not only of those on the page.
    progress
        Advanced for each image.

    Raises
    ------
    CxrbuildError
        The dataset has no pixels or is another recipe's, the model has another input or other classes or was
        trained on patients of the test, or lung masks are missing or cannot be used.
    """
    out = choose_folder(build, names.EXPLANATION_FOLDER, out)
    model = model or _find_model(build)
    # A folder that is no dataset of the recipe is left as it is, without a lock.
    find_images(build, recipe.classes)
    read_dataset(build, recipe)
    with locked_for_reading(build):
        return _explain(
            build,
            recipe,
            data,
            model,
            out,
            exclude_seen_patients=exclude_seen_patients,
            without_masks=without_masks,
            allow_missing=allow_missing,
            occlude_all=occlude_all,
            progress=progress,
        )


def _explain(
    build: Path,
    recipe: Recipe,
    data: Path,
    model: Path,
    out: Path,
    *,
    exclude_seen_patients: bool,
    without_masks: bool,
    allow_missing: bool,
    occlude_all: bool,
    progress: Progress,
) -> ExplanationResult:
    """Explain a model on a dataset that does not change meanwhile."""
    found = find_images(build, recipe.classes)
    dataset = read_dataset(build, recipe)
    masks = Masks({}, {}) if without_masks else _find_masks(build, recipe, data, progress)
    classes = _find_classes(model, recipe)
    require_packages()
    progress.plan(
        LOADING,
        *([LUNGS] if masks.files else []),
        EXPLAINING,
        MAPS,
        *([PREDICTING] if found.rows["split"].eq("validation").any() else []),
        MEASURING,
    )
    with progress(LOADING, None, ""):
        opened = open_model(model, classes)
    described, trained = describe_model(model, model.name, classes)
    excluded = _exclude_seen(model, found, trained, exclude=exclude_seen_patients)
    test, validation = (select(build, found, classes, split, excluded) for split in ("test", "validation"))
    _require_all_classes(model, classes, test.labels)
    region, masks = make_region(masks, input_side(opened), progress)
    if not allow_missing:
        require_usable(masks, data)
    lungs = KnownLungs(masks.files, region)
    _logger.info("explaining %d images: %s, %d lung masks", len(test), build, len(masks.files))
    resamples = (recipe.baseline or Baseline.model_validate({})).resamples
    with locked(out):
        remove_temporary_files(out)
        attribution = Attribution(opened)
        size = len(classes)
        explained = explain_images(
            test, attribution, lungs, classes=size, occlude=occlude_all, progress=progress
        )
        metadata = read_metadata(test)
        identified = find_identified(build)
        hidden = metadata["image_id"].isin(identified or ()).to_numpy(bool)
        chosen = choose(explained, classes, hidden)
        positions = [position for of_kind in chosen.values() for position in of_kind]
        shown = draw_shown(explained, positions, attribution, lungs, classes, progress)
        calibration = measure_calibration(
            test.labels,
            explained.logits["whole"],
            validation.labels,
            predict_images(validation, attribution, size, progress),
            classes,
        )
        with progress(MEASURING, None, ""):
            groups = test.table["group"].tolist()
            document = ExplanationDocument(
                recipe=RecipeVersion(name=recipe.name, version=recipe.version),
                classes=classes,
                dataset=ExplanationDataset(
                    name=dataset.reference.name,
                    version=dataset.reference.version,
                    manifest_sha256=dataset.manifest_sha256,
                    counts=_count(test.labels, classes),
                    excluded_as_seen=_count_excluded(found, excluded, classes),
                ),
                model=described,
                lungs=_describe_lungs(explained, lungs, classes),
                blackout=_measure_tests(
                    explained.logits, test.labels, groups, classes=classes, resamples=resamples
                ),
                masked=_measure_masked(explained, groups, classes=classes, resamples=resamples),
                shares=_mean_shares(explained, classes),
                groups=measure_groups(
                    metadata,
                    groups,
                    test.labels,
                    probabilities_of(explained.logits["whole"]),
                    classes,
                    resamples,
                ),
                least_patients=LEAST_PATIENTS,
                calibration=calibration,
                resamples=resamples,
                occluded=len(test) if occlude_all else len(shown),
                **describe_environment(),
            )
            write_table(out / TABLE, explained, classes)
            hidden_count = None if identified is None else int(hidden.sum())
            write_page(out / PAGE, document, chosen, shown, hidden_count)
            document.write(out / DOCUMENT)
    _logger.info("wrote %s", out)
    return ExplanationResult(out, document, masks.unusable)


def require_passed(result: ExplanationResult) -> None:
    """Check that at most half of the model's success survives without the lungs.

    Raises
    ------
    CxrbuildError
        It was not measured, because no lungs are known or the model does not distinguish the classes with the
        whole image.
    CheckError
        More survives.
    """
    surviving = result.document.surviving
    if surviving is None:
        raise CxrbuildError(
            "the blackout test has no result", where=result.out / PAGE,
            expected="lung masks, and a model that distinguishes the classes", found=result.document.sentence,
            todo="Declare `lung_masks` in a source, or omit --gate" if result.document.lungs is None
            else "Train the model longer or on more images, or omit --gate",
        )  # fmt: skip
    if surviving > MOST_SURVIVING:
        raise CheckError(
            "the model's success survives without the lungs", where=result.out / PAGE,
            expected=f"at most {MOST_SURVIVING:.0%}", found=f"{surviving:.0%}",
            todo="Look at the page for what the model uses instead",
        )  # fmt: skip


def _find_model(build: Path) -> Path:
    """Return the model of a dataset: its own, or the one that was trained on a release, next to it."""
    own = build / names.BASELINE_FOLDER / names.MODEL
    return own if own.is_file() else choose_folder(build, names.BASELINE_FOLDER) / names.MODEL


def _find_classes(model: Path, recipe: Recipe) -> list[str]:
    """Return the classes that a model was trained for: all of the recipe, or those of its sample."""
    trained = read_trained_on(model.parent)
    if trained is not None and set(trained.document.classes) < set(recipe.classes):
        return trained.document.classes
    return recipe.classes


def _find_masks(build: Path, recipe: Recipe, data: Path, progress: Progress) -> Masks:
    """Find the masks of every image of the dataset, whichever its split."""
    path = build / names.MANIFEST
    sources = [read_source(name, recipe.folder) for name in recipe.sources]
    if not path.is_file():
        if any(source.lung_masks for source in sources):
            progress.note(
                f"No lung masks are read: without {names.MANIFEST}, which a TensorFlow Datasets folder "
                "lacks, the files of the images in their sources are unknown. Name the build or the release."
            )
        return Masks({}, {})
    records = read_records(path)
    return find_masks(records[records["exclusion"].isna()], sources, data)


def _exclude_seen(
    model: Path, found: ImageTable, trained: pd.DataFrame | None, *, exclude: bool
) -> NDArray[np.bool_]:
    """Return which images are excluded because the model was trained on their patients."""
    if trained is None:
        return np.zeros(len(found.rows), bool)
    seen = find_seen(found.rows, trained)
    if not exclude:
        require_unseen(model, found.rows, seen)
    return np.asarray((seen & (found.rows["split"] != "train")).to_numpy(), bool)


def _require_all_classes(model: Path, classes: list[str], labels: NDArray[np.int64]) -> None:
    missing = [name for number, name in enumerate(classes) if number not in labels]
    if missing:
        raise CxrbuildError(
            f"no test image of {', '.join(missing)} remains",
            where=model,
            expected="test images of each class, of patients that the model was not trained on",
            found="images of the patients that the model was trained on only",
            todo="Explain a model that was trained on other images, or train one on this build",
        )


def _count(labels: NDArray[np.int64], classes: list[str]) -> dict[str, int]:
    return {name: int((labels == number).sum()) for number, name in enumerate(classes)}


def _count_excluded(found: ImageTable, excluded: NDArray[np.bool_], classes: list[str]) -> dict[str, int]:
    labels = found.rows["label"][excluded & (found.rows["split"] == "test").to_numpy()]
    return {name: int((labels == name).sum()) for name in classes}


def _describe_lungs(explained: Explained, lungs: KnownLungs, classes: list[str]) -> Lungs | None:
    if lungs.region is None:
        return None
    masked = explained.selection.labels[explained.own]
    return Lungs(
        masks=lungs.region.masks,
        sources=sorted({file.source for file in lungs.files.values()}),
        masked=_count(masked, classes),
        blacked_out="mask" if explained.all_masked else "region",
        region_area=float(lungs.region.mask.mean()),
        region_coverage=lungs.region.coverage,
    )


def _measure_tests(
    logits: Mapping[str, NDArray[np.float32]],
    labels: NDArray[np.int64],
    groups: list[str],
    *,
    classes: list[str],
    resamples: int,
) -> list[BlackoutTest]:
    return [
        BlackoutTest(
            test=test,
            images=len(labels),
            scores=measure(labels, probabilities_of(logits[test]), groups, classes, resamples),
        )
        for test in TESTS
        if test in logits
    ]


def _measure_masked(
    explained: Explained, groups: list[str], *, classes: list[str], resamples: int
) -> list[BlackoutTest]:
    """Measure the tests with each image's own mask, as those of any group: of too few patients not at all."""
    masked = [group for group, own in zip(groups, explained.own, strict=True) if own]
    if len({*masked}) < LEAST_PATIENTS:
        return []
    return _measure_tests(
        explained.masked_logits,
        explained.selection.labels[explained.own],
        masked,
        classes=classes,
        resamples=resamples,
    )


def _mean_shares(explained: Explained, classes: list[str]) -> dict[str, ClassShares]:
    found = {}
    for number, name in enumerate(classes):
        rows = explained.selection.labels == number
        found[name] = ClassShares(
            images=int(rows.sum()),
            area=_mean(explained.areas[rows]),
            attribution={method: _mean(explained.shares[method][rows]) for method in METHODS},
        )
    return found


def _mean(shares: NDArray[np.float32]) -> Shares:
    """Return the mean of the images that have shares: a map that is 0 everywhere has none."""
    there = shares[~np.isnan(shares[:, 1])].astype(np.float64)
    if not len(there):
        return Shares(lungs=None, border=None, elsewhere=None)
    lungs, border, elsewhere = there.mean(axis=0).tolist()
    return Shares(lungs=lungs, border=border, elsewhere=elsewhere)
