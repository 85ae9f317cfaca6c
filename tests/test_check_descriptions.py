"""What a check states of itself: pages, documents, advice and `verify` take it from there, not from lists."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from command import CHECKOUT, run
from test_checks import install

from cxrbuild.artifact import AuditDocument, CheckResult, open_build
from cxrbuild.artifact.audit import UNDESCRIBED, CheckDescription, ImagePair
from cxrbuild.artifact.audit_finding import PairFinding
from cxrbuild.auditing.context import Context, recorded
from cxrbuild.auditing.page_sections import list_sections
from cxrbuild.auditing.registry import CHECKS
from cxrbuild.documents.audit_notes import describe_audit_notes
from cxrbuild.report import Headline, list_headlines, next_step
from cxrbuild.verification import verify

PACKAGE = """
from cxrbuild import Check, Finding, Measurement

SCANNERS = Check(
    "scanners", "No scanner is in two splits.",
    lambda context: [Finding("scanner A is in two splits"), Finding("scanner B is in two splits")],
    "audit", topic="leakage", next_step="Split the images by `scanner`.",
)
SERIES = Check(
    "series", "No series has two images.", lambda context: [Finding("of one series", row="a")], "audit",
    limit=None, topic="duplicates",
)
CLOCK = Check(
    "clock", "The clock does not predict the class.",
    lambda context: Measurement(0.8, "the clock explains 80% of COVID-19", [Finding("the clock")]),
    "audit", limit=0.5, topic="confounding", shortcut="the clock in the corner",
)
PLAIN = Check("plain", "Nothing is plain.", lambda context: [Finding("is plain", "b.csv")], "audit")
WITHIN = Check("within", "Little is odd.", lambda context: Measurement(0.2, "a fifth"), "audit", limit=0.5)
RAISES = Check(
    "raises", "No pair is odd.", lambda context: [Finding(str(1 / 0))], "audit", counted_pairs="all"
)
FAILS = Check(
    "fails", "No pair is blurred.", lambda context: [Finding(str(1 / 0))], "audit", counted_pairs="split",
    topic="duplicates",
)
"""
NAMES = ("scanners", "series", "clock", "plain", "within", "raises", "fails")


@dataclass(frozen=True)
class Audited:
    """A build that was audited with the package, the audit's messages, and the package's folder."""

    build: Path
    messages: str
    site: Path

    def uninstall(self) -> None:
        shutil.rmtree(self.site / "short_checks-1.0.dist-info", ignore_errors=True)
        (self.site / "short_checks.py").unlink(missing_ok=True)
        sys.modules.pop("short_checks", None)


@pytest.fixture
def audited(
    demo: Path, small_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Audited]:
    monkeypatch.syspath_prepend(tmp_path)
    install(tmp_path, **{name: f"short_checks:{name.upper()}" for name in NAMES})
    (tmp_path / "short_checks.py").write_text(PACKAGE)
    build = shutil.copytree(demo / "build", tmp_path / "build")
    ran = run("audit", "--build", build, "--recipe", small_recipe, COLUMNS="300")
    assert ran.status == 3
    yield Audited(build, " ".join(ran.err.split()), tmp_path)
    sys.modules.pop("short_checks", None)


def headlines(build: Path, audit: AuditDocument) -> dict[str, Headline]:
    rows = open_build(build).manifest
    return {one.question: one for one in list_headlines(rows, sorted(set(rows["label"])), audit)}


def test_findings_of_another_package_are_shown_where_those_of_cxrbuild_are(
    audited: Audited, tmp_path: Path
) -> None:
    assert "Split the images by `scanner`." in audited.messages
    assert "`clock` looks at the clock in the corner. If that predicts the class" in audited.messages
    written = json.loads((audited.build / "audit.json").read_bytes())
    # The file records what pages need of the package's checks, and nothing of cxrbuild's own.
    recorded_of = {check["id"]: check["description"] for check in written["checks"] if "description" in check}
    assert set(recorded_of) == set(NAMES)
    assert recorded_of["clock"] == {
        "default_limit": 0.5, "topic": "confounding", "counted_pairs": None,
        "shortcut": "the clock in the corner", "next_step": "",
    }  # fmt: skip

    # Report and card are generated from the file alone: the package is not needed.
    audited.uninstall()
    ran = run("release", "1.0.0", "--build", audited.build, "--out", tmp_path / "release", COLUMNS="300")
    assert ran.status == 0, ran.err
    assert verify(tmp_path / "release").findings == ()
    card = (tmp_path / "release" / "README.md").read_text(encoding="utf-8")
    for sentence in (
        "The check scanners found this: 2 findings. Expected: No scanner is in two splits. This exceeds the "
        "default limit of 0: the check scanners failed.",
        "The check series found this: 1 finding. Expected: No series has two images.",
        "The check clock found this: the clock explains 80% of COVID-19.",
        "The check plain found this: 1 finding.",
        "The check raises found this: short-checks could not make this check: ZeroDivisionError",
    ):
        assert sentence in card
    pages = {
        "audit": (audited.build / "audit.html").read_text(encoding="utf-8"),
        "report": (tmp_path / "release" / "report.html").read_text(encoding="utf-8"),
    }
    for page in pages.values():
        first = page[page.index('id="first"') :].partition("</ul>")[0]
        cards = {
            re.sub(r" <span.*", "", one.partition("</h3>")[0].partition("<h3>")[2], flags=re.DOTALL): one
            for one in first.split("<li ")[1:]
        }
        for question, word, sentence in (
            ("Leakage between splits", "failed", "No scanner is in two splits. Found: 2 findings."),
            ("Duplicates", "failed", "No series has two images. Found: 1 finding."),
            # It counted no pairs.
            ("Duplicates", "failed", "No pair is blurred. Found: short-checks could not make this check"),
            ("Confounding", "failed", "predict the class. Found: the clock explains 80% of COVID-19."),
            ("Other checks", "failed", "Nothing is plain. Found: 1 finding."),
            ("Other checks", "failed", "No pair is odd. Found: short-checks could not make this check"),
        ):
            assert sentence in cards[question], question
            assert f" {word}</span></h3>" in cards[question], question
        assert "Little is odd." not in first
        assert "Split the images by <code>scanner</code>." in page
        assert "<code>clock</code> looks at the clock in the corner." in page
    assert "scanner B is in two splits" in pages["audit"]
    assert 'href="#scanners"' in pages["audit"]


def test_a_check_that_nothing_is_known_of_is_shown_by_its_result_alone(audited: Audited) -> None:
    path = audited.build / "audit.json"
    written = json.loads(path.read_bytes())
    for check in written["checks"]:
        check.pop("description", None)
    path.write_text(json.dumps(written))
    audited.uninstall()
    audit = AuditDocument.read(path)
    # What earlier versions wrote is written again as it was.
    assert audit.to_dict() == written
    found = headlines(audited.build, audit)
    assert found["Leakage between splits"].verdict == "passed"
    assert found["Other checks"].verdict == "failed"
    of_others = " ".join(found["Other checks"].sentences)
    assert "Must hold: No scanner is in two splits. Found: 2 findings." in of_others
    assert "Must hold: The clock does not predict the class." in of_others
    notes = " ".join(describe_audit_notes(audit, {}))
    assert "This exceeds the limit of 0.5: the check clock failed." in notes
    of_package = [check for check in audit.checks if check.id in NAMES]
    assert {next_step(check) for check in of_package} == {""}
    assert all(check.about is UNDESCRIBED for check in of_package)
    sections = {section.check.id: section for section in list_sections(audit, audit.pairs)}
    assert sections["scanners"].messages == ["scanner A is in two splits", "scanner B is in two splits"]


def test_the_pairs_of_another_packages_check_are_shown_with_their_images(audited: Audited) -> None:
    pairs = [
        ImagePair(
            a=a, b=b, kind="same bytes", similarity=1.0, changes=["mirrored"], crosses=["source"], linked=True
        )
        for a, b in (("a", "b"), ("c", "d"))
    ]
    mirrored = recorded(Context.finding_of(pairs[0], "a mirror image"))
    assert mirrored == PairFinding(
        message="a mirror image", a="a", b="b", kind="same bytes", crosses=["source"]
    )
    every = [recorded(Context.finding_of(pair)) for pair in pairs]
    audit = AuditDocument.read(audited.build / "audit.json")
    changes = {
        "duplicates": {"findings": every, "value": 2.0},
        "series": {"findings": [mirrored], "value": 1.0},
    }
    checks = [check.model_copy(update=changes.get(check.id, {})) for check in audit.checks]
    audit = audit.model_copy(update={"checks": checks, "pairs": pairs})
    sections = {section.check.id: section for section in list_sections(audit, pairs)}
    # Under the check that is about fewer pairs than all.
    assert sections["series"].pairs == {"Of one patient": [pairs[0]]}
    assert sections["duplicates"].pairs == {"Of one patient": [pairs[1]]}
    assert sections["duplicates"].elsewhere == {"series": 1}


def test_missing_images_are_on_a_card_of_the_page(audited: Audited) -> None:
    audit = AuditDocument.read(audited.build / "audit.json")
    own = [check for check in audit.checks if check.id not in NAMES]
    assert "Other checks" not in headlines(audited.build, audit.model_copy(update={"checks": own}))
    damaged = {"value": 1.0, "status": "failed", "message": "1 image missing, changed or unreadable"}
    checks = [check.model_copy(update=damaged if check.about.topic is None else {}) for check in own]
    card = headlines(audited.build, audit.model_copy(update={"checks": checks}))["Other checks"]
    assert card.verdict == "failed"
    assert card.sentences == [
        "Must hold: Every image of the manifest is available, with the bytes of the build. "
        "Found: 1 image missing, changed or unreadable."
    ]
    assert card.sections[0] == "image_integrity"


def test_what_a_file_records_of_a_check_is_used_instead_of_what_this_version_knows() -> None:
    check = CheckResult(
        id="duplicates", sentence="", limit=None, value=1, status="reported", message="", findings=[]
    )
    assert check.about.counted_pairs == "all"
    assert check.model_copy(update={"description": CheckDescription()}).about == CheckDescription()


# Where an id is written for another reason than to describe the check.
_ELSEWHERE = {
    # Each check.
    "auditing/registry.py": {check.id for check in CHECKS if not check.id.startswith("probe_")},
    "auditing/probes.py": {check.id for check in CHECKS if check.id.startswith("probe_")},
    # Derives again what these checks find in the manifest.
    "verification/audit_result.py": {"patient_leakage", "shared_patient_ids", "unknown_patients"},
    # A check of `verify` of the same name.
    "verification/registry.py": {"patient_leakage"},
    # A recipe.
    "demo/upstream.py": {check.id for check in CHECKS if check.topic == "confounding"},
    # Topics, of the same name as a check.
    "checks.py": {"duplicates", "confounding"},
    "report/headlines.py": {"duplicates", "confounding"},
    # A part of the report.
    "report/report.html.j2": {"duplicates"},
    "report/audit.html.j2": {"duplicates"},
    # A line of `why`.
    "cli/why.py": {"duplicates"},
    # A key of `plan --json`.
    "curation/plan.py": {"shared_patient_ids"},
    # An example.
    "api/checking.py": {"patient_leakage"},
}


def test_no_other_module_names_a_check_of_the_audit() -> None:
    package = CHECKOUT / "cxrbuild"
    quoted = re.compile(rf"""(["'])({"|".join(check.id for check in CHECKS)})\1""")
    found = {
        (path.relative_to(package).as_posix(), match[2])
        for path in [*package.rglob("*.py"), *package.rglob("*.j2")]
        for match in quoted.finditer(path.read_text(encoding="utf-8"))
    }
    assert found == {(path, name) for path, names in _ELSEWHERE.items() for name in names}
