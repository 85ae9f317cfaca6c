"""The framework of checks: findings, limits, and checks of other packages."""

from __future__ import annotations

import json
import re
import shutil
import sys
import tomllib
from pathlib import Path

import pytest
from command import CHECKOUT, run

import cxrbuild
from cxrbuild.checks import Check, Finding, Measurement, NotApplicable, evaluate, registered_checks
from cxrbuild.errors import CxrbuildError

MODULE = """
from cxrbuild import Check, Finding, Measurement


def find_short_names(context):
    for name in context:
        if len(name) < 3:
            yield Finding("is a short name", file=name)


SHORT = Check("short_names", "Every name has three letters.", find_short_names, "verify")
LISTED = Check(
    "no_gif", "No file is a GIF.",
    lambda context: (Finding("is a GIF", row=path) for path in context.rows["path"] if path.endswith("gif")),
    "audit --list",
    next_step="Convert it to PNG.",
)
SHARE = Check("share", "Little is shared.", lambda context: Measurement(0.5, "half"), "audit", limit=0.2)
"""


def install(folder: Path, name: str = "short_checks", **entries: str) -> None:
    """Install a package with entry points into a folder, as pip does."""
    (folder / f"{name}.py").write_text(MODULE)
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: 1.0\n")
    lines = [f"{entry} = {value}" for entry, value in entries.items()]
    (info / "entry_points.txt").write_text("\n".join(["[cxrbuild.checks]", *lines, ""]))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in ("short_checks", "more_checks", "my_checks"):
        sys.modules.pop(name, None)


def own(_: list[str]) -> list[Finding]:
    return []


OWN = Check("own", "Holds.", own, "verify")


def test_findings_are_counted_and_carry_the_checks_id() -> None:
    check = Check("two", "No two.", lambda names: [Finding("is bad", file=name) for name in names], "verify")
    result = evaluate(check, ["a", "b"], limit=1)
    assert (result.value, result.status, result.message) == (2, "failed", "2 findings")
    assert [finding.to_dict() for finding in result.findings] == [
        {"check": "two", "file": name, "row": None, "message": "is bad"} for name in "ab"
    ]
    assert str(result.findings[0]) == "a: is bad"
    assert evaluate(check, ["a", "b"], limit=2).status == "passed"
    assert evaluate(check, ["a", "b"], limit=None).status == "reported"
    assert evaluate(check, [], limit=0).to_dict() == {
        "id": "two", "sentence": "No two.", "limit": 0, "value": 0, "status": "passed",
        "message": "no finding",
    }  # fmt: skip


def test_a_check_that_does_not_apply_neither_passes_nor_fails() -> None:
    def run(_: list[str]) -> list[Finding]:
        raise NotApplicable("there are no shards")

    for check in (
        Check("shards", "Shards are whole.", run, "verify"),
        Check("shards", "", lambda _: Measurement(None, "there are no shards"), "verify"),
    ):
        result = evaluate(check, [], limit=0)
        assert (result.status, result.message, result.findings) == (
            "not applicable",
            "there are no shards",
            (),
        )


def test_another_package_adds_checks_for_each_command(site: Path) -> None:
    install(site, short_names="short_checks:SHORT", share="short_checks:SHARE")
    first, second = registered_checks("verify", [OWN])
    assert first is OWN
    result = evaluate(second, ["image", "ab"], limit=second.limit)
    assert [str(finding) for finding in result.findings] == ["ab: is a short name"]
    (share,) = registered_checks("audit", [])
    assert evaluate(share, None, limit=share.limit).status == "failed"


def test_another_package_adds_a_check_of_lists(site: Path) -> None:
    install(site, no_gif="short_checks:LISTED")
    (site / "list.csv").write_text("file,label,split\na.gif,Normal,train\nb.png,Normal,test\n")
    result = cxrbuild.audit_lists([site / "list.csv"])
    (check,) = (one for one in result.checks if one.id == "no_gif")
    assert check.rows == 2
    assert [finding.to_dict() for finding in check.findings or ()] == [
        {"message": "a.gif: is a GIF", "rows": [], "kind": "", "images": []}
    ]
    assert not result.passed
    ran = run("audit", "--list", site / "list.csv", "--data", site / "none")
    assert ran.status == 3
    assert "the lists have findings: no_gif. Convert it to PNG" in " ".join(ran.err.split())


