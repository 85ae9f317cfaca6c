"""The notebook runs, and the files that package the program agree with `pyproject.toml`."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from command import CHECKOUT

PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
NOTEBOOK = CHECKOUT / "docs" / "tutorial.ipynb"
CONDA = CHECKOUT / "packaging" / "conda" / "recipe.yaml"


@pytest.mark.slow
def test_the_notebook_runs(tmp_path: Path) -> None:
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert not any(cell.get("outputs") for cell in notebook["cells"])
    # As a kernel does: cells in order, in one namespace. The last expression of a cell is shown, see `show`.
    (tmp_path / "run.py").write_text(
        "import ast, json, pathlib\n"
        "names = {'__name__': '__main__'}\n"
        "if __name__ == '__main__':\n"
        "    for cell in json.loads(pathlib.Path('cells.json').read_text()):\n"
        "        body = ast.parse(cell).body\n"
        "        last = body.pop() if isinstance(body[-1], ast.Expr) else None\n"
        "        exec(compile(ast.Module(body, []), 'cell', 'exec'), names)\n"
        "        if last is not None:\n"
        "            value = eval(compile(ast.Expression(last.value), 'cell', 'eval'), names)\n"
        "            html = getattr(value, '_repr_html_', None)\n"
        "            print(html() if html else repr(value))\n"
    )
    (tmp_path / "cells.json").write_text(json.dumps(cells))
    done = subprocess.run(
        [sys.executable, "run.py"], cwd=tmp_path, capture_output=True, text=True, check=False,
        env=os.environ | {"PYTHONPATH": str(CHECKOUT), "PYTHONWARNINGS": "error"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "<td>diagnosis</td>" in done.stdout
    assert (tmp_path / "release" / "clinic-cxr-0.1.0" / "report.html").is_file()


def test_the_conda_recipe_requires_what_the_wheel_requires() -> None:
    recipe = yaml.safe_load(CONDA.read_text(encoding="utf-8"))
    wanted = {re.split(r"[^\w-]", line, maxsplit=1)[0]: line for line in PROJECT["dependencies"]}
    found = {line.split()[0]: line for line in recipe["requirements"]["run"]}
    # conda-forge has pyarrow in two packages: the smaller one is enough.
    names = {"pyarrow": "pyarrow-core"}
    assert set(found) == {"python", *(names.get(name, name) for name in wanted)}
    for name, line in wanted.items():
        assert found[names.get(name, name)].split()[1:] == [line.removeprefix(name)]
    assert found["python"].split()[1] == PROJECT["requires-python"]
    (entry,) = recipe["build"]["python"]["entry_points"]
    assert entry == f"cxrbuild = {PROJECT['scripts']['cxrbuild']}"


def test_the_image_copies_what_the_wheel_needs() -> None:
    ignored = (CHECKOUT / ".dockerignore").read_text(encoding="utf-8").split()
    assert not {"cxrbuild", "manifests", "pyproject.toml", "README.md", "LICENSE"} & set(ignored)
    text = (CHECKOUT / "Dockerfile").read_text(encoding="utf-8")
    extras = {extra for found in re.findall(r"\[([\w,]+)\]\"", text) for extra in found.split(",")}
    assert extras <= set(PROJECT["optional-dependencies"])
    (version,) = set(re.findall(r"^FROM python:(\d+\.\d+)-", text, re.MULTILINE))
    assert f"Programming Language :: Python :: {version}" in PROJECT["classifiers"]
    assert re.search(r"^USER cxrbuild$", text, re.MULTILINE)


def test_the_devcontainer_installs_the_environment_of_the_tests() -> None:
    container = json.loads((CHECKOUT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8"))
    assert container["postCreateCommand"] == "make .venv/.test"
    makefile = (CHECKOUT / "Makefile").read_text(encoding="utf-8")
    assert re.search(r"^\$\(VENV\)/\.test:", makefile, re.MULTILINE)
    (version,) = re.findall(r":(\d\.\d+)-", container["image"])
    if f"Programming Language :: Python :: {version}" not in PROJECT["classifiers"]:
        pytest.fail(f"the tests do not run on Python {version}")
