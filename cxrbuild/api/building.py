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


@checked
def plan(
    recipe: AnyPath | Recipe = "covid19-cxr",
    data: AnyPath = "data",
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
        Assume that every pinned file is present; read metadata only, which must be in ``data``.
    progress
        Opens progress bars.

    Raises
    ------
    CxrbuildError
        A source was not fetched, its metadata is not as declared, or the split has no solution.
    """
    from cxrbuild.curation import (
        describe_holders,
        describe_kept_duplicates,
        describe_no_holders,
        describe_other_images,
        find_holders,
        make_plan,
        read_declared,
    )
    from cxrbuild.curation.plan import STAGES

    declared = read_declared(recipe, switches or {}, list(map(str, reviews)))
    progress.plan(*STAGES)
    with reading(data, progress, wanted=_is_of_sources) as folder:
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

    Raises
    ------
    CxrbuildError
        A source was not fetched, or the folder holds something else, such as a build of another version.
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
    """
    from cxrbuild.environment import check_environment as check

    return check(Path(data), Path(out), network=network)


def _is_of_sources(name: str) -> bool:
    """Return whether a build needs a file of a data folder; it does not need the archives."""
    return name.startswith(("sources", "lists"))
