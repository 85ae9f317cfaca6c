"""The checks of an audit, and the limits that a recipe sets."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, model_validator

from cxrbuild.catalog.declarations import Declaration


@dataclass(frozen=True)
class Check:
    """A check: what must hold, in a sentence, and the default limit of what it may find.

    ``limit`` is ``None`` for a check that reports without a limit.
    """

    sentence: str
    limit: float | None


# In the order of the report. A check counts what contradicts its sentence.
CHECKS = {
    "images": Check("Every image of the manifest is present, with the bytes of the build.", 0),
    "patient_leakage": Check("No patient, with all linked images, has images in two splits.", 0),
    "duplicate_leakage": Check("No image, or near-duplicate of it, is in two splits.", 0),
    "label_conflicts": Check("No image, or near-duplicate of it, has two labels.", 0),
    "unlinked": Check("Patients who share an image are linked.", None),
    "duplicates": Check("No image is in the dataset twice.", None),
    "identity": Check("No two patients have ids that differ only in their ending.", None),
    "unknown_patients": Check("Every image's patient is known.", None),
    "confounding": Check("No single property of the file or the patient predicts the class (share).", 0.2),
    "probe_border": Check("The border, with the middle blacked out, does not predict the class (AUC).", 0.7),
    "probe_encoder": Check("Size and traces of the encoder do not predict the class (AUC).", 0.7),
    "probe_histogram": Check("The histogram does not predict the class (AUC).", 0.7),
    "probe_thumbnail": Check("A thumbnail of 16 x 16 pixels does not predict the class (AUC).", 0.7),
}


class Audit(Declaration):
    """The `[audit]` of a recipe: the limits of its audit."""

    limits: dict[str, Annotated[float, Field(ge=0)]] = Field(
        default_factory=dict, description="for a check, by its id, the most that it may find and still pass"
    )
    report: list[str] = Field(
        default_factory=list, description="checks, by their ids, that report without a limit"
    )

    @model_validator(mode="after")
    def _check_ids(self) -> Audit:
        problems = []
        for key, names in (("limits", list(self.limits)), ("report", self.report)):
            for name in names:
                if name not in CHECKS:
                    near = difflib.get_close_matches(name, CHECKS, 1, cutoff=0.5)
                    hint = f"the nearest known one is {near[0]!r}" if near else f"known: {', '.join(CHECKS)}"
                    problems.append(f"{key}: no check is called {name!r}; {hint}")
        problems += [f"{name}: is in both limits and report" for name in self.report if name in self.limits]
        if problems:
            raise ValueError("\n".join(problems))
        return self

    def limit(self, name: str) -> float | None:
        """Return the most that a check may find; ``None`` if it reports without a limit."""
        if name in self.report:
            return None
        return self.limits.get(name, CHECKS[name].limit)
