"""Write the ready sizes of a release: its images, each resized once to a square."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.artifact import names
from cxrbuild.contents import Contents
from cxrbuild.errors import CxrbuildError
from cxrbuild.executors import open_executor, run_batches
from cxrbuild.loading.resizing import require_size, resize
from cxrbuild.progress import Progress
from cxrbuild.shards import ImageGroup, Shard, hashing, lay_out, parquet_writer, row_groups

if TYPE_CHECKING:
    import pandas as pd
    from PIL.Image import Image

RESIZING = "resizing"
_BATCH = 24
# The path and the size in bytes of a JPEG.
_Jpeg = tuple[str, int]


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


def write_sizes(
    build: Path, root: Path, contents: Contents, *, workers: int, executor: str, progress: Progress
) -> None:
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
    workers, executor
        The number of local processes, and where the images are resized: ``local``, or a cluster's address.
    progress
        Opens a progress bar.

    Raises
    ------
    CxrbuildError
        A JPEG changed or cannot be decoded, or the cluster is lost.
    """
    sizes = contents.document.sizes
    if not sizes:
        return
    shards = lay_out(contents.embedded)
    with (
        progress(RESIZING, len(contents.embedded), "image") as bar,
        open_executor(executor, workers, batches=-(-len(contents.embedded) // _BATCH), reads=[build]) as pool,
    ):
        done = run_batches(
            pool, partial(_resize_batch, sizes), _batches(shards, build), ahead=3 * workers, in_order=True
        )
        # Of each image its PNG at every size, in the order of the shards.
        resized = chain.from_iterable(pngs for _, pngs in done)
        for shard in shards:
            with ExitStack() as stack:
                writers = []
                for size in sizes:
                    path = root / names.sized_shard(size, shard.split, shard.number, shard.of)
                    file = stack.enter_context(hashing(path))
                    writers.append(
                        stack.enter_context(parquet_writer(file, contents.recipe.classes, suffix=".png"))
                    )
                for rows in row_groups(shard.rows):
                    pngs = list(islice(resized, len(rows)))
                    for i, write in enumerate(writers):
                        write(_as_group(rows, [sized[i] for sized in pngs]))
                    bar.update(len(rows))


def _batches(shards: Sequence[Shard], build: Path) -> Iterator[tuple[_Jpeg, ...]]:
    # The workers of a cluster have another current folder.
    at = build.absolute()
    jpegs = (
        (f"{at}/{path}", int(size))
        for shard in shards
        for path, size in zip(shard.rows["jpeg_path"], shard.rows["jpeg_bytes"], strict=True)
    )
    while batch := tuple(islice(jpegs, _BATCH)):
        yield batch


def _as_group(rows: pd.DataFrame, images: list[bytes]) -> ImageGroup:
    import pyarrow as pa

    return ImageGroup(rows, pa.array(images, pa.binary()))


def _resize_batch(sizes: Sequence[int], batch: tuple[_Jpeg, ...]) -> list[list[bytes]]:
    """Return of each image its PNG at every size: runs on a worker."""
    return [_resize(path, expected, sizes) for path, expected in batch]


def _resize(path: str, expected: int, sizes: Sequence[int]) -> list[bytes]:
    from PIL import Image as Images

    jpeg = Path(path).read_bytes()
    if len(jpeg) != expected:
        raise CxrbuildError(
            "a JPEG changed while the release was written", where=path, expected=f"{expected:,} bytes",
            found=f"{len(jpeg):,} bytes",
            todo="Run the command again while no other program writes to the build",
        )  # fmt: skip
    try:
        with Images.open(io.BytesIO(jpeg)) as image:
            image.load()
            return [_encode(resize(image, size)) for size in sizes]
    except (OSError, SyntaxError, ValueError) as error:
        raise CxrbuildError(
            "the image cannot be resized", where=path, found=error,
            todo="Check the build with `cxrbuild verify`",
        ) from error  # fmt: skip


def _encode(image: Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()
