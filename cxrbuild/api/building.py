"""Fetch sources, and build a dataset from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.api.arguments import AnyPath
from cxrbuild.arguments import checked
from cxrbuild.progress import Progress, silent
from cxrbuild.remote import reading, writing

if TYPE_CHECKING:
    from PIL.Image import Image

    from cxrbuild.catalog import Recipe, Source
    from cxrbuild.curation import CurationResult, Plan
    from cxrbuild.demo import DemoResult
    from cxrbuild.environment import Environment
    from cxrbuild.fetching.sources import FetchResult


@checked
def fetch(
    sources: Sequence[AnyPath | Source] | None = None,
    data: AnyPath = "data",
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

    Returns
    -------
    FetchResult
        ``sources``: for each source what was verified, and whether it was downloaded.

    Raises
    ------
    CxrbuildError
        A source cannot be fetched, does not match its pin, or cannot be pinned.

    Examples
    --------
    >>> import cxrbuild
    >>> fetched = cxrbuild.fetch(recipe="demo/declared/recipe.toml", data="demo/data")
    >>> {name: one.locked.files for name, one in fetched.sources.items()}
    {'cohen': 39, 'figure1': 7, 'actualmed': 10, 'mooney': 45}
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


@checked
def plan(
    recipe: AnyPath | Recipe = "covid19-cxr",
    data: AnyPath = "data",
    out: AnyPath | None = None,
    *,
    switches: Mapping[str, bool] | None = None,
    reviews: Sequence[AnyPath] = (),
    allow_missing: bool | None = None,
    as_pinned: bool = False,
    differing_rows: AnyPath | None = None,
    progress: Progress = silent,
) -> Plan:
    """Return which images a build would keep and why others are excluded, without reading pixels.

    Parameters
    ----------
    recipe
        The recipe.
    data
        The data folder that ``fetch`` filled.
    out
        A folder to write ledger, manifest and flow chart to; default none.
    switches
        Rules to switch on or off: ``{"lateral": True}`` is ``--drop-lateral``.
    reviews
        Review files in addition to the recipe's; they override the recipe's reviews of the same images.
    allow_missing
        ``False`` refuses a plan that is not what the recipe expects, as ``curate`` would; ``True`` does too,
        but counts missing images as kept. Default: the plan is returned, whatever is missing.
    as_pinned
        Assume that every pinned file is present; read metadata only, which must be in ``data``.
    differing_rows
        A file of corrections to write: a line to fill in for each image whose rows have different findings,
        as of two readers, and that no correction decides.
    progress
        Opens progress bars.

    Returns
    -------
    Plan
        ``records`` has a row for every upstream image, ``kept`` those of the dataset.

    Raises
    ------
    CxrbuildError
        A source was not fetched, its metadata is not as declared, or the split has no solution; or a file or
        folder would be overwritten.
    CheckError
        With ``allow_missing``: the plan is not what the recipe expects.

    Examples
    --------
    >>> import cxrbuild
    >>> plan = cxrbuild.plan("demo/declared/recipe.toml", "demo/data")
    >>> len(plan.kept), plan.records["exclusion"].value_counts().to_dict()["lateral"]
    (89, 1)
    """
    from cxrbuild.artifact import names
    from cxrbuild.curation import (
        check_expectation,
        describe_holders,
        describe_kept_duplicates,
        describe_no_holders,
        describe_other_images,
        find_holders,
        make_plan,
        read_declared,
        require_new_file,
        require_plan_folder,
        write_plan,
        write_undecided,
        writing_refused,
    )
    from cxrbuild.curation.plan import STAGES

    declared = read_declared(recipe, switches or {}, list(map(str, reviews)))
    place = None if out is None else Path(out)
    if place is not None:
        require_plan_folder(place, None if declared.previous is None else declared.previous.place)
    rows = None if differing_rows is None else Path(differing_rows)
    if rows is not None:
        require_new_file(rows)
    progress.plan(*STAGES)
    with reading(data, progress, wanted=_is_of_sources) as folder:
        with writing_refused(rows, progress):
            made = make_plan(declared, folder, as_pinned=as_pinned, progress=progress)
        if kept := describe_kept_duplicates(made.records):
            progress.warn(kept)
        if others := describe_other_images(made.of_withdrawn_patients, declared.sources):
            progress.warn(others)
        # A copy of data in object storage is removed again.
        if folder == Path(data):
            holders = find_holders(made.records, folder, made.locked, declared)
            if holders:
                progress.warn(describe_holders(holders))
            elif note := describe_no_holders(int((made.records["exclusion"] == "withdrawn").sum())):
                progress.note(note)
            made = replace(made, withdrawn_still_in=tuple(holders))
    if place is not None:
        write_plan(made, place)
    if rows is not None:
        write_undecided(made, rows, progress)
    if allow_missing is not None:
        ledger = None if place is None else place / names.LEDGER
        check_expectation(made, allow_missing=allow_missing, ledger=ledger)
    return made


@checked
def curate(
    recipe: AnyPath | Recipe = "covid19-cxr",
    data: AnyPath = "data",
    out: AnyPath | None = None,
    *,
    switches: Mapping[str, bool] | None = None,
    reviews: Sequence[AnyPath] = (),
    formats: Sequence[str] = ("parquet", "tfrecord"),
    allow_missing: bool = False,
    replace: bool = False,
    workers: int | None = None,
    executor: str = "local",
    progress: Progress = silent,
) -> CurationResult:
    """Build a dataset: apply the rules, split by patient, convert to JPEG, write manifest and shards.

    A build that is already there is updated; unchanged images are skipped.

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
    replace
        Replace a build of another dataset or version that is in the folder.
    workers
        Number of processes; default one for each processor.
    executor
        ``local``, or ``dask://HOST:PORT``.
    progress
        Opens progress bars.

    Returns
    -------
    CurationResult
        ``build``: its ``manifest`` has a row for every image; ``changed``: whether anything was done.

    Raises
    ------
    CxrbuildError
        A source was not fetched, or the folder holds something else, such as a build of another version.
    CheckError
        The result is not what the recipe expects.

    Examples
    --------
    >>> import cxrbuild
    >>> recipe = "demo/declared/recipe.toml"
    >>> curated = cxrbuild.curate(recipe, "demo/data", "new", formats=["parquet"], workers=1)
    >>> curated.changed, len(curated.build.manifest)
    (True, 89)
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
            replace=replace,
            workers=workers or default_workers(),
            executor=executor,
            progress=progress,
        )


@checked
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

    Returns
    -------
    DemoResult
        ``fetched`` and ``curated``: what `fetch` and `curate` return.

    Raises
    ------
    CxrbuildError
        The folder is not empty.
    """
    from cxrbuild.demo import run_demo as run
    from cxrbuild.executors import default_workers

    return run(Path(folder), workers=workers or default_workers(), progress=progress)


@checked
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


@checked
def check_environment(data: AnyPath = "data", out: AnyPath = "build", *, network: bool = True) -> Environment:
    """Check versions, extras, image decoders, folders, locale and network.

    Parameters
    ----------
    data
        The data folder.
    out
        The folder of the builds.
    network
        Whether to connect to the hosts of the shipped sources.

    Returns
    -------
    Environment
        ``observations``: everything that was checked; ``problems``: those that are problems.
    """
    from cxrbuild.environment import check_environment as check

    return check(Path(data), Path(out), network=network)


def _is_of_sources(name: str) -> bool:
    """Return whether a build needs a file of a data folder; it does not need the archives."""
    return name.startswith(("sources", "lists"))
