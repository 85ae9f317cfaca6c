"""Open a build or a release as a dataset, wherever it is."""

from __future__ import annotations

from pathlib import Path

from cxrbuild.arguments import checked
from cxrbuild.artifact import open_artifact
from cxrbuild.loading.absent_pixels import warn_of_absent_pixels
from cxrbuild.loading.dataset import Dataset
from cxrbuild.loading.published import download_release, is_address
from cxrbuild.remote import reading


@checked
def load(path: str | Path) -> Dataset:
    """Open a build or a release as a dataset.

    Warns with a `MissingPixelsWarning` if a release withholds the pixels of images, or if images of the
    dataset are missing, with the counts by class and split. Otherwise nothing but ``build.json`` is read
    until rows or images are asked for. A published release is downloaded once, into ``$CXRBUILD_CACHE`` or
    ``~/.cache/cxrbuild``, and its hashes are checked.

    Parameters
    ----------
    path
        The folder of a build or release; the address ``s3://BUCKET/PREFIX`` of either, which is copied first;
        or another address of a published release, such as ``hf://datasets/OWNER/NAME``.

    Returns
    -------
    Dataset
        Its images and rows; ``select`` returns a split of it.

    Raises
    ------
    CxrbuildError
        The folder holds neither a build nor a release, or the address cannot be read.

    Examples
    --------
    >>> import cxrbuild
    >>> cxrbuild.load("demo/build")
    Dataset(demo-cxr 1.0.0, folder='demo/build', images=89)
    """
    dataset = open_dataset(path)
    # 1 is `load`, 2 the function that checks its arguments, 3 the caller.
    warn_of_absent_pixels(dataset.artifact, stacklevel=3)
    return dataset


def open_dataset(path: str | Path) -> Dataset:
    """Open a build or a release as a dataset, as `load` does, without a warning about absent pixels."""
    if is_address(str(path)) and not str(path).startswith("s3://"):
        return Dataset(open_artifact(download_release(str(path))))
    with reading(path) as folder:
        return Dataset(open_artifact(folder))
