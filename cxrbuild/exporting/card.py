"""The ``README.md`` of an export."""

from __future__ import annotations

from cxrbuild.errors import count_of, verb_of
from cxrbuild.exporting.document import EXPORT, ExportDocument
from cxrbuild.exporting.images import ExportImages
from cxrbuild.exporting.registry import ExportFormat


def card(export_format: ExportFormat, document: ExportDocument, images: ExportImages) -> str:
    """Return a Markdown page: what the export has, how images were resized, and code that loads it."""
    dataset, splits = document.dataset, list(document.counts)
    header = f"| class | {' | '.join(splits)} |\n| --- |{' --- |' * len(splits)}\n"
    table = "".join(
        f"| {label} | {' | '.join(f'{document.counts[split][label]:,}' for split in splits)} |\n"
        for label in document.classes
    )
    return "\n".join([
        f"# {dataset.title}, as {export_format.title}\n",
        f"{dataset.name} {dataset.version}, exported by cxrbuild {document.cxrbuild}.\n",
        header + table,
        _sizes(document),
        _licenses(document),
        "`images.csv` has a row for each image: its file, class, split, source, group of patients and "
        f"licence. `{EXPORT}` has the SHA-256 of every file.\n",
        f"```python\n{export_format.usage(images)}\n```\n",
    ])  # fmt: skip


def _sizes(document: ExportDocument) -> str:
    if document.size is None:
        return "Images are the JPEGs of the dataset, unchanged.\n"
    return (
        f"Each image was resized once to {document.size} x {document.size} pixels, whatever its aspect "
        f"ratio, with Pillow's filter `{document.resampling}`. Pixels are 8-bit grey values.\n"
    )


def _licenses(document: ExportDocument) -> str:
    if document.artifact == "public":
        withheld = (
            f" {count_of(document.withheld, 'image')} {verb_of(document.withheld, 'is')} withheld."
            if document.withheld
            else ""
        )
        return f"Each image keeps its licence, see `images.csv`.{withheld}\n"
    return (
        "This export may include images that must not be redistributed. To publish an export, make it from a "
        "public release.\n"
    )
