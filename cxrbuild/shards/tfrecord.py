"""TFRecord, as ``tfds.builder_from_directory`` opens it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cxrbuild.records import COLUMNS
from cxrbuild.shards.example import Value, write_example
from cxrbuild.shards.hashed_file import HashedFile
from cxrbuild.shards.images import ImageGroup
from cxrbuild.shards.layout import shard_columns
from cxrbuild.shards.record_file import frame

if TYPE_CHECKING:
    import pandas as pd

_FEATURES = "tensorflow_datasets.core.features"
_NUMBERS = {column.name for column in COLUMNS if column.kind == "number"}
_INTEGERS = {column.name for column in COLUMNS if column.kind == "integer"}
# An integer that is null; all of ours are 0 or more.
NO_INTEGER = -1


@dataclass(frozen=True)
class Description:
    """What TensorFlow Datasets shows about a dataset."""

    name: str
    version: str
    description: str
    citation: str


@dataclass
class SplitInfo:
    """The bytes of a split's records, and the number of records in each of its files."""

    record_bytes: int = 0
    lengths: list[int] = field(default_factory=list)


def write_records(group: ImageGroup, file: HashedFile, classes: Sequence[str]) -> None:
    """Write a record for each image: a flat ``tf.train.Example``; the JPEGs' bytes are unchanged.

    Parameters
    ----------
    group
        The images.
    file
        Where to write.
    classes
        The classes in the order of their numbers.
    """
    rows = group.rows
    columns: dict[str, Sequence[Value]] = {name: _values(rows[name]) for name in shard_columns()}
    columns["label"] = rows["label"].map(list(classes).index).tolist()
    for image, *values in zip(group.views(), *columns.values(), strict=True):
        example = write_example(dict(zip(columns, values, strict=True)), image)
        for part in frame(example):
            file.write(part)


def dataset_info(splits: Mapping[str, SplitInfo], dataset: Description) -> dict[str, Any]:
    """Return ``dataset_info.json``, as TensorFlow Datasets reads it.

    The metadata files are those of ``tfds.folder_dataset``: https://www.tensorflow.org/datasets/external_tfrecord
    """
    return {
        "citation": dataset.citation,
        "description": dataset.description,
        "fileFormat": "tfrecord",
        "moduleName": "cxrbuild",
        # TensorFlow Datasets takes names in snake_case only.
        "name": dataset.name.replace("-", "_"),
        "splits": [
            {
                "filepathTemplate": "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
                "name": split,
                # int64 is a string in the JSON form of protocol buffers.
                "numBytes": str(info.record_bytes),
                "shardLengths": [str(length) for length in info.lengths],
            }
            for split, info in splits.items()
        ],
        "version": dataset.version,
    }


def _values(column: pd.Series) -> list[Value]:
    """Return the values of a column as a record has them: null is NaN, -1 or an empty text."""
    if column.name in _NUMBERS:
        return list(column.astype(float).tolist())
    if column.name in _INTEGERS:
        return [int(value) for value in column.fillna(NO_INTEGER)]
    return [text.encode() for text in column.fillna("")]


def features(classes: int) -> dict[str, Any]:
    """Return ``features.json``, from which TensorFlow Datasets knows how to read a record."""
    found: dict[str, Any] = {
        "image": {
            "pythonClassName": f"{_FEATURES}.image_feature.Image",
            "image": {
                "shape": {"dimensions": ["-1", "-1", "1"]},
                "dtype": "uint8",
                "encodingFormat": "jpeg",
            },
        },
        "label": {
            "pythonClassName": f"{_FEATURES}.class_label_feature.ClassLabel",
            "classLabel": {"numClasses": str(classes)},
        },
    }
    for name in shard_columns():
        if name in _NUMBERS | _INTEGERS:
            dtype = "float32" if name in _NUMBERS else "int64"
            found[name] = {
                "pythonClassName": f"{_FEATURES}.scalar.Scalar",
                "tensor": {"shape": {}, "dtype": dtype, "encoding": "none"},
            }
        else:
            found[name] = {"pythonClassName": f"{_FEATURES}.text_feature.Text", "text": {}}
    return {
        "pythonClassName": f"{_FEATURES}.features_dict.FeaturesDict",
        "featuresDict": {"features": found},
    }
