"""Write the JPEGs of a build with their labels as Parquet and TFRecord, for training."""

from cxrbuild.shards.layout import Shard, is_of_shards, lay_out, shard_columns
from cxrbuild.shards.parquet import write_parquet
from cxrbuild.shards.tfrecord import SplitInfo, dataset_info, features, require_tensorflow, write_tfrecord

__all__ = [
    "Shard",
    "SplitInfo",
    "dataset_info",
    "features",
    "is_of_shards",
    "lay_out",
    "require_tensorflow",
    "shard_columns",
    "write_parquet",
    "write_tfrecord",
]
