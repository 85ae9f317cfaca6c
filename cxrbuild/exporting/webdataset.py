"""WebDataset: tar files that training reads one after another, https://github.com/webdataset/webdataset."""

from __future__ import annotations

import json
import tarfile
from io import BytesIO
from itertools import islice
from pathlib import Path

from cxrbuild.exporting.images import ExportImages

# Small enough that a few thousand images already are several shards, one for each worker.
SHARD_IMAGES = 1000


def write_webdataset(images: ExportImages, folder: Path) -> list[str]:
    """Write ``<split>-<number>.tar``: of each image the file, ``.cls`` with its class number, and ``.json``.

    Owners and times are 0, so that the same images give the same bytes.
    """
    places = []
    for split in images.splits:
        files = images.files(split)
        for number in range(_count_shards(images, split)):
            name = f"{split}-{number:06d}.tar"
            with tarfile.open(folder / name, "x", format=tarfile.USTAR_FORMAT) as tar:
                for row, data in islice(files, SHARD_IMAGES):
                    key = row["image_id"]
                    _add(tar, key + images.suffix, data)
                    _add(tar, f"{key}.cls", str(images.classes.index(row["label"])).encode())
                    width, height = images.side(row)
                    sidecar = row | {"width": width, "height": height}
                    _add(tar, f"{key}.json", json.dumps(sidecar, ensure_ascii=False).encode())
                    places.append(name)
        # Ends the bar of the split.
        next(files, None)
    return places


def webdataset_usage(images: ExportImages) -> str:
    """Return code that loads the training split, with the brace pattern of its shards."""
    split = images.splits[0]
    last = _count_shards(images, split) - 1
    pattern = f"{split}-{{000000..{last:06d}}}.tar" if last else f"{split}-000000.tar"
    return (
        "import webdataset\n\n"
        f'dataset = webdataset.WebDataset("{pattern}", shardshuffle=False)\n'
        f'for image, label, row in dataset.decode("l").to_tuple("{images.suffix[1:]}", "cls", "json"):\n'
        '    print(row["image_id"], image.shape, label)\n'
        "    break"
    )


def _count_shards(images: ExportImages, split: str) -> int:
    return -(-images.count(split) // SHARD_IMAGES)


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    tar.addfile(entry, BytesIO(data))
