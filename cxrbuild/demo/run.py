"""Run the main job on sources that are made and served here."""

from __future__ import annotations

from pathlib import Path

from cxrbuild.curation import CurationResult, curate, read_declared
from cxrbuild.demo.upstream import make_upstream, serve_upstream
from cxrbuild.errors import CxrbuildError
from cxrbuild.fetching.sources import fetch
from cxrbuild.fetching.tree import Fetched
from cxrbuild.progress import Progress, silent


def run_demo(
    folder: Path, *, workers: int, progress: Progress = silent
) -> tuple[dict[str, Fetched], CurationResult]:
    """Make four sources, serve them, fetch them, and curate a dataset from them.

    Parameters
    ----------
    folder
        A folder that is not there yet; it gets ``declared/``, ``data/`` and ``build/``.
    workers
        How many processes convert.
    progress
        Told how far each stage is.

    Returns
    -------
    tuple
        What was fetched, by source, and the build.

    Raises
    ------
    CxrbuildError
        The folder is there and not empty.
    """
    if folder.exists() and any(folder.iterdir()):
        raise CxrbuildError("the folder is not empty", where=folder, todo="Name another one, or remove it")
    folder.mkdir(parents=True, exist_ok=True)
    recipe = make_upstream(folder)
    declared = read_declared(str(recipe), {})
    with serve_upstream(folder / "upstream") as address:
        origins = {
            source.name: f"{address}/{source.name}.{'zip' if source.name == 'mooney' else 'tar.gz'}"
            for source in declared.sources
        }
        fetched = fetch(declared.sources, folder / "data", origins=origins, progress=progress)
    result = curate(
        declared,
        folder / "data",
        folder / "build",
        formats=("parquet",),
        workers=workers,
        progress=progress,
    )
    return fetched, result
