"""The documentation is true: its code runs, its links lead somewhere, its generated pages are fresh.

Every fenced block of README.md and docs/ is of one of these kinds, and any other is a fault:

- ``bash`` and ``python`` run, in their order, in one folder for each document;
- ``toml`` is written to the file that its first line names in a comment, for the blocks after it to read;
- ``output`` is what the block before it prints;
- ``text`` is neither code nor output.

An HTML comment that begins with ``<!-- bash`` or ``<!-- python`` runs too: it prepares what a reader has
already. The program that runs is this checkout's, but its catalogue declares the demo's small sources, served
on the loopback, instead of the real ones, so that no block needs another network. A block for PyTorch,
torchvision or TorchXRayVision is only compiled where the library cannot be imported: the other blocks of its
page run, and then the test is skipped with the reason. Lines that begin as ``NOT_RUN`` says are checked as
far as can be without running them; no other line is skipped or changed.
"""

from __future__ import annotations

import ast
import csv
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

import pandas as pd
import pytest
import tomli_w
from command import CHECKOUT, run
from libraries import why_unusable
from systems import needs_shell

from cxrbuild.catalog import DEFAULT_RECIPE, read_links, read_recipe, read_source
from cxrbuild.cli.main import cli
from cxrbuild.curation.plan import MEMBERSHIP
from cxrbuild.demo.upstream import make_upstream, serve_upstream

MANIFEST = CHECKOUT / "manifests" / "covid19-cxr" / "1.0.0"
RUN = [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").glob("*.md"))]
WRITTEN = [page for page in RUN if not page.read_text(encoding="utf-8").startswith("<!-- Written by")]
PAGES = [
    *RUN,
    *sorted(CHECKOUT.glob("manifests/**/*.md")),
    CHECKOUT / "CHANGELOG.md",
    CHECKOUT / "CONTRIBUTING.md",
]
BLOCK = re.compile(r"^(?:```(\w*)\n(.*?)^```|<!-- (bash|python)\n(.*?)^-->)$", re.MULTILINE | re.DOTALL)
# These install or check the program itself, or are run by tests of their own, and would take long here.
NOT_RUN = ("python3 -m venv ", "pip install ", "make ", "cxrbuild train-baseline", "cxrbuild explain")


# Pages whose commands other pages or tests run too.
SLOW = (
    "audit.md",
    "citing.md",
    "exporting.md",
    "loading.md",
    "overlap.md",
    "own-data.md",
    "paper-dataset.md",
    "pins.md",
    "published-splits.md",
    "publishing.md",
    "recipes.md",
    "releases.md",
    "reproduction.md",
    "reviewing.md",
    "sources.md",
    "tutorial.md",
    "updating.md",
)


@dataclass(frozen=True)
class Block:
    kind: str
    code: str


def blocks(page: Path) -> list[Block]:
    found = BLOCK.finditer(page.read_text(encoding="utf-8"))
    return [Block(match[1] or match[3] or "", match[2] or match[4] or "") for match in found]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What a reader's shell has: the program, and sources that are small and near."""
    root = tmp_path_factory.mktemp("world")
    made, package = root / "made", root / "package" / "cxrbuild"
    made.mkdir()
    declared = make_upstream(made).parent
    kaggle_of(made / "upstream")
    # With their bytecode: compiling all modules would take seconds.
    shutil.copytree(CHECKOUT / "cxrbuild", package)
    own = ("CXRBUILD_", "KAGGLE_")
    with serve_upstream(made / "upstream") as address:
        declare_instead(package / "catalog", declared, address)
        yield {name: value for name, value in os.environ.items() if not name.startswith(own)} | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(package.parent),
            "KAGGLE_CONFIG_DIR": str(root),
            "HF_HOME": str(root / "huggingface"),
            "HF_HUB_OFFLINE": "1",
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "COLUMNS": "80",
            "UPSTREAM": str(made / "upstream"),
        }


def declare_instead(catalog: Path, declared: Path, address: str) -> None:
    """Declare the demo's sources and recipe under the names of the shipped ones."""
    shipped = read_recipe(DEFAULT_RECIPE)
    recipe = tomllib.loads((declared / "recipe.toml").read_text(encoding="utf-8"))
    for name in shipped.sources:
        source = tomllib.loads((declared / f"{name}.toml").read_text(encoding="utf-8"))
        source["download"]["url"] = f"{address}/{name}.{'zip' if name == 'mooney' else 'tar.gz'}"
        if name == "mooney":
            source["download"]["mirrors"] = {"kaggle": f"{address}/kaggle.zip"}
        (catalog / "sources" / f"{name}.toml").write_text(tomli_w.dumps(source), encoding="utf-8")
        shutil.copy(declared / source["pin"]["listing"], catalog / "sources")
    (reviews,) = shipped.reviews
    recipe |= {
        "name": shipped.name, "version": shipped.version, "sources": shipped.sources, "reviews": [reviews]
    }  # fmt: skip
    (catalog / "recipes" / f"{shipped.name}.toml").write_text(tomli_w.dumps(recipe), encoding="utf-8")
    shutil.copy(declared / "reviews.csv", catalog / "reviews" / f"{reviews}.csv")


