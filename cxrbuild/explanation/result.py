"""The result of ``explain``: where its files are, and the content of ``explanation.json``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cxrbuild.artifact.explanation import ExplanationDocument
from cxrbuild.notebook import result_html


@dataclass(frozen=True)
class ExplanationResult:
    """An explained model.

    Attributes
    ----------
    out
        The folder of its files.
    document
        The content of ``explanation.json``.
    unusable_masks
        Lung masks that were not used: the reason by ``SOURCE/PATH``.
    """

    out: Path
    document: ExplanationDocument
    unusable_masks: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON has it."""
        return {
            "out": str(self.out),
            "sentence": self.document.sentence,
            "surviving": self.document.surviving,
            "unusable_masks": self.unusable_masks,
        } | self.document.to_dict()

    def rows(self) -> list[list[str]]:
        """Return the table of the blackout tests: accuracy, AUC, and the recall of each class."""
        return [
            [
                one.test.replace("_", " "),
                *(
                    "n/a" if figure.value is None else f"{figure.value:.3f}"
                    for figure in (
                        one.scores.accuracy,
                        one.scores.auc,
                        *(one.scores.recall[name] for name in self.document.classes),
                    )
                ),
            ]
            for one in self.document.blackout
        ]

    def header(self) -> list[str]:
        """Return the titles of the columns of ``rows``."""
        return ["the model sees", "accuracy", "AUC", *(f"recall {name}" for name in self.document.classes)]

    def _repr_html_(self) -> str:
        return result_html(sentences=[self.document.sentence], header=self.header(), rows=self.rows())
