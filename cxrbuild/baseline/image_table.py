"""The images of a build, a release or a TensorFlow Datasets folder: one table, and their JPEGs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from cxrbuild.artifact import names
from cxrbuild.artifact.stored_images import list_shards, stored_as
from cxrbuild.baseline.stored_jpegs import StoredJpegs
from cxrbuild.catalog.review import shows_identity
from cxrbuild.errors import CxrbuildError, name_some
from cxrbuild.records import SPLITS, read_records
from cxrbuild.shards.record_file import FRAME_BYTES

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")
Value = bytes | int | float
# Of the bytes that a TFRecord adds, a checksum of four is after the record.
_HEAD_BYTES = FRAME_BYTES - 4

COLUMNS = ("image_id", "source", "patient_id", "group", "label", "split", "sha256")


@dataclass(frozen=True)
class ImageTable:
    """The images of a dataset, one row each.

    Attributes
    ----------
    rows
        ``image_id``, ``source``, ``patient_id``, ``group`` (the unit of the bootstrap), ``label``, ``split``,
        and ``sha256`` of the JPEG, ordered by ``image_id``. Source, patient and hash are null where unknown.
    read
        Returns the JPEG of a row, by its number.
    name
        Returns the path or id of a row's JPEG, for messages.
    """

    rows: pd.DataFrame
    read: Callable[[int], bytes]
    name: Callable[[int], str]

    def select(self, splits: pd.Series) -> ImageTable:
        """Return some rows, with other splits.

        Parameters
        ----------
        splits
            The split of each row that is kept, by the row's number.
        """
        numbers = splits.index.to_numpy()
        rows = self.rows.iloc[numbers].assign(split=splits.to_numpy()).reset_index(drop=True)
        return ImageTable(rows, lambda row: self.read(numbers[row]), lambda row: self.name(numbers[row]))


def find_images(folder: Path, classes: list[str]) -> ImageTable:
    """Find the images of a dataset, and check that it has pixels, and that train and test have each class.

    Parameters
    ----------
    folder
        A build or a release (``manifest.parquet`` with ``images/``, or ``data/*.parquet``), or a TensorFlow
        Datasets folder (``<name>/<version>`` with ``dataset_info.json``).
    classes
        The required classes.

    Raises
    ------
    CxrbuildError
        The folder is none of these, it has no pixels, or a split or class is missing; everything missing is
        named.
    """
    stored = stored_as(folder)
    match stored:
        case "files" | "nothing":
            table = _read_manifest(folder, folder / names.MANIFEST)
        case "parquet":
            table = _read_shards(list_shards(folder))
        case "tfrecord":
            table = _read_tfrecords(folder)
        case None:
            raise CxrbuildError(
                "no dataset to train on",
                where=folder,
                expected=f"{names.MANIFEST}, {names.PARQUET}/*.parquet or {names.TFDS_INFO}",
                todo="Run `cxrbuild curate`, or name a build or a release",
            )
    if stored == "nothing":  # each image would be reported as missing
        raise CxrbuildError(
            "this dataset has no pixels",
            where=folder,
            expected=f"{names.IMAGES}/ or {names.PARQUET}/*.parquet next to {names.MANIFEST}",
            found=f"{names.MANIFEST} alone",
            todo="Run `cxrbuild curate`, or name a build or a release with pixels",
        )
    _require_all_classes(folder, table.rows, classes)
    return table


def find_identified(folder: Path) -> frozenset[str] | None:
    """Return the ids of the images that show a readable name or birth date, by the reviews in the manifest.

    No page and no figure may show them.

    Parameters
    ----------
    folder
        A dataset, as for `find_images`.

    Returns
    -------
    ``None`` where the dataset has no manifest, so that no review of its images is known.
    """
    manifest = folder / names.MANIFEST
    if not manifest.is_file():
        return None
    records = read_records(manifest, ["image_id", "review"])
    return frozenset(records.loc[shows_identity(records["review"]), "image_id"])


def _require_all_classes(folder: Path, rows: pd.DataFrame, classes: list[str]) -> None:
    counts = rows.groupby(["split", "label"]).size()
    problems = []
    for split in ("train", "test"):
        found = [label for label in classes if (split, label) in counts.index]
        missing = [label for label in classes if label not in found]
        if not found:
            problems.append(f"{split} is empty")
        elif missing:
            problems.append(f"{split} has no {', no '.join(missing)}")
    others = sorted(set(rows["label"].dropna()) - set(classes))
    if others:
        problems.append(f"the recipe has no class {', '.join(others)}")
    unlabelled = rows.loc[rows["label"].isna() | ~rows["split"].isin(SPLITS), "image_id"]
    if len(unlabelled):
        problems.append(f"without a label or a split: {name_some(unlabelled)}")
    if problems:
        cells = counts.reset_index(name="count").astype("str").to_numpy().tolist()
        raise CxrbuildError(
            "the baseline cannot be trained and tested on this dataset: " + "; ".join(problems),
            where=folder,
            expected=f"images of {', '.join(classes)} in train and in test",
            found=", ".join(" ".join(row) for row in cells) or "no images",
            todo="Check the recipe's labels and split, and build the dataset again",
        )


def _read_manifest(folder: Path, manifest: Path) -> ImageTable:
    records = read_records(manifest)
    kept = records[records["exclusion"].isna()].sort_values("image_id", ignore_index=True)
    without_jpeg = kept.loc[kept["jpeg_path"].isna(), "image_id"]
    if len(without_jpeg):
        raise CxrbuildError(
            "images without a JPEG",
            where=manifest,
            found=name_some(without_jpeg),
            todo="A plan has no JPEGs: run `cxrbuild curate`",
        )
    paths = [folder / path for path in kept["jpeg_path"]]
    rows = _select_columns(kept)
    return ImageTable(rows, lambda row: paths[row].read_bytes(), lambda row: str(paths[row]))


def _read_shards(shards: list[Path]) -> ImageTable:
    """Read Parquet in the layout of Hugging Face datasets: ``data/<split>-*.parquet``, images as structs."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    frames: list[pd.DataFrame] = []
    jpegs = StoredJpegs()
    for shard in shards:
        try:
            with pq.ParquetFile(shard) as opened:
                others = [name for name in opened.schema_arrow.names if name != "image"]
                arrow = opened.read(columns=others)
                jpegs.add_shard(shard, opened)
            features = json.loads(arrow.schema.metadata[b"huggingface"])["info"]["features"]
            labels = features["label"]["names"]
            frame = arrow.to_pandas()
            frame["label"] = [_class_name(labels, label) for label in frame["label"]]
        except (pa.ArrowException, OSError, LookupError, StopIteration, TypeError, ValueError) as error:
            raise CxrbuildError(
                "not a shard of images with labels",
                where=shard,
                expected="columns image and label, as Hugging Face datasets writes them",
                found=repr(error),
                todo="Check the folder with `cxrbuild verify`, or name a build or a release",
            ) from error
        frame["split"] = shard.name.split("-")[0]
        frames.append(frame)
    return _join(pd.concat(frames, ignore_index=True), jpegs.read)


def _read_tfrecords(folder: Path) -> ImageTable:
    """Read TFRecord in the layout of TensorFlow Datasets, without tensorflow-datasets."""
    import pandas as pd

    from cxrbuild.baseline.backend import load_tensorflow

    tf = load_tensorflow()
    names_file = folder / "label.labels.txt"
    rows: list[dict[str, object]] = []
    jpegs = StoredJpegs()
    try:
        # Of all line breaks only this one ends a name.
        labels = names_file.read_text(encoding="utf-8").removesuffix("\n").split("\n")
        for split in SPLITS:
            for path in sorted(folder.glob(f"*-{split}.tfrecord-*")):
                for features in _read_features(tf, path, jpegs):
                    label = _class_name(labels, _require_type(int, features["label"]))
                    values: dict[str, object] = {
                        key: value.decode() if isinstance(value, bytes) else value
                        for key, value in features.items()
                    }
                    rows.append(values | {"label": label, "split": split})
    except (OSError, LookupError, TypeError, ValueError, tf.errors.OpError) as error:
        raise CxrbuildError(
            "not a TensorFlow Datasets folder of images with labels",
            where=folder,
            expected="label.labels.txt, and records with image, label and image_id",
            found=str(error).split("\n", 1)[0],
            todo="Name the folder of a build or a release, or <name>/<version> in its `tfds`",
        ) from error
    return _join(pd.DataFrame(rows, columns=None if rows else ["image_id", "label", "split"]), jpegs.read)


def _read_features(tf: Any, path: Path, jpegs: StoredJpegs) -> Iterator[dict[str, Value]]:
    """Yield the features of each record of a file but its image, which is added to the JPEGs."""
    start = _HEAD_BYTES
    for record in tf.data.TFRecordDataset([str(path)]):
        example = record.numpy()
        features = _parse_example(tf, example)
        image = _require_type(bytes, features.pop("image"))
        jpegs.add(path, start + example.find(image), len(image))
        yield features
        start += len(example) + FRAME_BYTES


def _parse_example(tf: Any, record: bytes) -> dict[str, Value]:
    """Return the features of a record that hold one value, by name."""
    example = tf.train.Example.FromString(record)
    features = {}
    for key, feature in example.features.feature.items():
        kind = feature.WhichOneof("kind")
        values = getattr(feature, kind).value if kind else []
        if len(values) == 1:
            features[key] = values[0]
    return features


def _class_name(labels: list[str], number: int) -> str:
    """Return the name of a class. Both formats write -1 for an image without a class."""
    if number < 0:
        raise ValueError(f"an image without a class (label {number})")
    return labels[number]


def _require_type(kind: type[T], value: object) -> T:
    if not isinstance(value, kind):
        raise TypeError(f"{type(value).__name__}, not {kind.__name__}")
    return value


def _join(frame: pd.DataFrame, read: Callable[[int], bytes]) -> ImageTable:
    """Return the table of a frame; a JPEG is read by the number of its row in the frame."""
    if "image_id" not in frame:
        frame = frame.assign(image_id=[f"{split}-{row:06d}" for row, split in enumerate(frame["split"])])
    order = frame["image_id"].argsort(kind="stable").to_numpy()
    rows = _select_columns(frame.iloc[order].reset_index(drop=True))
    ids = rows["image_id"].tolist()
    return ImageTable(rows, lambda row: read(order[row]), lambda row: ids[row])


def _select_columns(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the columns of an image table, a group for each image whose dataset does not have it."""
    rows = frame.rename(columns={"jpeg_sha256": "sha256"}).reindex(columns=list(COLUMNS)).astype("str")
    # A build names the group of a patient without links in the same way.
    rows["group"] = rows["group"].fillna(rows["source"].fillna("") + ":" + rows["patient_id"])
    # An image whose patient is unknown is a group of its own.
    rows["group"] = rows["group"].fillna(rows["image_id"])
    return rows
