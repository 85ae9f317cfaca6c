"""Report what a public release of its build would refuse, before an image is converted."""

from __future__ import annotations

from collections.abc import Callable
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


def foresee_refusals(plan: Plan) -> list[CxrbuildError]:
    """Return the errors that ``release`` would end with, as far as metadata and declarations decide.

    Not known are those that depend on pixels, on the release before, or on what is declared later. An empty
    class is an error of the plan itself.

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
    found = []
    for require in requirements:
        try:
            require()
        except CxrbuildError as error:
            found.append(error)
    return found


def foresee_kept_texts(plan: Plan) -> str:
    """Return the warning of ``release`` that a changed copy of a shipped recipe keeps its texts."""
    rows = DatasetVersion(plan.declared.recipe.name, plan.kept, plan.declared.recipe.classes, released=False)
    return describe_kept_datasheet(build_document(plan), rows, declaration_files(plan.declared))


def foresee_old_ages(plan: Plan) -> str:
    """Return the note of ``release`` that a public release replaces ages over 89."""
    return describe_old_ages(old_ages(plan.records, build_document(plan), "public"))
