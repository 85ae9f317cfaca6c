"""Write the page of an audit: the checks with their findings, and the images of each pair, in one file."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cxrbuild.artifact import AuditDocument, BuildDocument
from cxrbuild.auditing import stages
from cxrbuild.auditing.context import Context
from cxrbuild.auditing.page_sections import list_sections
from cxrbuild.catalog.review import IDENTIFIER
from cxrbuild.contents import describe_sources_of_classes
from cxrbuild.convert import NotConvertible, read_image
from cxrbuild.exactness import describe_exactness
from cxrbuild.files import write_bytes
from cxrbuild.report import data_url, describe_row, describe_statuses, list_headlines
from cxrbuild.templates import html_environment

_SIDE, _QUALITY = 240, 72
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
    from markupsafe import Markup

    rows = {row["image_id"]: row for row in context.rows.to_dict("records")}
    pairs = document.pairs[:_MOST_PAIRS]
    sections = list_sections(document, pairs)
    confident = sorted(
        {
            (section.check.id, image_id, section.border_only)
            for section in sections
            for finding in section.probes
            for image_id in finding.most_confident
        }
    )
    in_pairs = sorted({image_id for pair in pairs for image_id in (pair.a, pair.b)})
    shown = {*in_pairs, *(image_id for _, image_id, _ in confident)}
    with context.progress(stages.DRAWING, len(confident) + len(in_pairs), "image") as bar:

        def draw(image_id: str, *, border_only: bool = False) -> str | None:
            drawn = _thumbnail(context.folder, rows[image_id], border_only=border_only)
            bar.update()
            return drawn

        most_confident = {
            (check, image_id): draw(image_id, border_only=border_only)
            for check, image_id, border_only in confident
        }
        thumbnails = {image_id: draw(image_id) for image_id in in_pairs}
    text = (
        html_environment("cxrbuild.auditing")
        .get_template("page.html.j2")
        .render(
            build=build,
            audit=document,
            exactness=describe_exactness(build.exactness),
            style=Markup((files("cxrbuild.auditing") / "page.css").read_text(encoding="utf-8")),  # noqa: S704
            statuses=describe_statuses(document.checks),
            sections=sections,
            headlines=list_headlines(context.rows, context.recipe.classes, document),
            sources_of_classes=describe_sources_of_classes(context.rows, context.recipe.classes),
            similar=[pair for pair in pairs if not pair.is_duplicate],
            classes=context.classes,
            rows={image_id: describe_row(rows[image_id]) for image_id in shown},
            files={image_id: quote(rows[image_id]["jpeg_path"]) for image_id in shown},
            most_confident=most_confident,
            thumbnails=thumbnails,
            hidden_pairs=len(document.pairs) - len(pairs),
        )
    )
    write_bytes(path, text.encode())


def _thumbnail(folder: Path, row: Mapping[Hashable, Any], *, border_only: bool = False) -> str | None:
    """Return a thumbnail as a data URL; ``None`` for an image that must not be shown or cannot be read."""
    from PIL import ImageDraw
    from PIL.Image import Resampling

    if row["review"] == IDENTIFIER:
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
    return data_url(image, _QUALITY)
