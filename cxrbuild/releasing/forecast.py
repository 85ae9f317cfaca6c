"""Report what a public release of its build would refuse, before an image is converted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cxrbuild.comparison import DatasetVersion
from cxrbuild.curation import Plan, build_document, declaration_files
from cxrbuild.errors import CxrbuildError
from cxrbuild.policy import describe_old_ages, old_ages, require_hashed, withheld
from cxrbuild.releasing.document import release_date
from cxrbuild.releasing.identities import require_no_identities_in_recipe, require_no_numbers
from cxrbuild.releasing.requirements import (
    describe_kept_datasheet,
    require_attribution,
    require_own_text,
)


@dataclass(frozen=True)
class Forecast:
    """What `release` will say of a plan's build.

    Attributes
    ----------
    refusals
        The errors that it would end with.
    notes
        Its warning that a changed copy of a shipped recipe keeps its texts, and its note that a public
        release replaces ages over 89.
    """

    refusals: list[CxrbuildError]
    notes: list[str]


def foresee(plan: Plan) -> Forecast:
    """Return what ``release`` will refuse and note, as far as metadata and declarations decide.

    Not known are the errors that depend on pixels, on the release before, or on what is declared later. An
    empty class is an error of the plan itself.

    Parameters
    ----------
    plan
        The plan.
    """
    document, records, kept = build_document(plan), plan.records, plan.kept
    # Instead of the build, which is not there yet.
    place = Path(document.dataset.name)
    embedded = kept[withheld(kept, "public").isna()]
    rows = DatasetVersion(document.dataset.name, kept, document.recipe.classes, released=False)
    files = declaration_files(plan.declared)
    requirements: list[Callable[[], object]] = [
        lambda: release_date(document.recipe.date),
        lambda: require_hashed(records, document, "public"),
        lambda: require_no_numbers(place, document, records, "public"),
        lambda: require_no_identities_in_recipe(place, document, records, "public"),
        lambda: require_own_text(place, document, rows, files),
        lambda: require_attribution(place, document, embedded, "public"),
    ]
    refusals = []
    for require in requirements:
        try:
            require()
        except CxrbuildError as error:
            refusals.append(error)
    notes = (
        describe_kept_datasheet(document, rows, files),
        describe_old_ages(old_ages(records, document, "public")),
    )
    return Forecast(refusals, [note for note in notes if note])
