"""Check the documents of a release: generated again where this version made it, else what they count."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cxrbuild.artifact import names
from cxrbuild.checks import Finding, NotApplicable
from cxrbuild.contents import Contents
from cxrbuild.documents import changelog_head, croissant, ro_crate, texts
from cxrbuild.files import json_bytes
from cxrbuild.parsing import parse_json
from cxrbuild.verification.card import card_findings
from cxrbuild.verification.context import Context
from cxrbuild.verification.croissant import croissant_findings
from cxrbuild.verification.difference import json_differences, line_differences
from cxrbuild.verification.lists import citation_findings, list_findings
from cxrbuild.verification.ro_crate import ro_crate_findings

if TYPE_CHECKING:
    import pandas as pd


def check_generated(context: Context) -> Iterator[Finding]:
    """Generate the documents again, and find each line and key that differs."""
    if not can_generate(context):
        raise NotApplicable("another version of cxrbuild made the release, or its data cannot be read")
    try:
        contents = context.contents
    except NotApplicable as error:
        yield Finding(f"cannot be generated: {error}", names.CARD)
        return
    differences: list[Finding] = []
    try:
        # Empty where it is missing, which another check reports.
        manifest = context.hashes.get(names.MANIFEST, "")
        kinds = context.results.kinds
        for name, text in texts(context.folder, contents, context.split_sizes, kinds, manifest):
            differences += _text_differences(context, name, text)
        for name, describe in ((names.CROISSANT, croissant), (names.RO_CRATE, ro_crate)):
            document = describe(context.folder, contents, context.hashes)
            differences += _document_differences(context, name, document)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        # Tables, build.json or a result are damaged; the checks of them report how.
        yield Finding(f"cannot be generated from the data: {error!r}", names.CARD)
        return
    yield from differences


def _text_differences(context: Context, name: str, expected: str) -> Iterator[Finding]:
    found = context.read_text(name)
    if found is None:
        yield Finding("is missing", name)
        return
    for row, message in line_differences(expected, found):
        yield Finding(message, name, row)


def check_changelog(context: Context) -> Iterator[Finding]:
    """Find a changelog that does not begin with this version, its date and its notices."""
    if not can_generate(context):
        raise NotApplicable("another version of cxrbuild made the release, or its data cannot be read")
    expected = changelog_head(context.contents)
    found = context.read_text(names.CHANGELOG)
    if found is None:
        yield Finding("is missing", names.CHANGELOG)
    elif not found.startswith(expected):
        lines = expected.splitlines()
        for row, message in line_differences("\n".join(lines), "\n".join(found.split("\n")[: len(lines)])):
            yield Finding(message, names.CHANGELOG, row)


def _document_differences(context: Context, name: str, expected: Any) -> Iterator[Finding]:
    try:
        data = (context.folder / name).read_bytes()
        found = parse_json(data)
    except OSError:
        yield Finding("is missing", name)
    except ValueError as error:
        yield Finding(f"is not JSON: {error!r}", name)
    else:
        differences = list(json_differences(expected, found, of_files=("sha256", "contentSize")))
        for key, message in differences:
            yield Finding(message, name, key or None)
        # A key that occurs twice has one value for Python, and may have the other for another reader.
        if not differences and data != json_bytes(expected):
            yield Finding("has the right values, but a key occurs twice or the layout differs", name)


def check_card(context: Context) -> Iterator[Finding]:
    """Find counts of the card that are not those of the data, where it cannot be generated again."""
    _require_other_version(context)
    yield from card_findings(context.folder, _contents(context), context.split_sizes)


def check_lists(context: Context) -> Iterator[Finding]:
    """Find rows of the lists that are not the manifest's, where they cannot be generated again."""
    _require_other_version(context)
    yield from list_findings(context.folder, _kept(context))


def check_citation(context: Context) -> Iterator[Finding]:
    """Find a wrong version or date in the citation, where it cannot be generated again."""
    _require_other_version(context)
    yield from citation_findings(context.folder, _contents(context))


def check_croissant(context: Context) -> Iterator[Finding]:
    """Find what is wrong with Croissant, where it cannot be generated again."""
    _require_other_version(context)
    contents = _contents(context) if _has_contents(context) else None
    yield from croissant_findings(context.folder, contents, context.hashes)


def check_ro_crate(context: Context) -> Iterator[Finding]:
    """Find files that RO-Crate describes wrongly, where it cannot be generated again."""
    _require_other_version(context)
    yield from ro_crate_findings(context.folder, context.hashes)


def _has_contents(context: Context) -> bool:
    return context.document_read.value is not None and context.ledger_read.value is not None


def can_generate(context: Context) -> bool:
    """Return whether this version made the release and its data can be read."""
    if not _has_contents(context) or not context.packaged_here:
        return False
    try:
        _ = context.results
    except NotApplicable:  # a result is missing or cannot be read
        return False
    return True


def _require_other_version(context: Context) -> None:
    if can_generate(context):
        raise NotApplicable("the document is generated again and compared line by line")


def _contents(context: Context) -> Contents:
    return Contents(context.release, context.ledger)


def _kept(context: Context) -> pd.DataFrame:
    return _contents(context).kept if _has_contents(context) else context.manifest
