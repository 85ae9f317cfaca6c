"""Finding the JPEGs of a build, a release or a TensorFlow Datasets folder, with what is known of each."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxrbuild.errors import CxrbuildError, name_some
from cxrbuild.records import SPLITS, read_records

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("image_id", "source", "patient_id", "group", "label", "split", "sha256")


@dataclass(frozen=True)
class Films:
    """The films of a dataset, one row each.

    Parameters
    ----------
    table
        ``image_id``, ``source``, ``patient_id``, ``group`` (what bootstrap resamples by), ``label``,
        ``split``, and ``sha256`` of the JPEG; ordered by ``image_id``. Source, patient and hash are null
        where not known.
    read
        Gives the JPEG of a row's number.
    name
        Says where a row's JPEG is.
    """

    table: pd.DataFrame
    read: Callable[[int], bytes]
    name: Callable[[int], str]


def find_films(folder: Path, classes: list[str]) -> Films:
    """Find a dataset's films, and make sure that there are some of each class in train and in test.

    Parameters
    ----------
    folder
        A build or a release (``manifest.parquet`` with ``images/``, or ``data/*.parquet``), or a TensorFlow
        Datasets folder (``<name>/<version>`` with ``dataset_info.json``).
    classes
        The classes that it must have.

    Raises
    ------
    CxrbuildError
        It is none of these, or it lacks a part or a class; all that is lacking is named.
    """
    shards = sorted((folder / "data").glob("*.parquet"))
    manifest = folder / "manifest.parquet"
    if manifest.is_file() and ((folder / "images").is_dir() or not shards):
        films = _from_manifest(folder, manifest)
    elif shards:
        films = _from_shards(shards)
    elif (folder / "dataset_info.json").is_file():
        films = _from_tfrecords(folder)
    else:
        raise CxrbuildError(
            "no dataset to train on",
            where=folder,
            expected="manifest.parquet, data/*.parquet or dataset_info.json",
            todo="Run `cxrbuild curate`, or name a build or a release",
        )
    _refuse_gaps(folder, films.table, classes)
    return films


def _refuse_gaps(folder: Path, table: pd.DataFrame, classes: list[str]) -> None:
    counts = table.groupby(["split", "label"]).size()
    faults = []
    for part in ("train", "test"):
        found = [label for label in classes if (part, label) in counts.index]
        missing = [label for label in classes if label not in found]
        if not found:
            faults.append(f"{part} is empty")
        elif missing:
            faults.append(f"{part} holds no {', no '.join(missing)}")
    others = sorted(set(table["label"].dropna()) - set(classes))
    if others:
        faults.append(f"the recipe has no class {', '.join(others)}")
    unlabelled = table.loc[table["label"].isna() | ~table["split"].isin(SPLITS), "image_id"]
    if len(unlabelled):
        faults.append(f"without a label or a split: {name_some(unlabelled)}")
    if faults:
        rows = counts.reset_index(name="count").astype("str").to_numpy().tolist()
        raise CxrbuildError(
            "the baseline cannot be trained and tested on this dataset: " + "; ".join(faults),
            where=folder,
            expected=f"images of {', '.join(classes)} in train and in test",
            found=", ".join(" ".join(row) for row in rows) or "no images",
            todo="Check the recipe's labels and split, and build it again",
        )


def _from_manifest(folder: Path, manifest: Path) -> Films:
    records = read_records(manifest)
    kept = records[records["exclusion"].isna()].sort_values("image_id", ignore_index=True)
    unbuilt = kept.loc[kept["jpeg_path"].isna(), "image_id"]
    if len(unbuilt):
        raise CxrbuildError(
            "images without a JPEG",
            where=manifest,
            found=name_some(unbuilt),
            todo="A plan holds no images: run `cxrbuild curate`",
        )
    paths = [folder / path for path in kept["jpeg_path"]]
    table = _table(kept.rename(columns={"jpeg_sha256": "sha256"}))
    return Films(table, lambda row: paths[row].read_bytes(), lambda row: str(paths[row]))


def _from_shards(shards: list[Path]) -> Films:
    """Read Parquet as Hugging Face datasets lays it out: ``data/<split>-*.parquet``, images as structs."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    frames, jpegs = [], []
    for shard in shards:
        try:
            arrow = pq.read_table(shard)
            features = json.loads(arrow.schema.metadata[b"huggingface"])["info"]["features"]
            names = features["label"]["names"]
            jpegs += arrow["image"].combine_chunks().field("bytes").to_pylist()
        except (pa.ArrowInvalid, OSError, KeyError, TypeError, ValueError) as error:
            raise CxrbuildError(
                "not a shard of images with labels",
                where=shard,
                expected="columns image and label, as Hugging Face datasets writes them",
                found=repr(error),
            ) from error
        frame = arrow.drop_columns(["image"]).to_pandas()
        frame["label"] = [names[label] for label in frame["label"]]
        frame["split"] = shard.name.split("-")[0]
        frames.append(frame)
    return _from_memory(pd.concat(frames, ignore_index=True), jpegs)


def _from_tfrecords(folder: Path) -> Films:
    """Read TFRecord as TensorFlow Datasets lays it out, without needing tensorflow-datasets."""
    import pandas as pd

    from cxrbuild.baseline.backend import load_tensorflow

    tf = load_tensorflow()
    labels = folder / "label.labels.txt"
    rows: list[dict[str, Any]] = []
    jpegs: list[bytes] = []
    try:
        names = labels.read_text(encoding="utf-8").splitlines()
        for part in SPLITS:
            records = sorted(str(path) for path in folder.glob(f"*-{part}.tfrecord-*"))
            for record in tf.data.TFRecordDataset(records) if records else []:
                values = _example(tf, record)
                jpegs.append(values.pop("image"))
                rows.append(
                    {
                        key: value.decode() if isinstance(value, bytes) else value
                        for key, value in values.items()
                    }
                    | {"label": names[values["label"]], "split": part}
                )
    except (OSError, KeyError, IndexError, ValueError, tf.errors.OpError) as error:
        raise CxrbuildError(
            "not a TensorFlow Datasets folder of images with labels",
            where=folder,
            expected="label.labels.txt, and records with image, label and image_id",
            found=str(error).split("\n", 1)[0],
        ) from error
    return _from_memory(pd.DataFrame(rows, columns=None if rows else ["image_id", "label", "split"]), jpegs)


def _example(tf: Any, record: Any) -> dict[str, Any]:
    example = tf.train.Example.FromString(record.numpy())
    values = {}
    for key, feature in example.features.feature.items():
        kind = feature.WhichOneof("kind")
        held = getattr(feature, kind).value if kind else []
        if len(held) == 1:
            values[key] = held[0]
    return values


def _from_memory(frame: pd.DataFrame, jpegs: list[bytes]) -> Films:
    if "image_id" not in frame:
        frame = frame.assign(image_id=[f"{split}-{row:06d}" for row, split in enumerate(frame["split"])])
    order = frame["image_id"].argsort(kind="stable").to_numpy()
    table = _table(frame.iloc[order].reset_index(drop=True).rename(columns={"jpeg_sha256": "sha256"}))
    names = table["image_id"].tolist()
    return Films(table, lambda row: jpegs[order[row]], lambda row: names[row])


def _table(frame: pd.DataFrame) -> pd.DataFrame:
    table = frame.reindex(columns=list(COLUMNS)).astype("str")
    # Named as a build names a patient to whom nothing is linked.
    table["group"] = table["group"].fillna(table["source"].fillna("") + ":" + table["patient_id"])
    # An image of whose patient nothing is known stands for itself.
    table["group"] = table["group"].fillna(table["image_id"])
    return table
