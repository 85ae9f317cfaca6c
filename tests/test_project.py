"""The files around the program agree with it and with each other: Makefile, workflows, citation, forms."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import yaml
from command import CHECKOUT

from cxrbuild import __version__

GITHUB = CHECKOUT / ".github"
CI, RELEASE = GITHUB / "workflows" / "ci.yml", GITHUB / "workflows" / "release.yml"
WORKFLOWS = sorted(GITHUB.glob("workflows/*.yml"))
FORMS = sorted(path for path in GITHUB.glob("ISSUE_TEMPLATE/*.yml") if path.name != "config.yml")
PYPROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT, URLS = PYPROJECT["project"], PYPROJECT["project"]["urls"]
MAKEFILE = (CHECKOUT / "Makefile").read_text(encoding="utf-8")
TARGETS = re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE)
RUNNERS = {
    "ubuntu-latest": "POSIX :: Linux",
    "macos-latest": "MacOS",
    "windows-latest": "Microsoft :: Windows",
}


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def classified(prefix: str) -> set[str]:
    """Return the ends of the classifiers that begin with a prefix."""
    return {line.removeprefix(prefix) for line in PROJECT["classifiers"] if line.startswith(prefix)}


def jobs(workflow: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    return iter(read(workflow)["jobs"].items())


def steps(workflow: Path) -> Iterator[dict[str, Any]]:
    return (step for _, job in jobs(workflow) for step in job.get("steps", ()))


def hooks() -> list[tuple[str, dict[str, Any]]]:
    """Return the hooks of pre-commit, each with the repository it comes from."""
    repos = read(CHECKOUT / ".pre-commit-config.yaml")["repos"]
    return [(repo["repo"], hook) for repo in repos for hook in repo["hooks"]]


def commands_of(path: Path) -> list[str]:
    """Return the commands that a workflow, the hooks or a document names."""
    if path in WORKFLOWS:
        return [line for step in steps(path) for line in step.get("run", "").splitlines()]
    if path.name == ".pre-commit-config.yaml":
        return [hook["entry"] for _, hook in hooks() if "entry" in hook]
    text = path.read_text(encoding="utf-8")
    return re.findall(r"`([^`\n]+)`", text) + [line.strip() for line in text.splitlines()]


# -- make


@pytest.mark.parametrize(
    "name",
    [
        ".github/workflows/ci.yml",
        ".github/workflows/release.yml",
        ".github/PULL_REQUEST_TEMPLATE.md",
        ".pre-commit-config.yaml",
        "CONTRIBUTING.md",
        "README.md",
    ],
)
def test_make_targets_exist(name: str) -> None:
    commands = commands_of(CHECKOUT / name)
    named = {match[1] for line in commands if (match := re.match(r"make ([a-z-]+)(?=$| [A-Z]+=)", line))}
    assert named, f"{name}: names no target of the Makefile"
    assert named <= set(TARGETS)


def test_every_command_is_a_phony_target() -> None:
    phony = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert phony
    assert sorted(phony[1].split()) == sorted(TARGETS)


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(("system", "programs"), [("Linux", "bin"), ("Windows_NT", "Scripts")])
def test_make_finds_the_programs_of_each_system(
    system: str, programs: str, target: str, tmp_path: Path
) -> None:
    # A make around the tests would hand its own options and variables to this one.
    env = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    python, venv = Path(sys.executable).as_posix(), (tmp_path / "venv").as_posix()
    done = subprocess.run(
        ["make", "--dry-run", target, f"OS={system}", f"VENV={venv}", f"PYTHON={python}", "TAG=v1.2.3"],
        cwd=CHECKOUT, env=env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    used = set(re.findall(rf"{re.escape(venv)}/(\w+)/", done.stdout))
    assert used == (set() if target == "check-version" else {programs})


# -- pytest


@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="one process runs all tests")
def test_one_worker_runs_a_group_of_tests(request: pytest.FixtureRequest) -> None:
    """pytest-xdist is silent where it cannot form groups; then each worker builds every fixture."""
    assert request.node.nodeid.endswith("@test_project")


# -- systems


def imported_at_once(path: Path) -> set[str]:
    """Return the modules that a file imports when it is imported itself."""
    found: set[str] = set()
    pending: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Import):
            found |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            pending += ast.iter_child_nodes(node)
    return found


def test_no_file_needs_a_module_that_windows_lacks() -> None:
    files = [*CHECKOUT.glob("cxrbuild/**/*.py"), *CHECKOUT.glob("tests/**/*.py")]
    files = [path for path in files if path.parent.name != "benchmarks"]
    lacking = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}
    needed = {path.relative_to(CHECKOUT).as_posix(): imported_at_once(path) & lacking for path in files}
    assert {name: modules for name, modules in needed.items() if modules} == {}
    assert imported_at_once(Path(__file__)) >= {"ast", "pytest", "cxrbuild"}


# -- workflows


def test_ci_runs_the_tests_on_the_systems_and_versions_of_the_classifiers() -> None:
    job = read(CI)["jobs"]["test"]
    matrix = job["strategy"]["matrix"]
    assert set(matrix["python"]) == {
        end for end in classified("Programming Language :: Python :: ") if re.fullmatch(r"3\.\d+", end)
    }
    assert {RUNNERS[name] for name in matrix["os"]} == classified("Operating System :: ")
    assert job["runs-on"] == "${{ matrix.os }}"
    assert "${{ matrix.python }}" in {step.get("with", {}).get("python-version") for step in job["steps"]}
    assert "make test" in {step.get("run") for step in job["steps"]}


def test_ci_reports_the_coverage_every_week() -> None:
    document = read(CI)
    runs = [step.get("run") for step in document["jobs"]["coverage"]["steps"]]
    assert "make coverage" in runs
    # YAML 1.1 reads the key `on` as true.
    assert document[True]["schedule"]
    assert "'schedule'" in document["jobs"]["coverage"]["if"]
    # What the job adds to the summary of the run is what the Makefile writes.
    assert runs.index("make coverage") < runs.index('cat .venv/coverage.md >> "$GITHUB_STEP_SUMMARY"')
    assert "coverage report --format=markdown > $(VENV)/coverage.md" in MAKEFILE
    assert "VENV ?= .venv\n" in MAKEFILE


def test_the_lowest_version_of_python_is_the_same_everywhere() -> None:
    lowest = PROJECT["requires-python"].removeprefix(">=")
    assert lowest == min(read(CI)["jobs"]["test"]["strategy"]["matrix"]["python"], key=lambda v: int(v[2:]))
    assert PYPROJECT["tool"]["ruff"]["target-version"] == f"py{lowest.replace('.', '')}"


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_may_write_nothing_but_the_identity_that_pypi_trusts(workflow: Path) -> None:
    document = read(workflow)
    assert document["permissions"] in ({}, {"contents": "read"})
    for name, job in jobs(workflow):
        writes = {scope for scope, access in job.get("permissions", {}).items() if access != "read"}
        assert writes == ({"id-token"} if (workflow, name) == (RELEASE, "publish") else set())


def test_actions_are_pinned_to_one_commit_each() -> None:
    pins: dict[str, set[str]] = {}
    for workflow in WORKFLOWS:
        text = workflow.read_text(encoding="utf-8")
        pinned = re.findall(r"uses: ([\w/-]+)@([0-9a-f]{40}) # (v\d+\.\d+\.\d+)$", text, re.MULTILINE)
        assert len(pinned) == sum("uses" in step for step in steps(workflow))
        for action, commit, version in pinned:
            pins.setdefault(action, set()).add(f"{commit} {version}")
    assert {action: pin for action, pin in pins.items() if len(pin) > 1} == {}


def test_nothing_is_published_that_was_not_tested() -> None:
    document = read(RELEASE)
    assert set(document["jobs"]["publish"]["needs"]) == document["jobs"].keys() - {"publish"}
    assert document["jobs"]["test"]["uses"] == f"./{CI.relative_to(CHECKOUT).as_posix()}"
    # YAML 1.1 reads the key `on` as true.
    (pattern,) = document[True]["push"]["tags"]
    assert fnmatchcase(f"v{__version__}", pattern.replace("+", "*"))


# -- version


@pytest.fixture
def ready(tmp_path: Path) -> Path:
    """A checkout whose version 9.8.7 is ready for release, as far as the check of the version reads it."""
    changes = {
        "cxrbuild/__init__.py": (__version__, "9.8.7"),
        "CITATION.cff": (f"version: {__version__}\n", "version: 9.8.7\ndate-released: 2031-02-03\n"),
        "CHANGELOG.md": ("## [Unreleased]\n", "## [Unreleased]\n\n## [9.8.7] - 2031-02-03\n"),
        ".github/check_version.py": ("", ""),
    }
    for name, (before, after) in changes.items():
        text = (CHECKOUT / name).read_text(encoding="utf-8")
        if name == "CITATION.cff":
            text = re.sub(r"^date-released: .*\n", "", text, flags=re.MULTILINE)
        assert before in text
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text.replace(before, after, 1), encoding="utf-8")
    return tmp_path


def checked(checkout: Path, *words: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, checkout / ".github" / "check_version.py", *words],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stderr


def test_a_version_that_agrees_everywhere_is_ready(ready: Path) -> None:
    assert checked(ready, "v9.8.7") == (0, "")


@pytest.mark.parametrize(
    ("file", "before", "after", "message"),
    [
        ("cxrbuild/__init__.py", "9.8.7", "9.8.6", "expected the version of the tag v9.8.7; found 9.8.6"),
        ("CITATION.cff", "version: 9.8.7\n", "version: 9.8.6\n", "expected version: 9.8.7; found 9.8.6"),
        ("CITATION.cff", "2031-02-03", "2031-02-04", "expected date-released: 2031-02-03"),
        ("CITATION.cff", "date-released: 2031-02-03\n", "", "found None"),
        ("CHANGELOG.md", "## [9.8.7] - 2031-02-03\n", "", "expected a heading `## [9.8.7] - YYYY-MM-DD`"),
        ("CHANGELOG.md", " - 2031-02-03", "", "expected a heading `## [9.8.7] - YYYY-MM-DD`"),
    ],
)
def test_a_version_that_differs_somewhere_is_not_ready(
    ready: Path, file: str, before: str, after: str, message: str
) -> None:
    text = (ready / file).read_text(encoding="utf-8")
    assert before in text
    (ready / file).write_text(text.replace(before, after, 1), encoding="utf-8")
    status, error = checked(ready, "v9.8.7")
    assert status == 1
    assert f"{file}: " in error
    assert message in error


@pytest.mark.parametrize("words", [(), ("v9.8.7", "v9.8.8"), ("9.8.7",)])
def test_a_tag_is_needed_to_check_a_version(ready: Path, words: tuple[str, ...]) -> None:
    status, error = checked(ready, *words)
    assert status == 1
    assert ("usage: make check-version TAG=" in error) == (len(words) != 1)


def test_the_citation_is_of_this_program() -> None:
    citation = read(CHECKOUT / "CITATION.cff")
    assert citation["version"] == __version__
    assert citation["license"] == PROJECT["license"]
    assert citation["keywords"] == PROJECT["keywords"]
    assert citation["authors"] == PROJECT["authors"]
    assert citation["abstract"] == f"{PROJECT['description']}."
    assert citation["repository-code"] == URLS["Repository"]
    assert citation["url"] == URLS["Homepage"]


# -- addresses and paths


def test_addresses_are_of_one_repository() -> None:
    home = URLS["Homepage"]
    assert {name for name, url in URLS.items() if url != home and not url.startswith(f"{home}/")} == set()
    files = [path for path in GITHUB.rglob("*") if path.is_file()] + [
        path for path in CHECKOUT.iterdir() if path.suffix in {".cff", ".md", ".toml"}
    ]
    found = {
        path.name: address
        for path in files
        for address in re.findall(r"https://github\.com/[\w.-]+/cxrbuild\b", path.read_text(encoding="utf-8"))
    }
    assert {"CITATION.cff", "config.yml", "pyproject.toml"} <= found.keys()
    assert {name: address for name, address in found.items() if address != home} == {}


def test_addresses_of_files_lead_to_files_of_this_checkout() -> None:
    links = read(GITHUB / "ISSUE_TEMPLATE" / "config.yml")["contact_links"]
    addresses = [*URLS.values(), *(link["url"] for link in links)]
    paths = {match[1] for url in addresses if (match := re.search(r"/(?:blob|tree)/main/(.+)$", url))}
    assert paths
    assert {path for path in paths if not (CHECKOUT / path).exists()} == set()


@pytest.mark.parametrize("name", ["SECURITY.md", ".github/PULL_REQUEST_TEMPLATE.md"])
def test_files_that_are_named_exist(name: str) -> None:
    text = (CHECKOUT / name).read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r"`([\w/]+\.(?:md|toml|py))`", text)
    # A page of GitHub, relative to the address of the file there.
    local = {path for path in targets if not path.startswith(("https:", "../../security/"))}
    assert {path for path in local if not ((CHECKOUT / name).parent / path).exists()
            and not (CHECKOUT / path).exists()} == set()  # fmt: skip
    assert targets


def test_the_sdist_names_files_that_exist() -> None:
    named = PYPROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    assert {path for path in named if not (CHECKOUT / path.removeprefix("/")).exists()} == set()
    read_here = {"/Makefile", "/.github", "/.pre-commit-config.yaml", "/CITATION.cff", "/SECURITY.md"}
    assert read_here <= set(named)


# -- hooks and templates


def test_hooks_are_pinned_and_named_once() -> None:
    document = read(CHECKOUT / ".pre-commit-config.yaml")
    pins = {repo["repo"]: repo.get("rev", "") for repo in document["repos"] if repo["repo"] != "local"}
    assert {repo for repo, rev in pins.items() if not re.fullmatch(r"v\d+\.\d+\.\d+", rev)} == set()
    ids = [hook["id"] for _, hook in hooks()]
    assert len(ids) == len(set(ids))
    assert {"ruff-check", "ruff-format", "mypy", "check-toml", "check-yaml", "end-of-file-fixer"} <= set(ids)


def test_hooks_match_files_that_exist() -> None:
    files = [
        path.relative_to(CHECKOUT).as_posix()
        for folder in ("cxrbuild", "tests")
        for path in (CHECKOUT / folder).rglob("*")
    ]
    for _, hook in hooks():
        for key in {"files", "exclude"} & hook.keys():
            assert any(re.search(hook[key], file) for file in files), f"{hook['id']}: {key}"


@pytest.mark.parametrize("form", FORMS, ids=lambda path: path.name)
def test_forms_ask_for_each_thing_once(form: Path) -> None:
    document = read(form)
    fields = [field for field in document["body"] if field["type"] != "markdown"]
    ids = [field["id"] for field in fields]
    assert len(ids) == len(set(ids))
    assert len({field["attributes"]["label"] for field in fields}) == len(fields)
    assert any(field.get("validations", {}).get("required") for field in fields)


def test_a_bug_report_has_what_a_maintainer_needs() -> None:
    fields = {field.get("id"): field for field in read(GITHUB / "ISSUE_TEMPLATE" / "bug.yml")["body"]}
    assert {"command", "message", "version", "lock"} <= fields.keys()
    assert fields["version"]["attributes"]["placeholder"].startswith("cxrbuild, version ")
    assert "`cxrbuild --version`" in fields["version"]["attributes"]["description"]


@pytest.mark.parametrize("name", ["bug.yml", "config.yml", "data.yml"])
def test_an_identity_is_reported_in_private(name: str) -> None:
    text = (GITHUB / "ISSUE_TEMPLATE" / name).read_text(encoding="utf-8")
    assert f"{URLS['Repository']}/security/advisories/new" in text
