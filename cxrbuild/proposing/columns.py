"""Which column of some metadata is the patient, the view, the sex or the age, and what its words mean."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from cxrbuild.errors import count_of, name_some
from cxrbuild.ingest.age import parse_ages
from cxrbuild.proposing.proposal import NONE, Certainty, Decision, WordCount
from cxrbuild.proposing.table import column_names
from cxrbuild.proposing.vocabulary import (
    FRONTAL,
    MODALITIES,
    PATIENT_PART,
    SEXES,
    SPLITS,
    VIEWS,
    is_blank,
    known_values,
    name_rank,
    plain,
    spaced,
)

if TYPE_CHECKING:
    import pandas as pd

WORDS: dict[str, Mapping[str, str]] = {
    "modality": MODALITIES,
    "view_position": VIEWS,
    "patient_sex": SEXES,
    "upstream_split": SPLITS,
}
_OLDEST = 130
_BIRTH = ("birth", "geburt", "naissance", "nacimiento")
# `45 Jahre`, `45 J.`, `45 ans`: a number of years with a word. `45 M` can be months, or a man of 45.
_AGE_WORDS = (
    r"(?i)^(\d{1,3}(?:[.,]\d+)?)\s*(?:j|jahre?|lj|ans?|an\(s\)|anos?|a\u00f1os?|y|yo|yrs?|years?)\.?$"
)
# Of the known values of a column, the share that must have a meaning.
_FIT, _HALF = 0.95, 0.5
# A column with more words than this is no column of categories.
_MOST_WORDS = 60
_SHOWN = 5
# Columns to choose from.
_ASKED = 12


@dataclass(frozen=True)
class ColumnProposal:
    """How one of our columns comes from the metadata.

    Attributes
    ----------
    decision
        What was decided, and why.
    origins
        The columns of the metadata, none where the column is not filled.
    map, blank, pattern, decimal
        The keys of its declaration; ``map`` and ``pattern`` are empty where there is none.
    words
        The words that were found.
    """

    decision: Decision
    origins: tuple[str, ...] = ()
    map: Mapping[str, str] = field(default_factory=dict)
    blank: tuple[str, ...] = ("",)
    pattern: str = ""
    decimal: str = "."
    words: tuple[WordCount, ...] = ()


def propose_column(column: str, values: pd.DataFrame, answer: str | None) -> ColumnProposal:
    """Propose where one of our columns comes from: by the names of upstream's columns, and by their values.

    Parameters
    ----------
    column
        Our column, one of `WORDS`, ``patient_age``, ``license`` or ``attribution``.
    values
        Upstream's values as text.
    answer
        The column that a person chose, or ``none``; ``None`` where nobody was asked.
    """
    fit: Callable[[pd.Series], float] = (
        _age_fit if column == "patient_age" else _word_fit(column) if column in WORDS else _always
    )
    if answer is not None:
        return _fill(column, values, [] if answer == NONE else [answer], "sure", "it was named", ())
    named = sorted(
        (name for name in column_names(values) if name_rank(column, name) is not None),
        key=lambda name: name_rank(column, name) or 0,
    )
    fits = {name: fit(values[name]) for name in named}
    # The better name decides: PadChest's `Projection` is read by people, its `ViewPosition_DICOM` is not.
    some = [name for name in named if fits[name] >= _HALF]
    if some and fits[some[0]] < _FIT:
        others = tuple(name for name in named if name != some[0])
        share = f"{fits[some[0]]:.0%} of its known values fit"
        return _fill(column, values, some[:1], "likely", f"its name fits, and {share}", others)
    if some:
        origins = some[:1]
        # CheXpert has the side of frontal images in one column, and whether they are frontal in another.
        if column == "view_position" and values[some[0]].map(is_blank).any():
            origins = [name for name in some if fits[name] >= _FIT]
        others = tuple(name for name in named if name not in origins)
        return _fill(column, values, origins, "sure", "its name and its values fit", others)
    if column in WORDS and column != "modality":
        unnamed = [
            name
            for name in column_names(values)
            if name not in named and fit(values[name]) >= _FIT and known_values(values[name]).nunique() > 1
        ]
        if unnamed:
            certainty: Certainty = "likely" if len(unnamed) == 1 else "not sure"
            return _fill(column, values, unnamed[:1], certainty, "its values fit", tuple(unnamed[1:]))
    filled = [name for name in named if known_values(values[name]).size]
    if named and not filled:
        reason = f"{name_some(map(repr, named))} has no value in any row"
        return _fill(column, values, [], "not found", reason, ())
    if named:
        reason = f"{name_some(map(repr, filled))} has the name, but its values do not fit"
        return _fill(column, values, [], "not sure", reason, tuple(named))
    if column == "patient_age" and (births := [name for name in column_names(values) if _is_birth(name)]):
        reason = f"{name_some(map(repr, births))} has dates of birth: add a column with the age at the image"
        return _fill(column, values, [], "not sure", reason, ())
    return _fill(column, values, [], "not found", "no column has such a name or such values", ())


def add_origin(found: ColumnProposal, values: pd.DataFrame, origin: str) -> ColumnProposal:
    """Propose to take one more column where those of a proposal say nothing."""
    one = found.decision
    origins = [*found.origins, origin]
    return _fill(one.subject, values, origins, one.certainty, one.reason, one.alternatives)


def _fill(
    column: str,
    values: pd.DataFrame,
    origins: Sequence[str],
    certainty: Certainty,
    reason: str,
    alternatives: tuple[str, ...],
) -> ColumnProposal:
    """Return the proposal to take some columns, with the meaning of every word in them."""
    choice = " or ".join(origins) if origins else None
    if not origins:
        return ColumnProposal(Decision(column, None, certainty, reason, alternatives))
    first = values[origins[0]]
    for origin in origins[1:]:
        first = first.where(~first.map(is_blank), values[origin])
    counts = {str(word): int(n) for word, n in first.value_counts(sort=False).items()}
    ordered = sorted(counts, key=lambda word: (-counts[word], word))
    pattern, decimal = _age_form(first) if column == "patient_age" else ("", ".")
    if column in WORDS:
        meanings = {word: _meaning(column, word) for word in ordered}
        if column == "patient_sex" and (woman := _initial_of_mujer(ordered)):
            # Spanish has Hombre or Varón, and Mujer.
            meanings[woman] = "F"
            reason += f"; {woman!r} next to hombre or varón is taken as mujer, which is F"
            certainty = "likely" if certainty == "sure" else certainty
    elif column == "patient_age":
        meanings = dict(zip(ordered, _ages(ordered, pattern, decimal), strict=True))
    else:
        meanings = {word: None if is_blank(word) else word for word in ordered}
    unknown = [word for word in ordered if meanings[word] is None]
    strange = [word for word in unknown if not is_blank(word) and spaced(word) not in FRONTAL]
    if strange:
        shown = name_some([f"{word!r} ({counts[word]:,})" for word in strange], _SHOWN)
        reason += f"; without a meaning, and so taken as not known: {shown}"
        certainty = "likely" if certainty == "sure" else certainty
    listed = ordered if len(ordered) <= _MOST_WORDS and column in WORDS else unknown
    words = tuple(WordCount(column, word, counts[word], meanings[word]) for word in listed)
    map_ = {word: meaning for word, meaning in meanings.items() if meaning is not None}
    blank = tuple(sorted({"", *unknown}))
    decision = Decision(column, choice, certainty, reason, alternatives)
    return ColumnProposal(
        decision, tuple(origins), map_ if column in WORDS else {}, blank, pattern, decimal, words
    )


def _meaning(column: str, word: str) -> str | None:
    if is_blank(word):
        return None
    return WORDS[column].get(spaced(word))


def _initial_of_mujer(words: Sequence[str]) -> str | None:
    """Return the word `M` where it means a woman: next to `H` or `V`, and to no `F`."""
    by_letter = {spaced(word): word for word in words}
    men = {"h", "v", "hombre", "varon"} & set(by_letter)
    return by_letter.get("m") if men and "f" not in by_letter else None


def _age_form(values: pd.Series) -> tuple[str, str]:
    """Return the pattern that removes a word from most ages, blank if there is none, and the decimal sign."""
    known = known_values(values)
    if not known.size:
        return "", "."
    # DICOM's own `045Y` needs no pattern, and its `000Y` is no age.
    is_worded = known.str.fullmatch(_AGE_WORDS) & ~known.str.fullmatch(r"\d+Y?")
    pattern = _AGE_WORDS if is_worded.mean() >= _HALF else ""
    numbers = known.str.extract(pattern, expand=False).dropna() if pattern else known
    comma = numbers.str.fullmatch(r"\d+,\d+").any() and not numbers.str.contains(".", regex=False).any()
    return pattern, "," if comma else "."


def _years(values: pd.Series, pattern: str, decimal: str) -> pd.Series:
    if pattern:
        values = values.str.extract(pattern, expand=False)
    return parse_ages(values.str.replace(",", ".") if decimal == "," else values)


def _ages(words: Sequence[str], pattern: str, decimal: str) -> list[str | None]:
    import pandas as pd

    years = _years(pd.Series(words, dtype="str"), pattern, decimal)
    good = years.between(0, _OLDEST).fillna(value=False)
    return [word if fits else None for word, fits in zip(words, good, strict=True)]


def _word_fit(column: str) -> Callable[[pd.Series], float]:
    known_words = {*WORDS[column], *(FRONTAL if column == "view_position" else ())}

    def fit(values: pd.Series) -> float:
        known = known_values(values)
        if not known.size or known.nunique() > _MOST_WORDS:
            return 0.0
        return float(known.map(lambda word: spaced(word) in known_words).mean())

    return fit


def _age_fit(values: pd.Series) -> float:
    known = known_values(values)
    years = _years(known, *_age_form(known))
    return float(years.between(0, _OLDEST).fillna(value=False).mean()) if known.size else 0.0


def _is_birth(name: str) -> bool:
    return any(word in plain(name) for word in _BIRTH) or plain(name) in ("dob", "yob")


def _always(_: pd.Series) -> float:
    return 1.0


def propose_patient(values: pd.DataFrame, key: str | None, answer: str | None) -> ColumnProposal:
    """Propose where the patient comes from: a column, or a part of the paths in the table.

    Parameters
    ----------
    values
        Upstream's values as text.
    key
        The column that names the images.
    answer
        The column that a person chose, or ``none``.
    """
    named = sorted(
        (name for name in column_names(values) if name_rank("patient_id", name) is not None),
        key=lambda name: name_rank("patient_id", name) or 0,
    )
    if answer is not None:
        named = [] if answer == NONE else [answer]
    for name in named:
        known = known_values(values[name])
        if not known.size:
            continue
        others = tuple(other for other in named if other != name)
        blank = tuple(sorted({"", *(word for word in values[name].unique() if is_blank(word))}))
        pattern, lettered = _without_letter(known)
        if pattern:
            reason = (
                f"its name fits; a letter after the number, as in {count_of(lettered, 'value')}, is taken as "
                "the number of the image, not of the patient"
            )
            decision = Decision("patient_id", name, "likely", reason, others)
        elif known.nunique() < len(known):
            reason = f"its name fits, and {count_of(known.nunique(), 'patient')} have {len(known):,} rows"
            decision = Decision("patient_id", name, "sure", reason, others)
        else:
            reason = "its name fits, but no two rows have one value: it may be the image, not the patient"
            decision = Decision("patient_id", name, "not sure", reason, others)
        if answer is not None:
            decision = Decision("patient_id", name, "sure", "it was named")
        # Headers of images were in no spreadsheet.
        if key is not None and (zeros := _differing_in_zeros(values[name])):
            decision = replace(decision, certainty="not sure", reason=f"{decision.reason}; {zeros}")
        return ColumnProposal(decision, (name,), blank=blank, pattern=pattern)
    if answer == NONE:
        return ColumnProposal(Decision("patient_id", None, "sure", "it was named"))
    if key is not None:
        pattern = rf"(?:^|/)({PATIENT_PART})(?:/|$)"
        cells = values[key]
        found = cells.str.extract(f"(?i){pattern}", expand=False)
        if len(cells) and found.notna().all() and found.nunique() > 1:
            reason = f"a folder of each path is a patient's: {count_of(found.nunique(), 'patient')}"
            decision = Decision("patient_id", key, "likely", reason)
            return ColumnProposal(decision, (key,), pattern=f"(?i){pattern}")
    reason = "no column names the patient: images of one patient can come into two splits"
    likely = [name for name in column_names(values) if 1 < values[name].nunique() < len(values)]
    return ColumnProposal(Decision("patient_id", None, "not sure", reason, tuple(likely[:_ASKED])))


def _differing_in_zeros(cells: pd.Series) -> str:
    """Return which numbers differ in leading zeros alone, as a clause; `plan` refuses them."""
    numbers = cells[cells.str.fullmatch(r"[0-9]+")]
    plain = numbers.str.lstrip("0")
    spellings = numbers.groupby(plain).nunique()
    several = plain[plain.map(spellings) > 1]
    if several.empty:
        return ""
    first = numbers[plain == several.iloc[0]].drop_duplicates()
    # Without the numbers: they identify patients.
    return (
        f"{count_of(several.nunique(), 'number')} of a patient with and without leading zeros, such as rows "
        f"{' and '.join(str(row + 2) for row in first.index[:2])}: a spreadsheet removes such zeros. Export "
        "the table again, with this column as text, or declare `patient_conflicts` in the reader"
    )


def _without_letter(known: pd.Series) -> tuple[str, int]:
    """Return a pattern for numbers of which some end in a letter that numbers images, and how many do."""
    whole = known.str.fullmatch(r".*\d[a-z]?").all()
    lettered = known[known.str.fullmatch(r".*\d[a-z]")]
    stems = lettered.str[:-1]
    if not whole or lettered.empty or not (stems.duplicated().any() or stems.isin(known).any()):
        return "", 0
    return r"^(.*\d)[a-z]?$", len(lettered)


def propose_license(values: pd.DataFrame, answer: str | None) -> ColumnProposal:
    """Propose where the licence comes from; Creative Commons licences become SPDX identifiers."""
    found = propose_column("license", values, answer)
    if not found.origins:
        return found
    cells = values[found.origins[0]]
    counts = {str(word): int(n) for word, n in cells.value_counts(sort=False).items()}
    ordered = sorted((word for word in counts if not is_blank(word)), key=lambda word: (-counts[word], word))
    if len(ordered) > _MOST_WORDS:
        reason = f"{len(ordered):,} different texts: too many to be licences"
        return ColumnProposal(Decision("license", None, "not sure", reason, found.origins))
    map_ = {word: _spdx(word) for word in ordered}
    references = [word for word in ordered if map_[word].startswith("LicenseRef-")]
    decision = found.decision
    if references and answer is None:
        shown = name_some([f"{word!r} ({counts[word]:,})" for word in references], _SHOWN)
        decision = Decision(
            "license", found.origins[0], "likely", f"its name fits; no SPDX identifier is known for {shown}"
        )
    words = tuple(WordCount("license", word, counts[word], map_[word]) for word in ordered)
    blank = tuple(sorted({"", *(word for word in counts if is_blank(word))}))
    return ColumnProposal(decision, found.origins, map_, blank, words=words)


def _spdx(text: str) -> str:
    """Return the SPDX identifier of a Creative Commons or Apache licence with a version, else a reference."""
    plain = re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-")
    version = re.fullmatch(r"(cc-by(?:-nc)?(?:-sa|-nd)?|cc0|apache)-(\d\.\d)", plain)
    if version is not None:
        name = "Apache" if version[1] == "apache" else version[1].upper()
        return f"{name}-{version[2]}"
    own = re.sub(r"[^A-Za-z0-9.]+", "-", text).strip("-.") or "other"
    return f"LicenseRef-{own[:60]}"
