"""Which other elements of the DICOM headers could show the view where the chosen columns are blank."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from cxrbuild.errors import count_of, name_some
from cxrbuild.proposing.columns import ColumnProposal
from cxrbuild.proposing.proposal import Certainty
from cxrbuild.proposing.vocabulary import VIEWS, is_blank, spaced

if TYPE_CHECKING:
    import pandas as pd

_ELEMENTS = ("SeriesDescription", "StudyDescription", "BodyPartExamined")
# `L` within a text can mean anything.
_WORDS = tuple(word for word in VIEWS if len(word.replace(" ", "")) > 1)
_SHOWN = 3


def note_other_views(found: ColumnProposal, values: pd.DataFrame) -> ColumnProposal:
    """Return a proposal of the view whose reason names the elements that could show more views.

    Parameters
    ----------
    found
        The proposal.
    values
        Upstream's values as text, with the elements of the headers.
    """
    origins = list(found.origins)
    unknown = values
    for origin in origins:
        unknown = unknown[unknown[origin].map(is_blank)]
    notes = []
    for element in _ELEMENTS:
        if element not in values or element in origins:
            continue
        naming = unknown[element][unknown[element].map(_names_view)]
        if naming.empty:
            continue
        words = name_some(map(repr, naming.value_counts().index), _SHOWN)
        both = json.dumps([*(origins or ["ViewPosition"]), element])
        notes.append(
            f"{element} could show that of {count_of(len(naming), 'image')} without one, as it has {words}: "
            f"`from = {both}` in columns.view_position takes it where the view is blank, with its words in "
            "`map`, or in `blank` if they show no view"
        )
    if not notes:
        return found
    one = found.decision
    certainty: Certainty = "likely" if one.certainty == "sure" else one.certainty
    return replace(found, decision=replace(one, certainty=certainty, reason="; ".join([one.reason, *notes])))


def _names_view(text: str) -> bool:
    padded = f" {spaced(text)} "
    return any(f" {word} " in padded for word in _WORDS)
