"""Where the finding comes from, how several findings of a row are separated, and which words it has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cxrbuild.errors import count_of, name_some
from cxrbuild.proposing.proposal import NONE, Certainty, Decision
from cxrbuild.proposing.table import column_names
from cxrbuild.proposing.vocabulary import ABSENT, NAMES, PRESENT, is_blank, known_values, name_rank, plain
from cxrbuild.shell import quote

if TYPE_CHECKING:
    import pandas as pd

SEPARATORS = ("|", ";", ",")
# A list as Python prints it, as PadChest has it: ['pleural effusion', 'pneumonia'].
_LIST = r"^\['(.*)'\]$"
_LIST_SEPARATOR = "', '"
_MOST_WORDS = 400
_MOST_CANDIDATES = 4
# Fewer columns of 0 and 1 are switches of another kind.
_LEAST_COLUMNS = 3
_FLAG_WORDS = {*PRESENT, *ABSENT}


@dataclass(frozen=True)
class FindingProposal:
    """How the finding comes from the metadata.

    Attributes
    ----------
    decision
        What was decided, and why.
    origin
        The column of the metadata, ``None`` where there is none, or one for each finding.
    columns, present, absent
        The columns that each say whether one finding is there, and what their values mean.
    separator
        What separates several findings of a row, ``None`` where a row has one.
    pattern, blank
        Keys of the column's declaration.
    findings
        For each row its findings, none where it is not known.
    """

    decision: Decision
    findings: tuple[tuple[str, ...], ...]
    origin: str | None = None
    columns: tuple[str, ...] = ()
    present: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    separator: str | None = None
    pattern: str = ""
    blank: tuple[str, ...] = ("",)


def propose_finding(
    values: pd.DataFrame, answer: str | None, elsewhere: Sequence[str] = ()
) -> FindingProposal:
    """Propose where the finding comes from.

    Parameters
    ----------
    values
        Upstream's values as text.
    answer
        The column that a person chose, or ``none``; ``None`` where nobody was asked.
    elsewhere
        Other tables of the folder.
    """
    nothing = tuple(() for _ in range(len(values)))
    if answer == NONE:
        return FindingProposal(Decision("finding", None, "sure", "it was named"), nothing)
    if answer is not None:
        return _from_column(answer, values, Decision("finding", answer, "sure", "it was named"))
    named = sorted(
        (name for name in column_names(values) if name_rank("finding", name) is not None),
        key=lambda name: name_rank("finding", name) or 0,
    )
    usable = [name for name in named if _is_category(values[name])]
    flags = _flag_columns(values)
    if usable and not _is_number(values[usable[0]]):
        words = count_of(known_values(values[usable[0]]).nunique(), "different value")
        others = tuple(name for name in named if name != usable[0])
        exact = [name for name in usable if plain(name) in NAMES["finding"]]
        certainty: Certainty = "sure" if len(exact) == 1 else "likely"
        reason = f"its name fits, and it has {words}"
        return _from_column(usable[0], values, Decision("finding", usable[0], certainty, reason, others))
    if len(flags) >= _LEAST_COLUMNS:
        return _from_flags(flags, values)
    if usable:
        reason = "its name fits, but its values are numbers: which number is which finding?"
        decision = Decision("finding", usable[0], "not sure", reason, tuple(named[1:]))
        return _from_column(usable[0], values, decision)
    others = tuple(
        name for name in column_names(values) if _is_category(values[name]) and not _is_number(values[name])
    )
    reason = (
        "no column has the name of a finding" if not named else "too many different values to be findings"
    )
    candidates = [
        name
        for name in others
        if known_values(values[name]).nunique() > 1
        and not any(name_rank(column, name) is not None for column in NAMES)
    ]
    if candidates:
        shown = [
            f"--column {quote(f'finding={name}')} ({_describe_words(values[name])})"
            for name in candidates[:_MOST_CANDIDATES]
        ]
        reason += f"; name it, such as {', or '.join(shown)}"
    if elsewhere:
        reason += f"; if {name_some(elsewhere, 3)} has it, join the two tables into one file"
    decision = Decision("finding", None, "not sure", reason, tuple(named) or others)
    return FindingProposal(decision, nothing)


def _describe_words(cells: pd.Series) -> str:
    counts = known_values(cells).value_counts()
    return name_some((f"{word} {n:,}" for word, n in counts.items()), 5)


def _from_column(name: str, values: pd.DataFrame, decision: Decision) -> FindingProposal:
    cells = values[name]
    known = known_values(cells)
    pattern, separator = "", None
    if known.size and known.str.fullmatch(_LIST).all():
        pattern, separator = _LIST, _LIST_SEPARATOR
        inner = cells.str.extract(_LIST, expand=False).fillna("")
    else:
        inner = cells.where(~cells.map(is_blank), "")
        separator = _separator(known)
    findings = tuple(tuple(_parts(str(cell), separator)) for cell in inner)
    # Of a row with several findings, `todo` alone is no finding; a whole cell can be blank.
    blank = tuple(sorted({"", *(str(word) for word in cells.unique() if is_blank(str(word)))}))
    return FindingProposal(decision, findings, origin=name, separator=separator, pattern=pattern, blank=blank)


def _from_flags(flags: Sequence[str], values: pd.DataFrame) -> FindingProposal:
    found = sorted({str(word) for name in flags for word in values[name].unique()})
    present = tuple(word for word in found if word.lower() in PRESENT)
    absent = tuple(sorted({"", *(word for word in found if word.lower() in ABSENT)}))
    rows: list[list[str]] = [[] for _ in range(len(values))]
    for name in flags:
        for row in values[name].isin(present).to_numpy().nonzero()[0]:
            rows[row].append(name)
    reason = f"{count_of(len(flags), 'column')} of 0 and 1, each named after a finding: {name_some(flags, 4)}"
    uncertain = sum(int(values[name].isin(["-1", "-1.0"]).sum()) for name in flags)
    if uncertain:
        reason += f"; {count_of(uncertain, 'value')} of -1 (uncertain) count as absent"
    decision = Decision("finding", f"{flags[0]} ... {flags[-1]}", "likely", reason)
    separator = next(sign for sign in (*SEPARATORS, "||") if not any(sign in name for name in flags))
    return FindingProposal(
        decision, tuple(map(tuple, rows)), columns=tuple(flags), present=present, absent=absent,
        separator=separator,
    )  # fmt: skip


def _flag_columns(values: pd.DataFrame) -> list[str]:
    """Return the columns of 0 and 1 that can each be a finding; at least one row has a 1 in it."""
    found = []
    for name in column_names(values):
        words = {str(word).lower() for word in values[name].unique()}
        if words <= _FLAG_WORDS and words & {*PRESENT} and (words - {*PRESENT}):
            found.append(name)
    return found


def _separator(known: pd.Series) -> str | None:
    """Return the sign that separates several findings: where it divides values, its parts are values too."""
    whole = set(known)
    for sign in SEPARATORS:
        several = [value for value in whole if sign in value]
        parts = [part for value in several for part in _parts(value, sign)]
        if several and sum(part in whole or parts.count(part) > 1 for part in parts) >= len(parts) / 2:
            return sign
    return None


def _parts(cell: str, separator: str | None) -> list[str]:
    parts = [part.strip() for part in cell.split(separator)] if separator else [cell]
    return [part for part in dict.fromkeys(parts) if part]


def _is_category(values: pd.Series) -> bool:
    """Return whether a column can hold findings: it has two words or more, and they come again."""
    known = known_values(values)
    words = known.nunique()
    if sign := _separator(known):
        words = known.str.split(sign, regex=False).explode().str.strip().nunique()
    return 0 < words <= min(_MOST_WORDS, max(2, len(known) // 2)) or (
        known.size > 0 and bool(known.str.fullmatch(_LIST).all())
    )


def _is_number(values: pd.Series) -> bool:
    return bool(known_values(values).str.fullmatch(r"-?\d+(\.\d+)?").all())