@pytest.mark.parametrize(
    ("entry", "value", "message"),
    [
        (
            "broken",
            "not_there:CHECK",
            "it cannot be imported: ModuleNotFoundError: No module named 'not_there'",
        ),
        ("wrong", "pathlib:Path", "it is a type, not a cxrbuild Check"),
        (
            "other",
            "short_checks:SHORT",
            "its id is 'short_names'; entry point and id must have the same name",
        ),
    ],
)
def test_an_unusable_check_is_an_error_that_names_its_package(
    site: Path, entry: str, value: str, message: str
) -> None:
    install(site, **{entry: value})
    with pytest.raises(CxrbuildError, match=re.escape(message)) as refused:
        registered_checks("verify", [OWN])
    assert f"the check '{entry}' of short-checks cannot be used" in str(refused.value)


@pytest.mark.parametrize(
    ("attribute", "problem"),
    [
        (
            "topic='shortcuts'",
            "topic is 'shortcuts', not one of 'leakage', 'duplicates', 'confounding', None",
        ),
        (
            "counted_pairs='some'",
            "counted_pairs is 'some', not one of 'split', 'label', 'unlinked', 'all', None",
        ),
        ("command='audits'", "command is 'audits', not one of 'verify', 'audit', 'audit --list'"),
        ("next_step=None", "next_step is None, not a text"),
        ("limit='3'", "limit is '3', not a number or None"),
        ("limit=float('nan')", "limit is nan, not a number or None"),
    ],
)
def test_a_wrong_attribute_is_an_error_before_the_checks_are_made(
    site: Path, attribute: str, problem: str
) -> None:
    install(site, odd="short_checks:ODD")
    values = "id='odd', sentence='None.', run=list, command='audit'"
    (site / "short_checks.py").write_text(
        f"from cxrbuild import Check\n\nODD = Check(**(dict({values}) | dict({attribute})))\n"
    )
    with pytest.raises(CxrbuildError, match=re.escape(f"of short-checks cannot be used: its {problem}")):
        registered_checks("audit", [])
    if "command" not in attribute:
        # Other commands do not make it.
        assert registered_checks("verify", []) == ()


def test_sentences_of_another_package_end_with_one_period(site: Path) -> None:
    install(site, odd="short_checks:ODD")
    (site / "short_checks.py").write_text(
        "from cxrbuild import Check, Measurement\n\nODD = Check('odd', 'None', "
        "lambda context: Measurement(2, 'Two.'), 'audit', next_step='Look at them')\n"
    )
    (check,) = registered_checks("audit", [])
    assert (check.sentence, check.next_step, check.shortcut) == ("None.", "Look at them.", "")
    assert evaluate(check, [], limit=0).message == "Two"


def test_two_checks_with_one_id_are_refused(site: Path) -> None:
    install(site, short_names="short_checks:SHORT")
    with pytest.raises(CxrbuildError, match="another check has the id 'short_names'"):
        registered_checks("verify", [Check("short_names", "Holds.", own, "verify")])
    install(site, "more_checks", short_names="more_checks:SHORT")
    with pytest.raises(CxrbuildError, match="another check has the id 'short_names'"):
        registered_checks("verify", [OWN])


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("yield Finding(str(1 / 0))", "ZeroDivisionError: division by zero"),
        ("raise CxrbuildError('no table', where='a.csv')", "a.csv: no table"),
        ("return ['text']", "TypeError: found a str, not a cxrbuild Finding"),
        ("return None", "TypeError: 'NoneType' object is not iterable"),
        ("return [Finding('a', data={'at': {1}})]", "TypeError: Object of type set is not JSON serializable"),
        ("return Measurement(float('nan'), 'none')", "ValueError: Out of range float values"),
        ("return Measurement('3', 'three')", "TypeError: the value is '3', not a number"),
        ("return Measurement(3, 3)", "TypeError: the message is 3, not a text"),
        ("return [Finding('a', row=5)]", "TypeError: the row of a finding is 5, not a text"),
        ("raise ValueError('two\\nlines')", "ValueError: two\\nlines"),
    ],
)
@pytest.mark.parametrize("limit", [None, 0, 5])
def test_a_check_that_raises_failed_whatever_its_limit(
    body: str, said: str, limit: float | None, site: Path
) -> None:
    install(site, fails="short_checks:FAILS")
    (site / "short_checks.py").write_text(
        "from cxrbuild import Check, CxrbuildError, Finding, Measurement\n\n\n"
        f"def fail(context):\n    {body}\n\n\nFAILS = Check('fails', 'Never holds.', fail, 'verify')\n"
    )
    (check,) = registered_checks("verify", [])
    result = evaluate(check, [], limit=limit)
    assert (result.status, result.value, result.limit) == ("failed", 1, 0)
    assert result.message.startswith(f"short-checks could not make this check: {said}")
    assert [(finding.check, finding.message) for finding in result.findings] == [("fails", result.message)]


