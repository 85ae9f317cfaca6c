"""The public functions: what the commands do, for a notebook or a program.

Import them from ``cxrbuild``. Each takes paths as text or ``Path``, and a recipe by name, by path or as an
object; each returns a frozen result with ``to_dict()``. A library is imported when a function needs it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cxrbuild.progress import Progress, silent
from cxrbuild.remote import adding, copy_neighbours, is_address, reading, writing

if TYPE_CHECKING:
    from PIL.Image import Image

    from cxrbuild.auditing import AuditResult
    from cxrbuild.baseline import BaselineResult, ComparisonResult
    from cxrbuild.catalog import Recipe, Source
    from cxrbuild.catalog.shipped import ShippedRecipe, ShippedSource
    from cxrbuild.comparison import Diff
    from cxrbuild.curation import CurationResult, Plan
    from cxrbuild.demo import DemoResult
    from cxrbuild.environment import Environment
    from cxrbuild.explanation import ExplanationResult
    from cxrbuild.exporting import ExportResult
    from cxrbuild.fetching.sources import FetchResult
    from cxrbuild.lists import ListAuditResult
    from cxrbuild.loading import Resampling
    from cxrbuild.overlapping import FingerprintResult, Level, OverlapResult
    from cxrbuild.pins import PinDiff, PinProposal
    from cxrbuild.proposing import Proposal
    from cxrbuild.publishing import PublicationResult
    from cxrbuild.releasing import ReleaseResult, SigningResult
    from cxrbuild.verification import VerificationResult

AnyPath = str | Path
# The data folder where nothing else is named, as on the command line.
_DATA = "data"


def read_recipe(recipe: AnyPath = "covid19-cxr") -> Recipe:
    """Read a recipe.

    Parameters
    ----------
    recipe
        The name of a shipped recipe, or the path of a TOML file.

    Raises
    ------
    CxrbuildError
        There is no such recipe, or the file has problems; all of them are listed.

    Examples
    --------
    >>> import cxrbuild
    >>> cxrbuild.read_recipe("covid19-cxr").classes
    ['COVID-19', 'Normal', 'Pneumonia']
    """
    from cxrbuild.catalog import read_recipe as read

    return read(str(recipe))


def read_source(source: AnyPath) -> Source:
    """Read the declaration of a source.

    Parameters
    ----------
    source
        The name of a shipped source, or the path of a TOML file.

    Raises
    ------
    CxrbuildError
        There is no such source, or the file has problems; all of them are listed.

    Examples
    --------
    >>> import cxrbuild
    >>> cxrbuild.read_source("mooney").license
    'CC-BY-4.0'
    """
    from cxrbuild.catalog import read_source as read

    return read(str(source))


def list_sources(data: AnyPath = _DATA) -> list[ShippedSource]:
    """List the shipped sources: pin, licence and size, and whether the data folder has them.

    Parameters
    ----------
    data
        The data folder, which need not exist.

    Raises
    ------
    CxrbuildError
        The lock of the data folder is damaged.

    Examples
    --------
    >>> import cxrbuild
    >>> {source.name: source.images for source in cxrbuild.list_sources()}["mooney"]
    5856
    """
    from cxrbuild.catalog.shipped import list_sources as list_

    return list_(Path(data))


def list_recipes(data: AnyPath = _DATA) -> list[ShippedRecipe]:
    """List the shipped recipes: classes, sources and the images of a build.

    Parameters
    ----------
    data
        The data folder, which need not exist.

    Raises
    ------
    CxrbuildError
        The lock of the data folder is damaged.

    Examples
    --------
    >>> import cxrbuild
    >>> [(recipe.name, recipe.images) for recipe in cxrbuild.list_recipes()]
    [('covid19-cxr', 6354), ('covid19-cxr-adult', 411), ('covidx4', 14197)]
    """
    from cxrbuild.catalog.shipped import list_recipes as list_

    return list_(Path(data))


def check_environment(data: AnyPath = _DATA, out: AnyPath = "build", *, network: bool = True) -> Environment:
    """Check versions, extras, image decoders, folders, locale and network.

    Parameters
    ----------
    data
        The data folder.
    out
        The folder of the builds.
    network
        Whether to connect to the hosts of the shipped sources.
    """
    from cxrbuild.environment import check_environment as check

    return check(Path(data), Path(out), network=network)


def phantom(seed: str, finding: str, *, lateral: bool = False) -> Image:
    """Draw a synthetic chest image of no person, to try things with.

    Parameters
    ----------
    seed
        The same seed draws the same image.
    finding
        ``COVID-19`` has hazy patches at the edges of both lungs, ``Pneumonia`` one dense patch, any other
        text clear lungs.
    lateral
        Draw the chest from the side.

    Returns
    -------
    PIL.Image.Image
        Mode ``L``, 256 by 256 pixels.
    """
    from cxrbuild.demo.phantom import phantom as draw

    return draw(seed, finding, lateral=lateral)


def propose(
    path: AnyPath,
    *,
    images: AnyPath | None = None,
    columns: Mapping[str, str] | None = None,
    name: str | None = None,
    license: str = "unknown",  # noqa: A002 - the name of the declaration's key
    public: bool = False,
    progress: Progress = silent,
) -> Proposal:
    """Look at your own images and propose a source and a recipe for them. Nothing is written.

    Parameters
    ----------
    path
        A CSV file, a folder of images with or without CSV files, or a folder of DICOM files.
    images
        The folder of the images, where it is not the CSV file's.
    columns
        For our column, such as ``finding``, the column of the metadata to take, or ``none``.
    name
        The name of the source; default the folder's.
    license
        The SPDX identifier of the images' licence.
    public
        Whether the files are published, so that names and patient numbers may be kept.
    progress
        Opens a progress bar for reading DICOM headers.

    Returns
    -------
    Proposal
        What was decided, how certainly and why; the words that were found; both files as text. The method
        ``write`` writes them.

    Raises
    ------
    CxrbuildError
        There is no image, a table cannot be read, no row names an image, or ``columns`` names no column.
    """
    from cxrbuild.proposing import Answers
    from cxrbuild.proposing import propose as propose_files

    return propose_files(
        Path(path),
        images=None if images is None else Path(images),
        answers=Answers(columns or {}, public, name, license),
        progress=progress,
    )


def fetch(
    sources: Sequence[AnyPath | Source] | None = None,
    data: AnyPath = _DATA,
    *,
    origins: Mapping[str, str] | None = None,
    recipe: AnyPath | None = None,
    allow_unpinned: bool = False,
    pin: bool = False,
    jobs: int = 4,
    progress: Progress = silent,
) -> FetchResult:
    """Download sources and published lists, verify them, and put them into the data folder.

    A source that is already there and verified is not downloaded again. An interrupted download is resumed.

    Parameters
    ----------
    sources
        Names of shipped sources and lists, or paths of TOML files; default are the sources of the paper's
        dataset.
    data
        The data folder.
    origins
        By source name: a folder, an archive, a URL or a declared mirror to use instead of the declared URL.
    recipe
        A recipe whose sources and list are fetched; the user brings a source that declares no address.
    allow_unpinned
        Accept files that do not match their pin, and record the differences.
    pin
        Pin your own sources to the files that were fetched: write their hashes into the declarations.
    jobs
        Number of sources that are downloaded at a time.
    progress
        Opens progress bars.

    Raises
    ------
    CxrbuildError
        A source cannot be fetched, does not match its pin, or cannot be pinned.
    """
    from cxrbuild.catalog import DEFAULT_RECIPE, Source
    from cxrbuild.fetching.named import fetch_and_pin, fetch_named, read_named

    if sources is None and recipe is None:
        recipe = DEFAULT_RECIPE
    objects = [one for one in sources or () if isinstance(one, Source)]
    names = [str(one) for one in sources or () if not isinstance(one, Source)]
    named = [*objects, *read_named(names, None if recipe is None else str(recipe), {})]
    if pin:
        return fetch_and_pin(
            named,
            Path(data),
            origins=origins or {},
            allow_unpinned=allow_unpinned,
            jobs=jobs,
            progress=progress,
        )[0]
    return fetch_named(
        named,
        Path(data),
        origins=origins or {},
        allow_unpinned=allow_unpinned,
        jobs=jobs,
        progress=progress,
        skip_unknown=recipe is not None,
    )


def plan(
    recipe: AnyPath | Recipe = "covid19-cxr",
    data: AnyPath = _DATA,
    *,
    switches: Mapping[str, bool] | None = None,
    reviews: Sequence[AnyPath] = (),
    as_pinned: bool = False,
    progress: Progress = silent,
) -> Plan:
    """Return which images a build would keep and why others are excluded, without reading pixels.

    Parameters
    ----------
    recipe
        The recipe.
    data
        The data folder that ``fetch`` filled.
    switches
        Rules to switch on or off: ``{"lateral": True}`` is ``--drop-lateral``.
    reviews
        Review files in addition to the recipe's; they override the recipe's reviews of the same images.
    as_pinned
        Assume that every pinned file is present; read metadata only.
    progress
        Opens progress bars.

    Raises
    ------
    CxrbuildError
        A source was not fetched, its metadata is not as declared, or the split has no solution.
    """
    from cxrbuild.curation import make_plan, read_declared

    declared = read_declared(recipe, switches or {}, list(map(str, reviews)))
    with reading(data, progress, wanted=_is_of_sources) as folder:
        return make_plan(declared, folder, as_pinned=as_pinned, progress=progress)


def curate(
    recipe: AnyPath | Recipe = "covid19-cxr",
    data: AnyPath = _DATA,
    out: AnyPath | None = None,
    *,
    switches: Mapping[str, bool] | None = None,
    reviews: Sequence[AnyPath] = (),
    formats: Sequence[str] = ("parquet", "tfrecord"),
    allow_missing: bool = False,
    workers: int | None = None,
    executor: str = "local",
    progress: Progress = silent,
) -> CurationResult:
    """Build a dataset: apply the rules, split by patient, convert to JPEG, write manifest and shards.

    A build that is already there is updated; what did not change is not done again.

    Parameters
    ----------
    recipe
        The recipe.
    data
        The data folder that ``fetch`` filled.
    out
        The folder of the build; default ``build/<recipe>``.
    switches
        Rules to switch on or off: ``{"lateral": True}`` is ``--drop-lateral``.
    reviews
        Review files in addition to the recipe's; they override the recipe's reviews of the same images.
    formats
        Formats of the shards.
    allow_missing
        Continue without missing images, and record them.
    workers
        Number of processes; default one for each processor.
    executor
        ``local``, or ``dask://HOST:PORT``.
    progress
        Opens progress bars.

    Raises
    ------
    CxrbuildError
        A source was not fetched, or the folder holds something else.
    CheckError
        The result is not what the recipe expects.
    """
    from cxrbuild.artifact import names
    from cxrbuild.curation import curate as curate_dataset
    from cxrbuild.curation import read_declared
    from cxrbuild.executors import default_workers

    declared = read_declared(recipe, switches or {}, list(map(str, reviews)))
    place = Path("build") / declared.recipe.name if out is None else out
    with (
        reading(data, progress, wanted=_is_of_sources) as sources,
        writing(place, [names.BUILD], progress) as folder,
    ):
        return curate_dataset(
            declared,
            sources,
            folder,
            formats=formats,
            allow_missing=allow_missing,
            workers=workers or default_workers(),
            executor=executor,
            progress=progress,
        )


def audit(
    build: AnyPath,
    recipe: AnyPath | Recipe | None = None,
    *,
    workers: int | None = None,
    executor: str = "local",
    progress: Progress = silent,
) -> AuditResult:
    """Check a build for leakage, duplicates, label conflicts and confounding.

    Writes ``audit.json`` and ``audit.html`` into the build.

    Parameters
    ----------
    build
        The folder of the build.
    recipe
        The recipe whose ``[audit]`` has the limits; default the shipped recipe of the build's name.
    workers
        Number of processes; default one for each processor.
    executor
        ``local``, or ``dask://HOST:PORT``.
    progress
        Opens progress bars.

    Raises
    ------
    CxrbuildError
        The folder holds no build, or the build was made from another recipe.
    """
    from cxrbuild.artifact import names
    from cxrbuild.auditing import audit as audit_build
    from cxrbuild.executors import default_workers

    with adding(build, [names.AUDIT, names.AUDIT_PAGE], progress) as folder:
        return audit_build(
            folder,
            _recipe_of(folder, recipe),
            workers=workers or default_workers(),
            executor=executor,
            progress=progress,
        )


def audit_lists(
    lists: Sequence[AnyPath],
    data: AnyPath | None = None,
    recipe: AnyPath | Recipe = "covid19-cxr",
    *,
    columns: Mapping[str, str] | None = None,
    pixels: bool = True,
    workers: int | None = None,
    executor: str = "local",
    progress: Progress = silent,
) -> ListAuditResult:
    """Check lists of files with a split and a class that somebody published.

    Parameters
    ----------
    lists
        Text, CSV or JSON files, each as a path or as text ``SPLIT=PATH``; shipped lists by name; or .toml
        files of declared ones.
    data
        The data folder of the sources to compare with; their metadata suffices. Default: no sources.
    recipe
        The recipe whose sources and links are used. Sources that are not there are ignored.
    columns
        The name of a column, or its position from 1, for some of ``file``, ``patient``, ``label``, ``source``
        and ``split``.
    pixels
        Whether to find near-duplicates among the listed images that are in the data folder.
    workers
        Number of processes; default one for each processor.
    executor
        ``local``, or ``dask://HOST:PORT``.
    progress
        Opens progress bars.

    Raises
    ------
    CxrbuildError
        A list cannot be read, has no column of files or no split; or a source's metadata is not as declared.
    """
    from cxrbuild.auditing import audit_lists as audit_files
    from cxrbuild.curation import read_declared
    from cxrbuild.executors import default_workers

    return audit_files(
        list(map(str, lists)),
        None if data is None else Path(data),
        read_declared(recipe, {}),
        columns=columns,
        pixels=pixels,
        workers=workers or default_workers(),
        executor=executor,
        progress=progress,
    )


def train_baseline(
    build: AnyPath,
    recipe: AnyPath | Recipe | None = None,
    *,
    out: AnyPath | None = None,
    variant: str | None = None,
    network: str | None = None,
    optimizer: str | None = None,
    epochs: int | None = None,
    seeds: Sequence[int] = (1,),
    evaluate_only: AnyPath | None = None,
    exclude_seen: bool = False,
    progress: Progress = silent,
) -> BaselineResult:
    """Train the recipe's network on a build and evaluate it next to the published figures.

    Parameters
    ----------
    build
        The folder of a build, a release or a TensorFlow Datasets version.
    recipe
        The recipe whose ``[baseline]`` is trained; default the shipped recipe of the build's name.
    out
        The folder of the results; default ``<build>/baseline``, or ``<build>/evaluation`` of a saved model.
    variant
        A variant of the recipe's baseline, such as ``text``; default the recipe's own settings.
    network
        Another network: ``zhong``, ``covidnet-like`` or one of ``keras.applications``.
    optimizer
        Another optimizer: ``adam``, ``nadam`` or ``sgd``.
    epochs
        Number of epochs; default the recipe's.
    seeds
        A model is trained for each seed.
    evaluate_only
        A saved model to evaluate instead of training one.
    exclude_seen
        With ``evaluate_only``: exclude the images of patients that the model was trained on.
    progress
        Opens progress bars.

    Raises
    ------
    CxrbuildError
        The build has no pixels or not all classes, TensorFlow is not installed, or the model was trained on
        images of the test split.
    """
    from cxrbuild.baseline import train_baseline as train

    return train(
        Path(build),
        _recipe_of(build, recipe),
        out=None if out is None else Path(out),
        variant=variant,
        network=network,
        optimizer=optimizer,
        epochs=epochs,
        seeds=tuple(seeds),
        evaluate_only=None if evaluate_only is None else Path(evaluate_only),
        exclude_seen_patients=exclude_seen,
        progress=progress,
    )


def compare_baselines(
    build: AnyPath,
    recipe: AnyPath | Recipe | None = None,
    *,
    out: AnyPath | None = None,
    variant: str | None = None,
    networks: Sequence[str] = (),
    optimizers: Sequence[str] = (),
    folds: int | None = None,
    leave_out: Sequence[str] = (),
    epochs: int | None = None,
    seeds: Sequence[int] = (1,),
    progress: Progress = silent,
) -> ComparisonResult:
    """Train every combination of networks and optimizers on the same images, and compare them.

    Parameters
    ----------
    build
        The folder of a build, a release or a TensorFlow Datasets version.
    recipe
        The recipe whose ``[baseline]`` is trained; default the shipped recipe of the build's name.
    out
        The folder of the results; default ``<build>/comparison``, with the variant, folds or sources.
    variant
        A variant of the recipe's baseline; default the recipe's own settings.
    networks, optimizers
        Their names; default the recipe's. Differences are from the first combination.
    folds
        Cross-validate in so many folds of the images that are not in the test split.
    leave_out
        Sources that are withheld from training and evaluated on.
    epochs
        Number of epochs; default the recipe's.
    seeds
        A model is trained for each seed.
    progress
        Opens progress bars.

    Raises
    ------
    CxrbuildError
        There is no such network or source, a class cannot fill the folds, a source cannot be withheld, or the
        build has no pixels.
    """
    from cxrbuild.baseline import compare_baselines as compare

    return compare(
        Path(build),
        _recipe_of(build, recipe),
        out=None if out is None else Path(out),
        variant=variant,
        networks=tuple(networks),
        optimizers=tuple(optimizers),
        folds=folds,
        leave_out=tuple(leave_out),
        epochs=epochs,
        seeds=tuple(seeds),
        progress=progress,
    )


def explain(
    build: AnyPath,
    recipe: AnyPath | Recipe | None = None,
    data: AnyPath = _DATA,
    *,
    model: AnyPath | None = None,
    out: AnyPath | None = None,
    exclude_seen: bool = False,
    without_masks: bool = False,
    allow_missing: bool = False,
    occlude_all: bool = False,
    progress: Progress = silent,
) -> ExplanationResult:
    """Show which pixels a trained model uses, and what it predicts without the lungs.

    Parameters
    ----------
    build
        The folder of a build, a release or a TensorFlow Datasets version.
    recipe
        The recipe whose sources declare lung masks; default the shipped recipe of the build's name.
    data
        The folder that `fetch` filled, which has the masks.
    model
        A saved model; default ``baseline/model.keras`` in the build.
    out
        The folder of the results; default ``<build>/explanation``.
    exclude_seen
        Exclude the images of patients that the model was trained on.
    without_masks
        Do not read lung masks.
    allow_missing
        Continue without lung masks that are missing or cannot be used.
    occlude_all
        Make the occlusion map of every image, not only of those on the page.
    progress
        Opens progress bars.

    Raises
    ------
    CxrbuildError
        The build has no pixels, the model has another input or other classes, TensorFlow is not installed,
        the model was trained on images of the test split, or lung masks cannot be used.
    """
    from cxrbuild.explanation import explain as explain_model

    return explain_model(
        Path(build),
        _recipe_of(build, recipe),
        data=Path(data),
        model=None if model is None else Path(model),
        out=None if out is None else Path(out),
        exclude_seen_patients=exclude_seen,
        without_masks=without_masks,
        allow_missing=allow_missing,
        occlude_all=occlude_all,
        progress=progress,
    )


def release(
    build: AnyPath,
    version: str,
    out: AnyPath | None = None,
    *,
    policy: Literal["public", "private"] = "public",
    previous: AnyPath | None = None,
    sizes: Sequence[int] = (),
    progress: Progress = silent,
) -> ReleaseResult:
    """Make a release from a build: a versioned folder that others can load, check, cite and rebuild.

    Parameters
    ----------
    build
        The folder of the build.
    version
        MAJOR.MINOR.PATCH. A version that is too small for what changed is refused.
    out
        The folder of the release; default ``release/NAME-VERSION``, with ``-private`` for a private one.
    policy
        ``public`` includes the pixels whose licence allows it, ``private`` all pixels.
    previous
        The release before; default the newest older one next to ``out``.
    sizes
        The ready sizes that it has in addition to the images' own: the sides of squares, in pixels.
    progress
        Opens progress bars.

    Raises
    ------
    CxrbuildError
        The folder holds no build, or ``out`` holds another release.
    CheckError
        The version is too small, or the build's files have changed.
    """
    from cxrbuild.artifact import names
    from cxrbuild.releasing import default_folder
    from cxrbuild.releasing import release as make_release

    with ExitStack() as stack:
        source = stack.enter_context(reading(build, progress))
        before = None
        if previous is not None:
            before = stack.enter_context(reading(previous, progress, wanted=_is_table))
        place = default_folder(source, version, policy) if out is None else out
        target = stack.enter_context(writing(place, [names.SUMS], progress))
        if is_address(place):
            # The releases next to it decide which version is too small.
            copy_neighbours(str(place), _is_table, names.SUMS, progress)
        return make_release(
            source, version, target, policy=policy, previous=before, sizes=sizes, progress=progress
        )


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

    Raises
    ------
    CxrbuildError
        The folder holds no release, or the key cannot be read.
    CheckError
        The files of the release are not those of ``SHA256SUMS``.
    """
    from cxrbuild.releasing import sign as sign_release

    return sign_release(Path(folder), Path(key), passphrase)


