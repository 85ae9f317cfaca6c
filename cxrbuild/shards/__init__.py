"""Write the JPEGs of a build with their labels as Parquet and TFRecord, for training."""

from cxrbuild.shards.layout import Shard, is_of_shards, lay_out, shard_columns
from cxrbuild.shards.record import ShardRecord
from cxrbuild.shards.tfrecord import NO_INTEGER, Description, SplitInfo, dataset_info, features
from cxrbuild.shards.write import write_shards

__all__ = [
    "NO_INTEGER",
    "Description",
    "Shard",
    "ShardRecord",
    "SplitInfo",
    "dataset_info",
    "features",
    "is_of_shards",
    "lay_out",
    "shard_columns",
    "write_shards",
]
