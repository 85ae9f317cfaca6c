"""TFRecord, as ``tfds.builder_from_directory`` opens it."""

from __future__ import annotations

import errno
import importlib.util
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cxrbuild.errors import CxrbuildError
from cxrbuild.files import replacing, write_bytes, write_json
from cxrbuild.progress import Progress, silent
from cxrbuild.quiet import suppress_stderr
from cxrbuild.records import COLUMNS
from cxrbuild.shards.layout import Shard, shard_columns

_FEATURES = "tensorflow_datasets.core.features"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NUMBERS = {column.name for column in COLUMNS if column.kind == "number"}


def require_tensorflow(purpose: str) -> None:
    """Require that TensorFlow is installed, without importing it.

    Raises
    ------
    CxrbuildError
        TensorFlow is not installed.
    """
    if importlib.util.find_spec("tensorflow") is None:
        raise CxrbuildError(
            f"TensorFlow is not installed, and {purpose} needs it", todo="Run `pip install 'cxrbuild[train]'`"
        )


@dataclass
class SplitInfo:
    """The bytes of a split's records, and the number of records in each of its files."""

    record_bytes: int = 0
    lengths: list[int] = field(default_factory=list)


def dataset_info(
    splits: Mapping[str, SplitInfo], *, name: str, version: str, description: str, citation: str
) -> dict[str, Any]:
    """Return ``dataset_info.json``, as TensorFlow Datasets reads it."""
    return {
        "citation": citation,
        "description": description,
        "fileFormat": "tfrecord",
        "moduleName": "cxrbuild",
        "name": name,
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
        "version": version,
    }


def write_tfrecord(
    shards: Sequence[Shard],
    build: Path,
    classes: Sequence[str],
    *,
    name: str,
    version: str,
    description: str,
    citation: str,
    progress: Progress = silent,
    out: Path | None = None,
) -> list[Path]:
    """Write ``tfds/<name>/<version>/``; the JPEGs' bytes are unchanged.

    Records are flat ``tf.train.Example`` of TensorFlow's own writer. The metadata files are those of
    ``tfds.folder_dataset``: https://www.tensorflow.org/datasets/external_tfrecord

    Parameters
    ----------
    shards
        The shards.
    build
        The build's folder; ``jpeg_path`` is relative to it.
    classes
        The classes in the order of their numbers.
    name, version, description, citation
        What ``dataset_info.json`` says about the dataset; in ``name`` underscores replace hyphens.
    progress
        Opens a progress bar, in images.
    out
        The folder to write to; default the build.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    CxrbuildError
        TensorFlow is not installed, or the files cannot be written.
    """
    require_tensorflow("TFRecord")
    with suppress_stderr():
        import tensorflow as tf

    name = name.replace("-", "_")
    folder = (out or build) / "tfds" / name / version
    paths: list[Path] = []
    splits: dict[str, SplitInfo] = {}
    with progress("writing TFRecord", sum(len(shard.rows) for shard in shards), "image") as bar:
        for shard in shards:
            path = folder / f"{name}-{shard.split}.tfrecord-{shard.number:05d}-of-{shard.of:05d}"
            size = 0
            with (
                _explaining_full_disk(path),
                replacing(path) as temporary,
                tf.io.TFRecordWriter(str(temporary)) as writer,
            ):
                for row in shard.rows.to_dict("records"):
                    record = _example(row, build, classes).SerializeToString(deterministic=True)
                    writer.write(record)
                    size += len(record)
                    bar.update()
            split = splits.setdefault(shard.split, SplitInfo())
            split.record_bytes += size
            split.lengths.append(len(shard.rows))
            paths.append(path)
    info = dataset_info(splits, name=name, version=version, description=description, citation=citation)
    with _explaining_full_disk(folder):
        write_json(folder / "features.json", features(len(classes)))
        write_bytes(folder / "label.labels.txt", "".join(f"{label}\n" for label in classes).encode())
        write_json(folder / "dataset_info.json", info)
    return [*paths, folder / "features.json", folder / "label.labels.txt", folder / "dataset_info.json"]


@contextmanager
def _explaining_full_disk(path: Path) -> Iterator[None]:
    import tensorflow as tf

    try:
        yield
    except (tf.errors.OpError, OSError) as error:
        # Another error, for example of a JPEG that cannot be read, names its own file.
        if isinstance(error, OSError) and error.errno not in _FULL:
            raise
        # TensorFlow's message is `path; reason`.
        found = error.strerror if isinstance(error, OSError) else error.message.rpartition("; ")[2]
        raise CxrbuildError(
            "cannot write TFRecord", where=path, found=found,
            todo="Free space on the disk and run the command again; finished work is kept",
        ) from error  # fmt: skip


def _example(row: dict[Any, Any], build: Path, classes: Sequence[str]) -> Any:
    import pandas as pd
    import tensorflow as tf

    train = tf.train
    feature = {
        "image": train.Feature(bytes_list=train.BytesList(value=[(build / row["jpeg_path"]).read_bytes()])),
        "label": train.Feature(int64_list=train.Int64List(value=[list(classes).index(row["label"])])),
    }
    for name in shard_columns():
        known = not pd.isna(row[name])
        if name in _NUMBERS:
            number = float(row[name]) if known else math.nan
            feature[name] = train.Feature(float_list=train.FloatList(value=[number]))
        else:
            text = row[name].encode() if known else b""
            feature[name] = train.Feature(bytes_list=train.BytesList(value=[text]))
    return train.Example(features=train.Features(feature=feature))


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
        if name in _NUMBERS:
            found[name] = {
                "pythonClassName": f"{_FEATURES}.scalar.Scalar",
                "tensor": {"shape": {}, "dtype": "float32", "encoding": "none"},
            }
        else:
            found[name] = {"pythonClassName": f"{_FEATURES}.text_feature.Text", "text": {}}
    return {
        "pythonClassName": f"{_FEATURES}.features_dict.FeaturesDict",
        "featuresDict": {"features": found},
    }