def verify(
    folder: AnyPath,
    *,
    manifest: AnyPath | None = None,
    executor: str = "local",
    signers: AnyPath | None = None,
    progress: Progress = silent,
) -> VerificationResult:
    """Check every file, row and hash of a release, a build or a folder of images.

    Parameters
    ----------
    folder
        A release, a build, or images named IMAGE_ID.jpg.
    manifest
        What to check images against: a ``manifest.parquet`` or the name of a published manifest.
    executor
        Where image files are checked: ``local``, or ``dask://HOST:PORT``.
    signers
        A file with public keys, by one of which a release must be signed.
    progress
        Opens progress bars.

    Returns
    -------
    VerificationResult
        ``findings`` lists everything that is wrong; it is empty for a sound folder.

    Raises
    ------
    CxrbuildError
        There is nothing to check in the folder.
    """
    from cxrbuild.verification import verify as verify_folder

    with reading(folder, progress) as place:
        return verify_folder(
            place,
            manifest=None if manifest is None else str(manifest),
            executor=executor,
            signers=None if signers is None else Path(signers),
            progress=progress,
        )


def diff(old: AnyPath, new: AnyPath) -> Diff:
    """Return what changed between two versions of a dataset, and the version step that this requires.

    Parameters
    ----------
    old, new
        Folders of releases or builds, ``manifest.parquet`` files, or names of published manifests.

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
        reading(old, wanted=_is_table) as before,
        reading(new, wanted=_is_table) as after,
    ):
        found = compare_versions(
            before if is_address(old) else old,
            after if is_address(new) else new,
        )
    return replace(found, old=str(old), new=str(new))


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


def diff_sources(old: AnyPath, new: AnyPath, data: AnyPath = _DATA) -> PinDiff:
    """Return the changes between two versions of a source, from listings and metadata, without pixels.

    Parameters
    ----------
    old, new
        Shipped sources by name, or paths of declarations, such as those of `propose_pin`.
    data
        The data folder, which has the metadata of a source that was fetched.

    Raises
    ------
    CxrbuildError
        A source lists no files, or its metadata is not there or of another version.
    """
    from cxrbuild.pins import compare_versions, find_released, read_source_version

    before = read_source_version(str(old), Path(data))
    after = read_source_version(str(new), Path(data))
    return compare_versions(before, after, find_released(before.source.name))


def propose_pin(
    source: AnyPath,
    data: AnyPath = _DATA,
    out: AnyPath | None = None,
    *,
    origin: str | None = None,
    commit: str | None = None,
    listing: AnyPath | None = None,
    released: Sequence[AnyPath] = (),
    progress: Progress = silent,
) -> PinProposal:
    """Write the pin of another version of a source next to the old one, and what changed.

    Parameters
    ----------
    source
        The name of a shipped source, or the path of a TOML file.
    data
        The data folder, which has the metadata of the pinned version.
    out
        The folder to write the new pin's folder into; default that of the declaration, or the current one
        for a shipped source.
    origin
        The new version: a folder, an archive or an address.
    commit
        The new version's commit, instead of ``origin``.
    listing
        All files of the new version, as ``git ls-tree -r`` lists them; ``origin`` then needs only its
        metadata.
    released
        Releases or manifests, in addition to the published ones, whose images are marked.
    progress
        Opens progress bars.

    Raises
    ------
    CxrbuildError
        The pinned version's metadata is not there, or the new version's files are not there.
    """
    from cxrbuild.pins import propose_pin as propose

    return propose(
        str(source),
        Path(data),
        None if out is None else Path(out),
        origin=origin,
        commit=commit,
        listing=None if listing is None else Path(listing),
        released=list(released),
        progress=progress,
    )


def fingerprint(
    folder: AnyPath,
    out: AnyPath | None = None,
    *,
    level: Level = "keypoints",
    workers: int | None = None,
    executor: str = "local",
    progress: Progress = silent,
) -> FingerprintResult:
    """Write the fingerprint of a build or release, which can be compared instead of its images.

    Parameters
    ----------
    folder
        The folder of a build or release.
    out
        The file; default ``NAME-VERSION.fingerprint.parquet``.
    level
        ``keypoints``, or ``thumbnails``: finds more, and gives more away.
    workers
        Number of processes; default one for each processor.
    executor
        ``local``, or ``dask://HOST:PORT``.
    progress
        Opens progress bars.

    Raises
    ------
    CxrbuildError
        The folder holds neither a build nor a release, images are missing or changed, or ``out`` is another
        file.
    """
    from cxrbuild.executors import default_workers
    from cxrbuild.overlapping import fingerprint as write_fingerprint

    with reading(folder, progress) as place:
        return write_fingerprint(
            place,
            None if out is None else Path(out),
            level=level,
            workers=workers or default_workers(),
            executor=executor,
            progress=progress,
        )


def overlap(
    a: AnyPath, b: AnyPath, *, workers: int | None = None, progress: Progress = silent
) -> OverlapResult:
    """Find the images that are in both of two datasets, under other names and changed.

    Parameters
    ----------
    a, b
        Folders of builds or releases, or files that ``fingerprint`` wrote.
    workers
        Number of processes; default one for each processor.
    progress
        Opens progress bars.

    Returns
    -------
    OverlapResult
        ``pairs`` lists them; ``leak_free("a")`` has the rows of A without patients who are in B.

    Raises
    ------
    CxrbuildError
        One is no build, release or fingerprint, or images are missing or changed.
    """
    import tempfile

    from cxrbuild.executors import default_workers
    from cxrbuild.loading import load
    from cxrbuild.overlapping import Fingerprint, describe, find_overlap, read_fingerprint

    processes = workers or default_workers()
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as stack:
        places = [stack.enter_context(reading(place, progress)) for place in (a, b)]
        # Both are opened before either is described.
        opened = [read_fingerprint(place) if place.is_file() else load(place) for place in places]
        coarse = any(isinstance(one, Fingerprint) and one.document.level == "keypoints" for one in opened)
        level: Level = "keypoints" if coarse else "thumbnails"
        compared = [
            one
            if isinstance(one, Fingerprint)
            else describe(one, Path(temporary) / side, level, workers=processes, progress=progress)
            for one, side in zip(opened, ("a", "b"), strict=True)
        ]
        return find_overlap(*compared, workers=processes, progress=progress)


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

    Raises
    ------
    CxrbuildError
        The release cannot be published, the target holds something else, or the target cannot be reached.
    CheckError
        ``verify`` finds something wrong with the release.
    """
    from cxrbuild.publishing import publish as publish_release

    return publish_release(Path(folder), target, dry_run=dry_run, final=final, jobs=jobs, progress=progress)


