"""Count pairs of duplicates: in two splits, with two labels, of patients who are not linked, or all."""

from __future__ import annotations

from cxrbuild.auditing.context import Context
from cxrbuild.checks import CountedPairs, Measurement
from cxrbuild.errors import count_of


def count_duplicates(context: Context, counted: CountedPairs, where: str) -> Measurement:
    """Count pairs of duplicates.

    Parameters
    ----------
    context
        The build, with its pairs.
    counted
        Which duplicates, see `cxrbuild.checks.Check`.
    where
        The same in words, as the message has it.
    """
    findings = [context.finding_of(pair) for pair in context.pairs if pair.is_counted(counted)]
    message = f"{count_of(len(findings), 'pair')} {where}".rstrip() if findings else "none"
    return Measurement(len(findings), message, findings)
