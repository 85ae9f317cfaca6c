"""Write the images whose rows of metadata have different findings, as corrections to fill in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cxrbuild.catalog.correction import format_corrections
from cxrbuild.curation.plan import Plan
from cxrbuild.errors import CxrbuildError, count_of
from cxrbuild.files import require_file_place, write_bytes
from cxrbuild.ingest import DifferingRowsError
from cxrbuild.progress import Progress


def require_new_file(path: Path) -> None:
    """Refuse to overwrite a file: it may be filled in.

    Raises
    ------
    CxrbuildError
        There is a file, or none can be written.
    """
    require_file_place(path)
    if path.exists():
        raise CxrbuildError(
            "there is a file already, and it is not overwritten", where=path,
            todo="Name another file with --differing-rows, and copy what is filled in",
        )  # fmt: skip


@contextmanager
def writing_refused(path: Path | None, progress: Progress) -> Iterator[None]:
    """Write the images whose rows differ to a file if a plan is refused for them, and let the error pass."""
    try:
        yield
    except DifferingRowsError as error:
        if path is not None:
            _write(path, error.findings(), progress)
        raise


def write_undecided(plan: Plan, path: Path, progress: Progress) -> None:
    """Write the images whose rows have different findings, and that no correction decides, to a file."""
    undecided = [one for one in plan.joined_rows if not one.corrected]
    _write(path, [(one.source, one.path, one.finding) for one in undecided], progress)


def _write(path: Path, findings: Sequence[tuple[str, str, str]], progress: Progress) -> None:
    if not findings:
        progress.note(
            f"{path} is not written: no image has rows with different findings that are not decided."
        )
        return
    rows = [(source, image, "finding", finding) for source, image, finding in findings]
    write_bytes(path, format_corrections(rows))
    progress.note(
        f"Wrote {path}: {count_of(len(rows), 'image')}. Fill in `new` and `reason`, delete the lines of "
        "images that nobody decides, and name the file under `corrections` in the recipe."
    )
