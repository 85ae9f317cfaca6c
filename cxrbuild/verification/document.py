"""Read ``build.json``, and report what is wrong with it."""

from __future__ import annotations

from pathlib import Path

from cxrbuild.artifact import BuildDocument, DatasetDocument, DocumentError, ReleaseDocument, names
from cxrbuild.verification.finding import Finding


def read_document(folder: Path, faults: list[Finding], *, released: bool) -> DatasetDocument | None:
    """Read ``build.json``; ``None`` where it cannot be used."""
    path = folder / names.BUILD
    if not path.is_file():
        faults.append(Finding(names.BUILD, None, "is missing"))
        return None
    model = ReleaseDocument if released else BuildDocument
    try:
        document = model.read(path)
    except DocumentError as error:
        faults += [Finding(names.BUILD, problem.key or None, problem.message) for problem in error.problems]
        return None
    if isinstance(document, BuildDocument) and (
        absent := [name for name in (names.LEDGER, names.MANIFEST) if name not in document.files]
    ):
        faults += [Finding(names.BUILD, f"files.{name}", "is missing") for name in absent]
        return None
    return document