def test_findings_name_their_package_and_the_other_checks_are_made_and_written_where_one_raises(
    site: Path, demo: Path, small_recipe: Path
) -> None:
    code = """
from cxrbuild import Check, Finding
BROKEN = Check("broken", "None.", lambda context: [Finding(str(1 / 0))], "verify")
BROKEN_AUDIT = Check("broken_audit", "None.", lambda context: [Finding(str(1 / 0))], "audit", limit=None)
FOUND = Check("found", "None.", lambda context: [Finding("is bad", "a.csv", "b")], "verify")
ROWS = Check("rows", "None.", lambda context: [Finding("is bad", "c.csv", "d")], "audit")
"""
    names = ("broken", "broken_audit", "found", "rows")
    install(site, **{name: f"short_checks:{name.upper()}" for name in names})
    (site / "short_checks.py").write_text(code)
    build = shutil.copytree(demo / "build", site / "build")
    (build / "funnel.csv").write_text("x")
    ran = run("verify", build, COLUMNS="300")
    assert ran.status == 3
    assert "funnel.csv: " in ran.err
    assert "short-checks could not make this check: ZeroDivisionError: division by zero" in ran.err
    assert "(broken of short-checks)" in ran.err
    assert "a.csv: b: is bad (found of short-checks)" in ran.err
    checks = json.loads(run("verify", build, "--json").out)["checks"]
    failed = {check["id"] for check in checks if check["status"] == "failed"}
    assert failed == {"broken", "file_hashes", "found"}
    ran = run("audit", "--build", build, "--recipe", small_recipe, COLUMNS="300")
    assert ran.status == 3
    assert "broken_audit of short-checks: short-checks could not make this check: Zero" in ran.err
    assert "rows of short-checks: 1 finding (at most 0)" in ran.err
    assert "c.csv: d: is bad" in ran.err
    written = json.loads((build / "audit.json").read_bytes())
    status = {check["id"]: check["status"] for check in written["checks"]}
    assert (status["broken_audit"], status["rows"], status["patient_leakage"]) == (
        "failed",
        "failed",
        "passed",
    )
    assert written["status"] == "failed"


@pytest.mark.slow
def test_the_package_of_the_documentation_works(site: Path, demo: Path, small_recipe: Path) -> None:
    page = (CHECKOUT / "docs" / "checks.md").read_text(encoding="utf-8")
    files = dict(re.findall(r"^```text\n# (\S+)\n(.*?)^```", page, re.DOTALL | re.M))
    project = tomllib.loads(files["pyproject.toml"])
    entries = project["project"]["entry-points"]["cxrbuild.checks"]
    install(site, "my_checks", **entries)
    for name in project["tool"]["setuptools"]["py-modules"]:
        (site / f"{name}.py").write_text(files[f"{name}.py"])
    build = shutil.copytree(demo / "build", site / "build")
    found = " ".join(run("verify", build).err.split())
    assert "patient_age is null (ages_known of my-checks)" in found
    ran = run("audit", "--build", build, "--recipe", small_recipe)
    assert re.search(r"large_images of my-checks: \d+ findings? \(at most 0\)", " ".join(ran.err.split()))
