"""Write the JPEGs of a build with their labels as Parquet and TFRecord, for training."""

from cxrbuild.shards.hashed_file import hashing
from cxrbuild.shards.images import ImageGroup, read_groups, row_groups
from cxrbuild.shards.layout import Shard, is_of_shards, lay_out, shard_columns
from cxrbuild.shards.parquet import parquet_writer
from cxrbuild.shards.record import ShardRecord
from cxrbuild.shards.tfrecord import NO_INTEGER, Description, SplitInfo, dataset_info, features
from cxrbuild.shards.write import write_shards

__all__ = [
    "NO_INTEGER",
    "Description",
    "ImageGroup",
    "Shard",
    "ShardRecord",
    "SplitInfo",
    "dataset_info",
    "features",
    "hashing",
    "is_of_shards",
    "lay_out",
    "parquet_writer",
    "read_groups",
    "row_groups",
    "shard_columns",
    "write_shards",
]
