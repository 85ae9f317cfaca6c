"""Write the folder of ``plan --out``."""

from __future__ import annotations

import logging
from pathlib import Path

from cxrbuild.artifact import kind_of, names
from cxrbuild.artifact.correction import PlannedCorrections
from cxrbuild.artifact.plan import PlannedExactness
from cxrbuild.curation.document import plan_document
from cxrbuild.curation.plan import MEMBERSHIP, Plan
from cxrbuild.curation.previous import require_other_folder
from cxrbuild.errors import CxrbuildError
from cxrbuild.files import write_bytes
from cxrbuild.records import write_records

_logger = logging.getLogger(__name__)


def write_plan(plan: Plan, out: Path) -> list[Path]:
    """Write ledger, manifest (membership alone) and ``funnel.csv`` into a folder, and what else is known.

    These are what the plan was made from, the corrections, if there are any, and how exact the images are,
    unless the plan takes every pinned file to be there.

    Raises
    ------
    CxrbuildError
        The folder holds a build or a release, or the former version of the dataset: the plan would overwrite
        it.
    """
    previous = plan.declared.previous
    require_plan_folder(out, None if previous is None else previous.place)
    paths = [out / names.LEDGER, out / names.MANIFEST, out / names.FUNNEL]
    write_records(paths[0], plan.records)
    write_records(paths[1], plan.kept, MEMBERSHIP)
    write_bytes(paths[2], plan.funnel.to_csv(lineterminator="\n").encode())
    paths.append(out / names.PLAN)
    plan_document(plan).write(paths[-1])
    for name in (names.CORRECTIONS, names.EXACTNESS):
        (out / name).unlink(missing_ok=True)  # of a former plan
    if plan.corrections:
        paths.append(out / names.CORRECTIONS)
        PlannedCorrections(corrections=plan.corrections).write(paths[-1])
    if plan.exactness:
        paths.append(out / names.EXACTNESS)
        PlannedExactness(sources=plan.exactness).write(paths[-1])
    _logger.info("wrote %s: %s", out, ", ".join(path.name for path in paths))
    return paths


def require_plan_folder(out: Path, previous: Path | None) -> None:
    """Refuse a folder whose files a plan would overwrite.

    Parameters
    ----------
    out
        The folder to write the plan to.
    previous
        The former version that the recipe names; ``None`` where it names none.

    Raises
    ------
    CxrbuildError
        The folder holds a build or a release, or the former version of the dataset.
    """
    if (kind := kind_of(out)) is not None:
        raise CxrbuildError(f"the folder holds a {kind}", where=out, todo="Name another folder for the plan")
    require_other_folder(out, previous)
