"""The accessibility checker axe-core (https://github.com/dequelabs/axe-core) in a browser.

`tests/axe/package-lock.json` pins its version and hash. npm downloads it once into pytest's cache.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

_DECLARED = Path(__file__).parent / "axe"
_SECONDS = 120


def read_axe(config: pytest.Config) -> str:
    """Return the script of axe-core; skip the test where npm is missing or cannot download it."""
    assert config.cache is not None
    folder = config.cache.mkdir("axe-core")
    script = folder / "node_modules" / "axe-core" / "axe.min.js"
    declared = {name: (_DECLARED / name).read_text() for name in ("package.json", "package-lock.json")}
    if not script.is_file() or any(
        not (folder / name).is_file() or (folder / name).read_text() != text
        for name, text in declared.items()
    ):
        npm = shutil.which("npm")
        if npm is None:
            pytest.skip("npm is missing: it downloads axe-core, the accessibility checker")
        for name, text in declared.items():
            (folder / name).write_text(text)
        done = subprocess.run(
            [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
            cwd=folder, capture_output=True, text=True, timeout=_SECONDS, check=False,
        )  # fmt: skip
        if done.returncode:
            (folder / "package.json").unlink()
            pytest.skip(f"npm cannot download axe-core: {done.stderr.strip()[-300:]}")
    return script.read_text(encoding="utf-8")


def severe_findings(driver: Any, axe: str, scheme: str) -> list[str]:
    """Return the serious and critical findings on the page that is open, in a colour scheme."""
    feature = {"name": "prefers-color-scheme", "value": scheme}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    try:
        driver.execute_script(f"window.axe || (0, function () {{ {axe} }})()")
        found = driver.execute_async_script(
            "const done = arguments[arguments.length - 1];"
            "axe.run(document, { resultTypes: ['violations'] })"
            "  .then((result) => done(result.violations), (error) => done([String(error)]));"
        )
    finally:
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    return [
        f"{one['id']} ({one['impact']}): {node['html'][:200]}" if isinstance(one, dict) else one
        for one in found
        for node in (one["nodes"] if isinstance(one, dict) else [None])
        if not isinstance(one, dict) or one["impact"] in ("serious", "critical")
    ]
