"""Train-test leakage: what a saved model has seen of the films that it is to be tested on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.baseline.input import Images
from cxrbuild.errors import CxrbuildError, name_some

if TYPE_CHECKING:
    import pandas as pd


def find_seen(films: pd.DataFrame, trained: pd.DataFrame) -> pd.Series:
    """Return for each film whether a model has seen it or another film of its patient.

    A film is known by its id or its bytes. A patient is known by the group of either dataset, which joins
    all films of a patient with what is linked to them, and by source and patient_id, for a group may have
    another name where other films are linked.

    Parameters
    ----------
    films
        The films of the whole dataset; a test film may be joined with one that was seen by a third.
    trained
        The films that the model was trained on.
    """
    known = films["image_id"].isin(trained["image_id"]) | films["sha256"].isin(trained["sha256"].dropna())
    known |= _patients(films).isin(_patients(trained).dropna())
    return films["group"].isin([*trained["group"], *films.loc[known, "group"]])


def refuse_seen(model: Path, films: pd.DataFrame, seen: pd.Series) -> None:
    """Refuse to test a model on what it was trained on.

    Parameters
    ----------
    model
        The saved model.
    films
        The films of the whole dataset.
    seen
        As ``find_seen`` returns it.

    Raises
    ------
    CxrbuildError
        It has seen a test film, or a film of the same patient.
    """
    tested = films[films["split"] != "train"]
    leaks = tested[seen[tested.index]]
    if len(leaks):
        held = tested.groupby(["split", "label"]).size()
        words = [
            f"{part} {label} {count:,} of {held[part, label]:,}"
            for part, label, count in leaks.groupby(["split", "label"]).size().reset_index().to_numpy()
        ]
        raise CxrbuildError(
            "the test would leak: the model was trained on films of these patients",
            where=model,
            expected="to be tested on patients that it has not seen",
            found=f"{'; '.join(words)}: {name_some(leaks['image_id'], 5)}",
            todo="Add --leave-out-seen to test it on the others alone, or train a model on this build",
        )


def leave_out_seen(
    model: Path, images: Images, seen: pd.Series, classes: list[str]
) -> tuple[Images, dict[str, dict[str, int]]]:
    """Return the images without the test films that leak, and for each part and class how many those are.

    Parameters
    ----------
    model
        The saved model.
    images
        The dataset.
    seen
        As ``find_seen`` returns it.
    classes
        The classes in the order of their numbers.

    Raises
    ------
    CxrbuildError
        No test film of a class is left.
    """
    leaks = (seen & (images.table["split"] != "train")).to_numpy()
    counts = images.table[leaks].groupby(["split", "label"]).size()
    kept = images.keep(~leaks)
    missing = [name for k, name in enumerate(classes) if k not in kept.labels[kept.rows("test")]]
    if missing:
        raise CxrbuildError(
            f"no test film of {', '.join(missing)} is left",
            where=model,
            expected="test films of each class, of patients that the model was not trained on",
            found=f"{int(leaks.sum()):,} films left out",
            todo="Evaluate a model that was trained on other films, or train one on this build",
        )
    return kept, {
        part: {name: int(counts.get((part, name), 0)) for name in classes}
        for part in images.parts
        if part != "train"
    }


def _patients(films: pd.DataFrame) -> pd.Series:
    """Return each film's patient, null where not known; an id is unique within its source only."""
    return films["source"] + ":" + films["patient_id"]