def kaggle_of(upstream: Path) -> None:
    """Make Kaggle's archive of the Mooney-like source: the same images, everything twice."""
    with ZipFile(upstream / "mooney.zip") as mendeley, ZipFile(upstream / "kaggle.zip", "w") as kaggle:
        for name in mendeley.namelist():
            if name.startswith("chest_xray/"):
                kaggle.writestr(name, mendeley.read(name))
                kaggle.writestr(f"chest_xray/{name}", mendeley.read(name))


@needs_shell
@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=[pytest.mark.slow] if page.name in SLOW else []) for page in RUN],
    ids=lambda page: page.name,
)
def test_code_runs(page: Path, environment: dict[str, str], tmp_path: Path) -> None:
    fences = re.findall(r"^\s*```", page.read_text(encoding="utf-8"), re.MULTILINE)
    fenced = [block for block in BLOCK.finditer(page.read_text(encoding="utf-8")) if block[3] is None]
    assert len(fences) == 2 * len(fenced), "a fence that this test does not see"
    printed, exports = "", ""
    not_run = []
    for number, block in enumerate(blocks(page), 1):
        if block.kind == "bash":
            printed = ran(
                ["bash", "-euo", "pipefail", "-c", exports + runnable(block.code)], environment, tmp_path
            )
            # A reader stays in one shell.
            exports += "".join(re.findall(r"^export .*\n", block.code, re.MULTILINE))
        elif block.kind == "python" and (reason := why_not_run(block.code)):
            compile(block.code, page.name, "exec")
            not_run.append(f"block {number} ({reason})")
        elif block.kind == "python":
            printed = ran([sys.executable, "-c", block.code], environment, tmp_path)
        elif block.kind == "toml":
            document = tomllib.loads(block.code)
            assert document
            first = block.code.split("\n", 1)[0]
            if first.startswith("# ") and first.endswith(".toml"):
                (tmp_path / first.removeprefix("# ")).write_text(block.code, encoding="utf-8")
        elif block.kind == "output":
            assert printed.strip() == block.code.strip()
        else:
            assert block.kind == "text", f"{page.name}: a block of the unknown kind {block.kind!r}"
    if not_run:
        pytest.skip(f"the other blocks of {page.name} ran; not run: {'; '.join(not_run)}")


def why_not_run(code: str) -> str | None:
    """Return which library of the extra `test-all` that some code names cannot be imported, and why."""
    named = sorted(set(re.findall(r"\w+", code)) & {"torch", "torchvision", "torchxrayvision"})
    return next((reason for name in named if (reason := why_unusable(name))), None)


def test_a_library_that_does_not_fit_is_named_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "misfit.py").write_text("raise RuntimeError('operator misfit::nms does not exist')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    reason = "misfit cannot be imported: RuntimeError: operator misfit::nms does not exist"
    assert why_unusable("misfit") == reason
    assert why_unusable("no_such_library") == "no_such_library is not installed"
    assert why_unusable("json") is None
    assert why_not_run("import json") is None


def runnable(code: str) -> str:
    """Return the lines that run here; of the others check what can be checked."""
    lines = code.splitlines(keepends=True)
    for line in lines:
        if line.startswith(NOT_RUN):
            check_not_run(line)
    return "".join(line for line in lines if not line.startswith(NOT_RUN))


def ran(command: list[str], environment: dict[str, str], folder: Path) -> str:
    """Run a block and return what it prints."""
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command[-1]}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def check_not_run(line: str) -> None:
    """Check what can be checked of a line that does not run here."""
    words = shlex.split(line, comments=True)
    if words[0] == "cxrbuild":
        understood(words[1:])
    if words[0] == "make":
        targets = re.findall(r"^([a-z-]+):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE)
        assert set(words[1:]) <= set(targets), f"{line}: the Makefile has {targets}"
    if words[0] == "pip":
        extras = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        named = {
            extra for word in words for part in re.findall(r"\[(.*)\]", word) for extra in part.split(",")
        }
        assert named <= extras.keys(), f"{line}: the extras are {sorted(extras)}"


def understood(words: list[str]) -> None:
    """Read words as the command line does, and go no further."""
    assert words[0] in cli.commands, f"there is no command {words[0]!r}"
    cli.commands[words[0]].make_context(words[0], words[1:])


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.name)
def test_commands_within_sentences_are_understood(page: Path) -> None:
    prose = BLOCK.sub("", page.read_text(encoding="utf-8"))
    for words in re.findall(r"`cxrbuild ([^`]+)`", prose):
        if not words.startswith("-"):
            understood(shlex.split(words))


