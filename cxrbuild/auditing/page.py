"""The page of an audit: every check with what it found, and the pairs of films as pictures, in one file."""

from __future__ import annotations

import base64
import io
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cxrbuild.artifact import BuildDocument
from cxrbuild.auditing.check import Outcome, Subject
from cxrbuild.auditing.pairs import Pair
from cxrbuild.auditing.probes import PROBES
from cxrbuild.convert import read_image
from cxrbuild.files import write_bytes
from cxrbuild.report.page import describe_statuses

_SIDE, _QUALITY = 200, 72
# Pairs beyond these stand in audit.json alone: the page must open at once.
_SHOWN = 200


def write_page(path: Path, subject: Subject, outcomes: Sequence[Outcome], document: BuildDocument) -> None:
    """Write ``audit.html``: one file with no address outside itself.

    A film on which a name or birth date was seen is not shown.

    Parameters
    ----------
    path
        The file.
    subject
        What was audited.
    outcomes
        What came of each check.
    document
        The build's ``build.json``.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("cxrbuild.auditing", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    rows = {row["image_id"]: row for row in subject.rows.to_dict("records")}
    shown = subject.pairs[:_SHOWN]
    names = {name for pair in shown for name in (pair.a, pair.b)}
    ran = [outcome for outcome in outcomes if outcome.value is not None]
    probes = [(PROBES[outcome.id].words, outcome) for outcome in ran if outcome.id in PROBES]
    facts = [entry for outcome in ran if outcome.id == "confounding" for entry in outcome.named]
    text = environment.get_template("page.html.j2").render(
        dataset=document.dataset,
        images=len(subject.rows) + len(subject.faults),
        outcomes=outcomes,
        statuses=describe_statuses(outcome.status for outcome in outcomes),
        sections=_sections(shown),
        left_out=len(subject.pairs) - len(shown),
        rows=rows,
        pictures={name: _picture(subject.build, rows[name]) for name in sorted(names)},
        own_sections={"confounding", *PROBES},
        classes=[word for word in subject.recipe.classes if word in set(subject.rows["label"])],
        facts=facts,
        probes=probes,
        surest={
            (outcome.id, name): _picture(subject.build, rows[name], blacked=outcome.id == "probe_border")
            for _, outcome in probes
            for entry in outcome.named
            for name in entry["surest"]
        },
    )
    write_bytes(path, text.encode())


def _sections(pairs: Sequence[Pair]) -> list[tuple[str, str, list[Pair]]]:
    """Return the pairs by what should be done about them, the worst first."""
    same = [pair for pair in pairs if pair.same]
    across = [pair for pair in same if "split" in pair.crosses]
    unlinked = [pair for pair in same if pair not in across and not pair.linked]
    linked = [pair for pair in same if pair not in across and "patient" in pair.crosses and pair.linked]
    within = [pair for pair in same if pair not in across and "patient" not in pair.crosses]
    alike = [pair for pair in pairs if not pair.same]
    sections = [
        ("Across parts", "What is learned in one part is known in the other.", across),
        ("Not linked", "The same film under two patients: link them, so that no split parts them.", unlinked),
        ("Linked", "The same film under two patients, kept in one part by a link.", linked),
        ("Within a patient", "The same film twice under one patient.", within),
        ("Alike", "Not the same film, most often: one patient on two days, or a hospital's machine.", alike),
    ]
    return [section for section in sections if section[2]]


def _picture(build: Path, row: Mapping[Hashable, Any], *, blacked: bool = False) -> str | None:
    """Return a small copy of a film as a data address; ``blacked``: of its border alone."""
    from PIL import ImageDraw
    from PIL.Image import Resampling

    if row["review"] == "identifier":
        return None
    small = read_image(build / row["jpeg_path"], min_side=2 * _SIDE)
    small.thumbnail((_SIDE, _SIDE), Resampling.LANCZOS)
    if blacked:
        wide, high = small.width // 8, small.height // 8
        ImageDraw.Draw(small).rectangle((wide, high, small.width - wide - 1, small.height - high - 1), fill=0)
    out = io.BytesIO()
    small.save(out, "JPEG", quality=_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()
