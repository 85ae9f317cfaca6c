"""Write the ready sizes of a release: its images, each resized once to a square."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from cxrbuild.artifact import names
from cxrbuild.contents import Contents
from cxrbuild.errors import CxrbuildError
from cxrbuild.loading.resizing import require_size, resize
from cxrbuild.progress import Progress
from cxrbuild.shards import ImageGroup, hashing, lay_out, parquet_writer, read_groups


def ready_sizes(sizes: Sequence[int]) -> list[int]:
    """Return the sizes of a release, each once, in order.

    Raises
    ------
    CxrbuildError
        Images cannot have one of them.
    """
    for size in sizes:
        require_size(size)
    return sorted(set(sizes))


def write_sizes(build: Path, root: Path, contents: Contents, progress: Progress) -> None:
    """Write ``sizes/<size>/``: shards as those in ``data/``, with resized images as PNG.

    The filter is the loaders' default, so that a ready image has the
    pixels that ``load(...).torch(size=...)`` gives.

    Parameters
    ----------
    build
        The build's folder.
    root
        The release.
    contents
        Its content.
    progress
        Opens a progress bar.
    """
    shards = lay_out(contents.embedded)
    sizes = contents.document.sizes
    if not sizes:
        return
    with (
        progress("resizing", len(contents.embedded), "image") as bar,
        ThreadPoolExecutor(os.cpu_count()) as pool,
    ):
        for shard in shards:
            for size in sizes:
                path = root / names.sized_shard(size, shard.split, shard.number, shard.of)
                with (
                    hashing(path) as file,
                    parquet_writer(file, contents.recipe.classes, suffix=".png") as write,
                ):
                    for group in read_groups(shard.rows, build):
                        write(_resized(group, size, pool))
            bar.update(len(shard.rows))


def _resized(group: ImageGroup, size: int, pool: ThreadPoolExecutor) -> ImageGroup:
    import pyarrow as pa

    resized = pool.map(partial(_resize, size), group.rows["image_id"], group.views())
    return ImageGroup(group.rows, pa.array(list(resized), pa.binary()))


def _resize(size: int, image_id: str, jpeg: memoryview) -> bytes:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(jpeg)) as image:
            image.load()
            small = resize(image, size)
    except (OSError, SyntaxError, ValueError) as error:
        raise CxrbuildError(
            "the image cannot be resized", where=image_id, found=error,
            todo="Check the build with `cxrbuild verify`",
        ) from error  # fmt: skip
    stream = io.BytesIO()
    small.save(stream, "PNG")
    return stream.getvalue()
