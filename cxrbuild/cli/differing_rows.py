"""Report images with several findings in `plan` and `curate`, and write the corrections to fill in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cxrbuild.cli.output import Output
from cxrbuild.errors import CxrbuildError, count_of, name_some, verb_of

if TYPE_CHECKING:
    from cxrbuild.curation import Plan
    from cxrbuild.curation.findings import JoinedRows, OtherFindings

_FINDINGS = 6


def report_findings(output: Output, others: OtherFindings, joined: Sequence[JoinedRows] = ()) -> None:
    """Report the images of several findings: those with one that has no class, and those of several rows."""
    if others.images:
        shown = name_some([f"{finding} {n:,}" for finding, n in others.findings.items()], _FINDINGS)
        output.show(
            f"{count_of(others.images, 'kept image')} {verb_of(others.images, 'has')} a class by one "
            f"finding and another finding without a class: {shown}. In a recipe of your own, "
            "`every_finding = true` in the rule of kind `labelled` excludes such images."
        )
    if joined:
        decided = sum(one.corrected for one in joined)
        rest = (
            f"corrections decide {decided:,}, and {len(joined) - decided:,} have the findings of all rows. "
        )
        rest += "--differing-rows FILE.csv lists these as corrections to fill in."
        output.show(
            f"{count_of(len(joined), 'image')} with different findings in several rows: "
            + ("corrections decide all." if decided == len(joined) else rest)
        )


def require_new_file(path: Path) -> None:
    """Refuse to overwrite a file: it may be filled in.

    Raises
    ------
    CxrbuildError
        There is a file, or none can be written.
    """
    from cxrbuild.files import require_file_place

    require_file_place(path)
    if path.exists():
        raise CxrbuildError(
            "there is a file already, and it is not overwritten", where=path,
            todo="Name another file with --differing-rows, and copy what is filled in",
        )  # fmt: skip


@contextmanager
def writing_refused(output: Output, path: Path | None) -> Iterator[None]:
    """Write the images whose rows differ to a file if a plan is refused for them, and let the error pass."""
    from cxrbuild.ingest import DifferingRowsError

    try:
        yield
    except DifferingRowsError as error:
        if path is not None:
            _write(output, path, error.findings())
        raise


def write_undecided(output: Output, plan: Plan, path: Path) -> None:
    """Write the images whose rows have different findings, and that no correction decides, to a file."""
    undecided = [one for one in plan.joined_rows if not one.corrected]
    _write(output, path, [(one.source, one.path, one.finding) for one in undecided])


def _write(output: Output, path: Path, findings: Sequence[tuple[str, str, str]]) -> None:
    from cxrbuild.catalog.correction import format_corrections
    from cxrbuild.files import write_bytes

    if not findings:
        output.show(f"{path} is not written: no image has rows with different findings that are not decided.")
        return
    rows = [(source, image, "finding", finding) for source, image, finding in findings]
    write_bytes(path, format_corrections(rows))
    output.show(
        f"Wrote {path}: {count_of(len(rows), 'image')}. Fill in `new` and `reason`, delete the lines of "
        "images that nobody decides, and name the file under `corrections` in the recipe."
    )
