"""Write the page of an audit: the checks with their findings, and the images of each pair, in one file."""

from __future__ import annotations

import base64
import io
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cxrbuild.artifact import AuditDocument, BuildDocument, ImagePair
from cxrbuild.artifact.audit import AssociationFinding, PairFinding, ProbeFinding
from cxrbuild.auditing.context import Context
from cxrbuild.auditing.probes import PROBES
from cxrbuild.convert import NotConvertible, read_image
from cxrbuild.files import write_bytes
from cxrbuild.report.page import describe_statuses
from cxrbuild.templates import html_environment

_SIDE, _QUALITY = 200, 72
# More pairs are only in audit.json: the page must open at once.
_MOST_PAIRS = 200


def write_page(path: Path, context: Context, document: AuditDocument, build: BuildDocument) -> None:
    """Write ``audit.html``: one file without an external address.

    An image with a readable name or birth date is not shown.

    Parameters
    ----------
    path
        The file.
    context
        The build that is audited.
    document
        What the audit found.
    build
        The build's ``build.json``.
    """
    rows = {row["image_id"]: row for row in context.rows.to_dict("records")}
    pairs = document.pairs[:_MOST_PAIRS]
    probes = [
        (check, PROBES[check.id].description, [f for f in check.findings if isinstance(f, ProbeFinding)])
        for check in document.checks
        if check.id in PROBES and check.value is not None
    ]
    text = (
        html_environment("cxrbuild.auditing")
        .get_template("page.html.j2")
        .render(
            build=build,
            audit=document,
            statuses=describe_statuses(check.status for check in document.checks),
            listed={
                check.id: [
                    finding.message
                    for finding in check.findings
                    if not isinstance(finding, AssociationFinding | PairFinding | ProbeFinding)
                ]
                for check in document.checks
            },
            classes=[label for label in context.recipe.classes if label in set(context.rows["label"])],
            associations=[
                finding
                for check in document.checks
                for finding in check.findings
                if isinstance(finding, AssociationFinding)
            ],
            probes=probes,
            most_confident={
                (check.id, image_id): _thumbnail(
                    context.folder, rows[image_id], border_only=check.id == "probe_border"
                )
                for check, _, findings in probes
                for finding in findings
                for image_id in finding.most_confident
            },
            sections=_sections(pairs),
            hidden_pairs=len(document.pairs) - len(pairs),
            rows=rows,
            thumbnails={
                image_id: _thumbnail(context.folder, rows[image_id])
                for image_id in sorted({image_id for pair in pairs for image_id in (pair.a, pair.b)})
            },
        )
    )
    write_bytes(path, text.encode())


def _sections(pairs: Sequence[ImagePair]) -> list[tuple[str, str, list[ImagePair]]]:
    """Return the pairs by what to do about them, the most important first."""
    titles = {
        "Duplicates in two splits": "The test set has images that the network was trained on.",
        "Duplicates of patients who are not linked": "Link the patients, so that they are in the same split.",
        "Duplicates of linked patients": "A link keeps these patients in the same split.",
        "Duplicates of one patient": "The same image occurs twice.",
        "Similar pairs": "Often one patient on two days, or two patients at the same machine.",
    }
    sections: dict[str, list[ImagePair]] = {title: [] for title in titles}
    duplicates_in_splits, unlinked, linked, of_one_patient, similar = sections.values()
    for pair in pairs:
        if not pair.is_duplicate:
            similar.append(pair)
        elif "split" in pair.crosses:
            duplicates_in_splits.append(pair)
        elif not pair.linked:
            unlinked.append(pair)
        elif "patient" in pair.crosses:
            linked.append(pair)
        else:
            of_one_patient.append(pair)
    return [(title, titles[title], section) for title, section in sections.items() if section]


def _thumbnail(folder: Path, row: Mapping[Hashable, Any], *, border_only: bool = False) -> str | None:
    """Return a thumbnail as a data URL; ``None`` for an image that must not be shown or cannot be read."""
    from PIL import ImageDraw
    from PIL.Image import Resampling

    if row["review"] == "identifier":
        return None
    try:
        image = read_image(folder / row["jpeg_path"], min_side=2 * _SIDE)
    except (OSError, NotConvertible):
        return None  # changed since the audit read it
    image.thumbnail((_SIDE, _SIDE), Resampling.LANCZOS)
    if border_only:
        x, y = image.width // 8, image.height // 8
        box = (x, y, image.width - x - 1, image.height - y - 1)
        ImageDraw.Draw(image).rectangle(box, fill=0)
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode()