def run_demo(
    folder: AnyPath = "demo", *, workers: int | None = None, progress: Progress = silent
) -> DemoResult:
    """Make four small sources of synthetic images, fetch them over HTTP, and build a dataset from them.

    Parameters
    ----------
    folder
        A folder that does not exist or is empty.
    workers
        Number of processes; default one for each processor.
    progress
        Opens progress bars.

    Raises
    ------
    CxrbuildError
        The folder is not empty.
    """
    from cxrbuild.demo import run_demo as run
    from cxrbuild.executors import default_workers

    return run(Path(folder), workers=workers or default_workers(), progress=progress)


def _is_table(name: str) -> bool:
    """Return whether versions are compared by a file; the address of one object has no name."""
    from cxrbuild.artifact import names

    return name in ("", names.SUMS, names.BUILD, names.MANIFEST, names.LEDGER)


def _is_of_sources(name: str) -> bool:
    """Return whether a build needs a file of a data folder; it does not need the archives."""
    return name.startswith(("sources", "lists"))


def _recipe_of(build: AnyPath, recipe: AnyPath | Recipe | None) -> Recipe:
    """Return the named recipe, or the shipped recipe of the build's name."""
    from cxrbuild.artifact import open_artifact
    from cxrbuild.catalog import Recipe, recipe_names
    from cxrbuild.errors import CxrbuildError

    if isinstance(recipe, Recipe):
        return recipe
    if recipe is not None:
        return read_recipe(recipe)
    name = open_artifact(Path(build)).name
    if name not in recipe_names():
        raise CxrbuildError(
            f"no shipped recipe is called {name!r}", where=build,
            expected=f"one of {', '.join(recipe_names())}", todo="Name the recipe that it was built from",
        )  # fmt: skip
    return read_recipe(name)
