"""Release, compare, export and publish."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cxrbuild.api.arguments import AnyPath, is_table
from cxrbuild.arguments import checked
from cxrbuild.progress import Progress, silent
from cxrbuild.remote import copy_neighbours, is_address, reading, writing

if TYPE_CHECKING:
    from cxrbuild.comparison import Diff
    from cxrbuild.exporting import ExportResult
    from cxrbuild.loading import Resampling
    from cxrbuild.publishing import PublicationResult
    from cxrbuild.releasing import ReleaseResult, SigningResult


@checked
def release(
    build: AnyPath,
    version: str,
    out: AnyPath | None = None,
    *,
    policy: Literal["public", "private"] = "public",
    previous: AnyPath | None = None,
    sizes: Sequence[int] = (),
    workers: int | None = None,
    executor: str = "local",
    progress: Progress = silent,
) -> ReleaseResult:
    """Make a release from a build: a versioned folder that others can load, check, cite and rebuild.

    Parameters
    ----------
    build
        The folder of the build.
    version
        MAJOR.MINOR.PATCH, as the build's recipe has it. One that is too small for what changed is refused.
    out
        The folder of the release; default ``release/NAME-VERSION``, with ``-private`` for a private one.
    policy
        ``public`` includes the pixels whose licence allows it, ``private`` all pixels.
    previous
        The release before; default the newest older one next to ``out``.
    sizes
        The ready sizes that it has in addition to the images' own: the sides of squares, in pixels.
    workers
        Number of processes that resize images; default one for each processor.
    executor
        Where images are resized, and the resized ones checked: ``local``, or ``dask://HOST:PORT``.
    progress
        Opens progress bars.

    Returns
    -------
    ReleaseResult
        ``release``, whether it was ``written``, and the ``changes`` since the previous one.

    Raises
    ------
    CxrbuildError
        The folder holds no build, ``out`` holds another release, or the cluster cannot do the work.
    CheckError
        The version is too small, or the build's files have changed.

    Examples
    --------
    >>> import cxrbuild
    >>> released = cxrbuild.release("demo/build", "1.0.0", "released")
    >>> released.written, released.release.withheld_images
    (True, 0)
    """
    from cxrbuild.artifact import names
    from cxrbuild.releasing import default_folder
    from cxrbuild.releasing import release as make_release

    with ExitStack() as stack:
        source = stack.enter_context(reading(build, progress))
        before = None
        if previous is not None:
            before = stack.enter_context(reading(previous, progress, wanted=is_table))
        place = default_folder(source, version, policy) if out is None else out
        target = stack.enter_context(writing(place, [names.SUMS], progress))
        if is_address(place):
            # The releases next to it decide which version is too small.
            copy_neighbours(str(place), is_table, names.SUMS, progress)
        return make_release(
            source, version, target, policy=policy, previous=before, sizes=sizes, workers=workers,
            executor=executor, progress=progress,
        )  # fmt: skip


@checked
def sign(folder: AnyPath, key: AnyPath, *, passphrase: str | None = None) -> SigningResult:
    """Sign a release with an SSH key: write ``SHA256SUMS.sig`` into it.

    Parameters
    ----------
    folder
        The folder of the release.
    key
        A private Ed25519 key in OpenSSH's format.
    passphrase
        The passphrase of the key.

    Returns
    -------
    SigningResult
        ``fingerprint``: that of the key.

    Raises
    ------
    CxrbuildError
        The folder holds no release, or the key cannot be read.
    CheckError
        The files of the release are not those of ``SHA256SUMS``.
    """
    from cxrbuild.releasing import sign as sign_release

    return sign_release(Path(folder), Path(key), passphrase)


@checked
def diff(old: AnyPath, new: AnyPath, *, progress: Progress = silent) -> Diff:
    """Return what changed between two versions of a dataset, and the version step that this requires.

    Parameters
    ----------
    old, new
        Folders of releases or builds, ``manifest.parquet`` files, or names of published manifests.
    progress
        Opens progress bars.

    Returns
    -------
    Diff
        ``rows``: a table for each kind of change; ``bump``: the part of the version that must increase.

    Raises
    ------
    CxrbuildError
        There is no such release, build or manifest.

    Examples
    --------
    >>> import cxrbuild
    >>> cxrbuild.diff("covid19-cxr/1.0.0", "covid19-cxr/1.0.0").bump is None
    True
    """
    from cxrbuild.comparison import diff as compare_versions

    with (
        reading(old, progress, wanted=is_table) as before,
        reading(new, progress, wanted=is_table) as after,
    ):
        found = compare_versions(
            before if is_address(old) else old,
            after if is_address(new) else new,
            progress=progress,
        )
    return replace(found, old=str(old), new=str(new))


@checked
def export(
    folder: AnyPath,
    to: str,
    out: AnyPath | None = None,
    *,
    size: int | None = None,
    resampling: Resampling = "bicubic",
    progress: Progress = silent,
) -> ExportResult:
    """Export images and labels of a build or release in the format of another tool.

    Parameters
    ----------
    folder
        The folder of a build or release.
    to
        ``webdataset``, ``npz``, ``imagefolder``, ``csv``, ``coco`` or ``fiftyone``.
    out
        The folder of the export; default ``export/NAME-VERSION-FORMAT``, with the size at the end.
    size
        The side to which each image is resized, in pixels; default the images' own sizes, as JPEG.
    resampling
        Pillow's filter: ``box``, ``bilinear``, ``bicubic`` or ``lanczos``.
    progress
        Opens progress bars.

    Returns
    -------
    ExportResult
        ``folder``, and whether it was ``written``.

    Raises
    ------
    CxrbuildError
        The format needs a size, the size is not valid, the dataset has no pixels, ``out`` holds something
        else, or the disk is full.
    """
    from cxrbuild.exporting import default_folder
    from cxrbuild.exporting import export as export_images

    return export_images(
        Path(folder),
        to,
        default_folder(Path(folder), to, size) if out is None else Path(out),
        size=size,
        resampling=resampling,
        progress=progress,
    )


@checked
def publish(
    folder: AnyPath,
    target: str,
    *,
    dry_run: bool = False,
    final: bool = False,
    jobs: int = 4,
    progress: Progress = silent,
) -> PublicationResult:
    """Send a release to a folder, a bucket, a server, the Hugging Face Hub or Zenodo.

    Parameters
    ----------
    folder
        The folder of the release.
    target
        A folder, ``s3://BUCKET/PREFIX``, ``gs://BUCKET/PREFIX``, ``sftp://HOST/PATH``,
        ``hf://datasets/OWNER/NAME``, ``zenodo:`` or ``zenodo:ID``.
    dry_run
        Only list what would be sent.
    final
        Publish the Zenodo record, which cannot be undone.
    jobs
        Number of files that are sent at a time.
    progress
        Opens progress bars.

    Returns
    -------
    PublicationResult
        ``steps``: the files, and which of them the target had; ``location``: where the release is.

    Raises
    ------
    CxrbuildError
        The release cannot be published, the target holds something else, or the target cannot be reached.
    CheckError
        ``verify`` finds something wrong with the release.
    """
    from cxrbuild.publishing import publish as publish_release

    return publish_release(Path(folder), target, dry_run=dry_run, final=final, jobs=jobs, progress=progress)
