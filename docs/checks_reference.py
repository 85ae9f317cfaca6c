"""The page of the checks of `verify` and `audit`: what each checks, and how another package adds one."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from functools import cached_property

from json_reference import meanings_of
from markdown_text import table

from cxrbuild.auditing.context import Context as AuditContext
from cxrbuild.auditing.registry import CHECKS as AUDIT_CHECKS
from cxrbuild.checks import Check
from cxrbuild.lists.context import ListContext
from cxrbuild.lists.registry import CHECKS as LIST_CHECKS
from cxrbuild.verification.context import Context as VerifyContext
from cxrbuild.verification.registry import CHECKS as VERIFY_CHECKS

_PACKAGE = """```text
# pyproject.toml
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "my-checks"
version = "1.0"
dependencies = ["cxrbuild"]

[project.entry-points."cxrbuild.checks"]
ages_known = "my_checks:AGES_KNOWN"
large_images = "my_checks:LARGE_IMAGES"

[tool.setuptools]
py-modules = ["my_checks"]
```

```text
# my_checks.py
from cxrbuild import Check, Finding


def find_unknown_ages(context):
    for image in context.manifest.loc[context.manifest["patient_age"].isna(), "image_id"]:
        yield Finding("patient_age is null", "manifest.parquet", image)


def find_small_images(context):
    for image in context.rows.loc[context.rows["width"] < 512, "image_id"]:
        yield Finding("is narrower than 512 pixels", "manifest.parquet", image)


AGES_KNOWN = Check("ages_known", "Every patient's age is known.", find_unknown_ages, "verify")
LARGE_IMAGES = Check(
    "large_images", "No image is narrower than 512 pixels.", find_small_images, "audit",
    next_step="Exclude these images by a rule of the recipe.",
)
```"""


def checks() -> Iterator[str]:
    """Yield the paragraphs of the page."""
    yield (
        "Each command makes its checks in the order of its table. A check with nothing to look at is *not "
        "applicable*. `--json` lists each check with its status, and each finding with the id of its check."
    )
    yield "## Checks of `verify`"
    yield (
        "Any finding is a failure. `card` is not applicable where the card is generated again and compared "
        "line by line."
    )
    yield table(
        ["check", "what holds", "folders"],
        (
            [f"`{check.id}`", check.sentence, ", ".join(sorted(check.applies_to, reverse=True))]
            for check in VERIFY_CHECKS
        ),
    )
    yield "## Checks of `audit`"
    yield (
        "A check fails if it finds more than its limit; without a limit it only reports. A recipe sets other "
        "limits by the ids of the checks: [audit](audit.md#the-checks). The topic names the card at the top "
        "of the audit's page and of a release's report that states what the check found."
    )
    yield table(
        ["check", "what holds", "limit", "topic"],
        (
            [
                f"`{check.id}`",
                check.sentence,
                "none" if check.limit is None else f"{check.limit:g}",
                check.topic or "none",
            ]
            for check in AUDIT_CHECKS
        ),
    )
    yield "## Checks of `audit --list`"
    yield (
        "Any finding is a failure. A check is made if what it needs is there: the metadata of the sources, "
        "images in `--data`, or the dataset of `--with`. [Auditing a list](auditing-lists.md) explains them."
    )
    yield table(
        ["check", "what holds", "needs"],
        ([f"`{check.id}`", check.sentence, check.needs] for check in LIST_CHECKS),
    )
    yield "## Add a check"
    yield (
        "A package adds a check by an entry point in the group `cxrbuild.checks`: its name is the id, "
        "its object a `cxrbuild.Check`. The function takes the context of its command. "
        "It yields findings, or returns a `cxrbuild.Measurement`, and raises "
        "`cxrbuild.NotApplicable` where it has nothing to look at. A check that raises another error failed, "
        "whatever its limit; all others are made. A check with a wrong attribute is "
        "refused before any check is made. These two files are a whole package, with "
        "a check of `verify` and one of `audit`; `pip install` of their folder adds both. "
        "The third command is `audit --list`: a check of it looks at every row. A finding is listed with its "
        "row and message."
    )
    yield _PACKAGE
    yield (
        "A `Check` is the one place that describes a check. Pages, documents, advice and `verify` read "
        "these attributes, and no list of ids:"
    )
    yield table(
        ["attribute", "what it is"], [[f"`{name}`", text] for name, text in meanings_of(Check).items()]
    )
    yield (
        "Only `id`, `sentence`, `run` and `command` are required. Without the others, a check of `audit` "
        "that found something has its part of the audit's page, its row in the report, a sentence in the "
        "release's `README.md`, and one under *Other checks* at the top of both pages; it has no next step. "
        "`context.finding_of(pair)` returns the finding of one of `context.pairs`: the audit's page then "
        "shows both images."
    )
    yield (
        "`audit.json` records these attributes of a check of another package (`description`), so a build "
        "can be released and a release verified where the package is not installed. cxrbuild's own checks "
        "are known by their ids. A check that is neither, as in an `audit.json` of an earlier version, is "
        "treated as one without the optional attributes."
    )
    yield "## The context of `verify`"
    yield (
        "Each attribute is read when it is first used. Where its file cannot be used, the check is *not "
        "applicable*, and the check of that file reports why."
    )
    yield table(["attribute", "what it is"], [[f"`{name}`", text] for name, text in _verify_attributes()])
    yield "## The context of `audit`"
    attributes = meanings_of(AuditContext).items()
    yield table(["attribute", "what it is"], [[f"`{name}`", text] for name, text in attributes])
    yield "## The context of `audit --list`"
    attributes = meanings_of(ListContext).items()
    yield table(["attribute", "what it is"], [[f"`{name}`", text] for name, text in attributes])


def _verify_attributes() -> Iterator[tuple[str, str]]:
    """Yield the parameters that stay attributes, and what is read; not the findings of reading."""
    yield "folder", "The folder."
    yield "kind", "What it is: `build`, `release` or `images`."
    for name, value in vars(VerifyContext).items():
        getter = value.fget if isinstance(value, property) else None
        if isinstance(value, cached_property):
            getter = value.func
        if getter is not None and not name.startswith("_") and not name.endswith(("_read", "_reads")):
            text = inspect.getdoc(getter) or ""
            yield name, " ".join(text.split("\n\n")[0].replace("``", "`").split())
