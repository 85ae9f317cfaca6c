"""JSON documents: every command names a schema that its document has, and every file has one too.

`command.run` compares each document that a command prints in any test with its schema; `test_wrong_uses` does
so with ten errors of every command. These tests are for what no other test prints, and for the files.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from audited import different_images, write_build
from command import CHECKOUT, require_schema, run
from systems import needs_kills

SCHEMAS = CHECKOUT / "docs" / "schemas"
NAMES = {path.stem for path in (SCHEMAS / "commands").glob("*.json")}


def printed(name: str, *words: object, **env: str) -> dict[str, Any]:
    ran = run(*words, "--json", "--quiet", **env)
    assert ran.status == 0, ran.err
    document: dict[str, Any] = json.loads(ran.out)
    assert document["schema"] == name
    return document


def test_every_schema_is_of_a_command() -> None:
    code = "".join(path.read_text() for path in sorted((CHECKOUT / "cxrbuild" / "cli").glob("*.py")))
    assert set(re.findall(r"(?:output\.result|print_json)\(\s*\"([^\"]+)\"", code)) == NAMES


def test_a_document_of_another_shape_is_refused() -> None:
    document = {"schema": "sign-1", "release": "r", "signature": "s", "key": "k"}
    require_schema(document)
    for change in ({"more": 1}, {"key": 1}, {"schema": "verify-1"}):
        with pytest.raises(jsonschema.ValidationError):
            require_schema(document | change)


def test_commands_about_the_program(demo: Path, tmp_path: Path) -> None:
    assert printed("sources-1", "sources", "--data", tmp_path)["sources"]
    assert printed("sources-of-1", "sources", "--of", demo / "build")["sources"]
    assert printed("recipes-1", "recipes", "--data", tmp_path)["recipes"]
    assert printed("completion-1", "completion", "bash", "--print")["script"]
    home = dict.fromkeys(("HOME", "USERPROFILE", "XDG_DATA_HOME"), str(tmp_path))
    assert printed("completion-1", "completion", "bash", **home)["written"]
    assert run("doctor", "--offline", "--data", tmp_path, "--json").out.startswith(
        '{\n  "schema": "doctor-1"'
    )


def test_commands_with_a_build(demo: Path, tmp_path: Path) -> None:
    recipe = ["--recipe", demo / "declared" / "recipe.toml", "--data", demo / "data"]
    assert printed("plan-1", "plan", *recipe)["counts"]
    build = tmp_path / "curated"
    curate = ["curate", *recipe, "--out", build, "--format", "parquet", "--workers", 1]
    assert printed("curate-1", *curate)["changed"] is True
    assert printed("curate-1", *curate)["changed"] is False
    assert printed("verify-1", "verify", build)["findings"] == []
    assert printed("diff-1", "diff", demo / "build", build)["bump"] is None
    # A few images: to look for duplicates among the demo's takes longer.
    few = write_build(tmp_path, different_images(2))
    assert printed("audit-1", "audit", "--build", few, "--recipe", tmp_path / "recipe.toml", "--workers", 1)
    files = {"build": demo / "build" / "build.json", "audit": few / "audit.json",
             "sources-lock": demo / "data" / "sources.lock.json"}  # fmt: skip
    for name, path in files.items():
        document = json.loads(path.read_bytes())
        schema = json.loads((SCHEMAS / "files" / f"{name}-{document['format']}.json").read_bytes())
        jsonschema.validate(document, schema, jsonschema.Draft202012Validator)


@needs_kills
def test_control_c_is_an_error_document() -> None:
    program = (
        "import os, signal, sys, time\n"
        "from cxrbuild.cli.main import cli, main\n"
        "cli.commands['doctor'].callback = lambda **_: os.kill(os.getpid(), signal.SIGINT) or time.sleep(9)\n"
        "sys.argv = ['cxrbuild', 'doctor', '--json']\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 128 + signal.SIGINT
    document = json.loads(done.stdout)
    require_schema(document)
    assert document["error"] == {"status": 130, "what": "interrupted"}
