"""Check pairs of duplicates: leakage between splits, label conflicts, patients who are not linked."""

from __future__ import annotations

from collections.abc import Callable

from cxrbuild.artifact.audit import ImagePair, PairFinding
from cxrbuild.auditing.context import Context, record
from cxrbuild.checks import Measurement
from cxrbuild.errors import count_of


def check_duplicate_leakage(context: Context) -> Measurement:
    """Find duplicates in two splits."""
    return _find_duplicates(context, lambda pair: "split" in pair.crosses, "in two splits")


def check_label_conflicts(context: Context) -> Measurement:
    """Find duplicates with two labels."""
    return _find_duplicates(context, lambda pair: "label" in pair.crosses, "with two labels")


def check_unlinked_duplicates(context: Context) -> Measurement:
    """Find duplicates of two patients who are not linked."""
    return _find_duplicates(context, lambda pair: not pair.linked, "of patients who are not linked")


def check_duplicates(context: Context) -> Measurement:
    """Find all duplicates."""
    return _find_duplicates(context, lambda _: True, "")


def _find_duplicates(context: Context, wanted: Callable[[ImagePair], bool], where: str) -> Measurement:
    findings = [
        record(
            PairFinding(
                message=f"{pair.a} and {pair.b} ({pair.kind})",
                a=pair.a, b=pair.b, kind=pair.kind, crosses=pair.crosses,
            )
        )
        for pair in context.pairs
        if pair.is_duplicate and wanted(pair)
    ]  # fmt: skip
    message = f"{count_of(len(findings), 'pair')} {where}".rstrip() if findings else "none"
    return Measurement(len(findings), message, findings)
