"""Pack a build's JPEGs with their labels into files that training reads: Parquet and TFRecord."""

from cxrbuild.shards.layout import Shard, is_of_shards, lay_out, shard_columns
from cxrbuild.shards.parquet import write_parquet
from cxrbuild.shards.tfrecord import require_tensorflow, write_tfrecord

FORMATS = ("parquet", "tfrecord")

__all__ = [
    "FORMATS",
    "Shard",
    "is_of_shards",
    "lay_out",
    "require_tensorflow",
    "shard_columns",
    "write_parquet",
    "write_tfrecord",
]