def test_generated_pages_are_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    # The pages do not depend on the terminal.
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("CXRBUILD_DATA", "elsewhere")
    monkeypatch.syspath_prepend(str(CHECKOUT / "docs"))
    spec = importlib.util.spec_from_file_location("generate", CHECKOUT / "docs" / "generate.py")
    assert spec
    assert spec.loader
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    for name, text in generate.pages().items():
        assert (CHECKOUT / "docs" / name).read_text(encoding="utf-8") == text, (
            f"stale: docs/{name}; run `make docs`"
        )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(CHECKOUT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    prose = re.sub(r"`[^`\n]*`", "``", BLOCK.sub("", page.read_text(encoding="utf-8")))
    dead = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            dead.append(target)
    assert not dead


def test_messages_name_no_page_by_a_path_of_the_checkout() -> None:
    """A user of the wheel has no folder of documents."""
    named = [
        f"{path.name}, line {node.lineno}"
        for path in sorted((CHECKOUT / "cxrbuild").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and "\n    " not in node.value  # a docstring
        and re.search(r"(?<!/main/)\bdocs/[\w-]+\.md", node.value)
    ]
    assert not named


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", BLOCK.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_is_linked_from_the_readme_or_another() -> None:
    linked = {
        (page.parent / path).resolve()
        for page in PAGES
        for path in re.findall(r"\]\(([^)#\s]+\.md)[^)]*\)", page.read_text(encoding="utf-8"))
    }
    assert set(PAGES) - linked <= {CHECKOUT / "README.md"}


def test_architecture_says_what_each_dependency_is_for() -> None:
    text = (CHECKOUT / "docs" / "architecture.md").read_text(encoding="utf-8")
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = {
        name: lines for name, lines in project["optional-dependencies"].items() if not name.startswith("test")
    }
    written = re.findall(r"^\| ([\w-]+) \| ([a-z0-9]*) ?\| \S.* \|$", text, re.MULTILINE)
    needed = {(library_of(line), "") for line in project["dependencies"]}
    needed |= {(library_of(line), extra) for extra, lines in extras.items() for line in lines}
    assert set(written) - {("library", "extra")} == needed


def library_of(requirement: str) -> str:
    """Return the name of the library that a requirement asks for."""
    return re.split(r"[^\w-]", requirement, maxsplit=1)[0]


def test_manifest_readme_lists_the_annotated_images() -> None:
    with (CHECKOUT / "cxrbuild/catalog/reviews/covid_frontal.csv").open(
        encoding="utf-8", newline=""
    ) as stream:
        seen = {(row["path"], row["note"]) for row in csv.DictReader(stream) if row["marks_finding"] == "yes"}
    written = re.findall(
        r"^\| `(images/[^`]+)` \| (.*) \|$", (MANIFEST / "README.md").read_text(encoding="utf-8"), re.M
    )
    assert len(written) == len(seen) == 29
    assert set(written) == seen


def test_manifest_readme_has_its_columns_and_counts() -> None:
    text = (MANIFEST / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^- `(\w+)`:", text, re.MULTILINE) == list(MEMBERSHIP)
    manifest = pd.read_parquet(MANIFEST / "manifest.parquet")
    found = manifest.groupby(["source", "label", "split"]).size()
    rows = re.findall(r"^\| (\w+) \| ([\w-]+) \| ([\d,]+) \| ([\d,]+) \|$", text, re.MULTILINE)
    written = {
        (source, label, split): int(count.replace(",", ""))
        for source, label, train, test in rows
        for split, count in (("train", train), ("test", test))
    }
    assert written == found.to_dict()


def test_readme_has_the_manifests_counts() -> None:
    manifest = pd.read_parquet(MANIFEST / "manifest.parquet")
    found = pd.crosstab(manifest["label"], manifest["split"])[["train", "test"]]
    found.loc["all"] = found.sum()
    text = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([\w-]+) \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \|", text, re.MULTILINE)
    written = {label: [int(count.replace(",", "")) for count in counts] for label, *counts in rows}
    assert written == {label: [train, test, train + test] for label, train, test in found.itertuples()}


def test_sources_page_has_pins_and_counts() -> None:
    shown = next(block for block in blocks(MANIFEST / "README.md") if block.kind == "output").code
    funnel = {line.split()[0]: line.split()[1:] for line in shown.split("\n\n")[0].splitlines()}
    text = (CHECKOUT / "docs" / "sources.md").read_text(encoding="utf-8")
    for i, name in enumerate(funnel["step"][:-1]):
        row = next(line for line in text.splitlines() if line.startswith(f"| `{name}` |"))
        assert f" | {funnel['upstream'][i]} | {funnel['kept'][i]} | " in row
        pin = read_source(name).pin
        proof = [pin.commit, pin.tree] if pin.tree else [pin.sha256]
        assert all(f" {word[:8]}" in row for word in proof if word)
    assert f" lists {len(read_links('known_duplicates', CHECKOUT))} pairs of images\n" in text


def test_manifest_readme_shows_the_plan(metadata_only: Path) -> None:
    shown = next(block for block in blocks(MANIFEST / "README.md") if block.kind == "output")
    planned = run("plan", "--as-pinned", "--data", metadata_only, COLUMNS="80")
    assert planned.status == 0, planned.err
    assert planned.out.strip() == shown.code.strip()
