"""Run the main job on sources that this process makes and serves."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxrbuild.curation import CurationResult, curate, read_declared
from cxrbuild.demo.upstream import make_upstream, serve_upstream
from cxrbuild.errors import CxrbuildError
from cxrbuild.fetching.sources import FetchResult, fetch
from cxrbuild.progress import Progress, silent


@dataclass(frozen=True)
class DemoResult:
    """The demo.

    Attributes
    ----------
    folder
        Its folder: ``declared/`` has the recipe, ``data/`` the sources, ``build/`` the build.
    fetched
        What was fetched.
    curated
        The build.
    """

    folder: Path
    fetched: FetchResult
    curated: CurationResult

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON has it: the folder, what was fetched, and the build."""
        return {"folder": str(self.folder), "fetched": self.fetched.to_dict()} | self.curated.to_dict()

    def _repr_html_(self) -> str:
        return self.curated._repr_html_()


def run_demo(folder: Path, *, workers: int, progress: Progress = silent) -> DemoResult:
    """Make four sources, serve them, fetch them, and curate a dataset from them.

    Parameters
    ----------
    folder
        A folder that does not exist or is empty; it gets ``declared/``, ``data/`` and ``build/``.
    workers
        Number of processes that convert images.
    progress
        Opens a progress bar for each stage.

    Raises
    ------
    CxrbuildError
        The folder is not empty.
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
    return DemoResult(folder, fetched, result)
