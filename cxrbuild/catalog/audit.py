"""The checks that an audit makes, and the limits that a recipe sets them."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, model_validator

from cxrbuild.catalog.declarations import Declaration


@dataclass(frozen=True)
class Check:
    """A check: what must hold, in a sentence, and the most it may find unless a recipe says otherwise.

    ``limit`` is ``None`` where the check reports and leaves the judgement to the reader.
    """

    sentence: str
    limit: float | None


# In the order in which they are told. What counts is what the sentence says must not be.
CHECKS = {
    "images": Check("Every image of the manifest is there, byte for byte as it was built.", 0),
    "patient_leakage": Check("No patient, with all that is linked to it, has images in two parts.", 0),
    "duplicate_leakage": Check("No film stands in two parts, under whatever name or change.", 0),
    "label_conflicts": Check("No film stands under two labels.", 0),
    "unlinked": Check("Patients who share a film are linked.", None),
    "duplicates": Check("No film stands in the dataset twice.", None),
    "identity": Check("No two patients have ids that differ in their ending alone.", None),
    "unknown_patients": Check("Every image's patient is known.", None),
    "confounding": Check("No single fact of the file or the patient tells much of the class (share).", 0.2),
    "probe_border": Check("The border, the middle blacked out, does not tell the class (AUC).", 0.7),
    "probe_encoder": Check("Size and the encoder's traces do not tell the class (AUC).", 0.7),
    "probe_histogram": Check("The histogram does not tell the class (AUC).", 0.7),
    "probe_thumbnail": Check("A thumbnail of 16 x 16 pixels does not tell the class (AUC).", 0.7),
}


class Audit(Declaration):
    """The `[audit]` of a recipe: what its audit may find and still pass."""

    limits: dict[str, Annotated[float, Field(ge=0)]] = Field(
        default_factory=dict, description="for a check, by its id, the most that it may find"
    )
    report: list[str] = Field(
        default_factory=list, description="checks, by their ids, that report and have no limit here"
    )

    @model_validator(mode="after")
    def _known(self) -> Audit:
        faults = []
        for key, names in (("limits", list(self.limits)), ("report", self.report)):
            for name in names:
                if name not in CHECKS:
                    near = difflib.get_close_matches(name, CHECKS, 1, cutoff=0.5)
                    hint = f"the nearest known one is {near[0]!r}" if near else f"known: {', '.join(CHECKS)}"
                    faults.append(f"{key}: no check is called {name!r}; {hint}")
        faults += [f"{name}: stands in both limits and report" for name in self.report if name in self.limits]
        if faults:
            raise ValueError("; ".join(faults))
        return self

    def limit(self, name: str) -> float | None:
        """Return the most that a check may find; ``None`` where it reports alone."""
        if name in self.report:
            return None
        return self.limits.get(name, CHECKS[name].limit)
