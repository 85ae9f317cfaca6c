"""Checks of the environment: versions, extras, image decoders, folders, locale and network."""

from __future__ import annotations

import locale
import os
import platform
import shutil
import socket
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path
from typing import Any, Literal

from packaging.requirements import Requirement

from cxrbuild import __version__
from cxrbuild.catalog import read_source, source_names
from cxrbuild.errors import count_of
from cxrbuild.http import host_of
from cxrbuild.notebook import result_html

# What only the project's own tests need.
_INTERNAL_EXTRAS = {"test", "test-all"}
_TIMEOUT_S = 5.0
_SECRETS = ("CXRBUILD_PATIENT_KEY", "HF_TOKEN", "ZENODO_TOKEN", "AWS_ACCESS_KEY_ID", "KAGGLE_KEY")
Status = Literal["ok", "optional", "problem"]


@dataclass(frozen=True)
class Observation:
    """One thing that was checked.

    Attributes
    ----------
    subject
        What was checked.
    status
        ``ok``; ``optional``: something that some commands need is missing; ``problem``.
    found
        What was found.
    todo
        What to do, blank if nothing.
    """

    subject: str
    status: Status
    found: str
    todo: str = ""


@dataclass(frozen=True)
class Environment:
    """What this machine has of what the commands need.

    Attributes
    ----------
    observations
        Everything that was checked: its ``subject``, ``status``, what was ``found``, and what ``todo``.
    """

    observations: list[Observation]

    @property
    def problems(self) -> list[Observation]:
        """The observations that are problems."""
        return [one for one in self.observations if one.status == "problem"]

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON has it."""
        return {"observations": [asdict(one) for one in self.observations], "problems": len(self.problems)}

    def _repr_html_(self) -> str:
        return result_html(
            f"Environment: {count_of(len(self.problems), 'problem')}",
            header=["checked", "", "found", "next step"],
            rows=[list(asdict(one).values()) for one in self.observations],
        )


def check_environment(data: Path, out: Path, *, network: bool = True) -> Environment:
    """Check what the commands need from this machine: see `cxrbuild.check_environment`.

    Nothing is changed, and no secret is part of the result.
    """
    observations = [
        Observation("cxrbuild", "ok", __version__),
        Observation("Python", "ok", f"{platform.python_version()} on {platform.platform(terse=True)}"),
        Observation("processors", "ok", str(os.cpu_count() or 1)),
        *_check_packages(),
        *_check_decoders(),
        *_check_folder("data folder", data),
        *_check_folder("folder of builds", out),
        *_check_locale(),
        Observation(
            "variables set", "ok", ", ".join(name for name in _SECRETS if os.environ.get(name)) or "none"
        ),
    ]
    if network:
        observations += _check_network()
    return Environment(observations)


def _requirements() -> dict[str | None, list[Requirement]]:
    """Return what cxrbuild declares to need, by extra; ``None`` is for what it always needs."""
    distribution = metadata("cxrbuild")
    declared = [Requirement(text) for text in requires("cxrbuild") or []]
    extras = sorted(set(distribution.get_all("Provides-Extra") or []) - _INTERNAL_EXTRAS)
    always = [one for one in declared if one.marker is None or one.marker.evaluate({"extra": ""})]
    by_extra: dict[str | None, list[Requirement]] = {None: always}
    for extra in extras:
        by_extra[extra] = [
            one
            for one in declared
            if one not in always and one.marker is not None and one.marker.evaluate({"extra": extra})
        ]
    return by_extra


def _check_packages() -> Iterator[Observation]:
    try:
        by_extra = _requirements()
    except PackageNotFoundError:
        yield Observation(
            "packages", "problem", "cxrbuild is not installed, only its source is on the path",
            "Run `pip install .` in the checkout",
        )  # fmt: skip
        return
    for extra, requirements in by_extra.items():
        installed = {one.name: _version_of(one.name) for one in requirements}
        missing = [name for name, found in installed.items() if found is None]
        wrong = [
            f"{one.name} {found} is not {one.specifier}"
            for one in requirements
            if (found := installed[one.name]) is not None
            and not one.specifier.contains(found, prereleases=True)
        ]
        subject = "packages" if extra is None else f"extra {extra}"
        name = f"cxrbuild[{extra}]" if extra else "cxrbuild"
        todo = f'Run `pip install "{name}"`'
        if wrong:
            yield Observation(subject, "problem", "; ".join(wrong), todo)
        elif missing:
            status: Status = "problem" if extra is None else "optional"
            yield Observation(subject, status, f"not installed: {', '.join(missing)}", todo)
        else:
            yield Observation(
                subject, "ok", ", ".join(f"{name} {found}" for name, found in installed.items())
            )


def _version_of(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _check_decoders() -> Iterator[Observation]:
    from PIL import features

    names = {"libjpeg_turbo": "libjpeg-turbo", "jpg_2000": "OpenJPEG", "zlib": "zlib"}
    found = [f"{name} {features.version(key)}" for key, name in names.items() if features.check(key)]
    lacking = [name for key, name in names.items() if not features.check(key)]
    todo = "Install Pillow from PyPI: its wheels have these libraries" if lacking else ""
    yield Observation(
        "image decoders",
        "problem" if lacking else "ok",
        ", ".join(found) + (f"; missing: {', '.join(lacking)}" if lacking else ""),
        todo,
    )
    gdcm = _version_of("python-gdcm")
    yield Observation(
        "JPEG Lossless and JPEG-LS in DICOM",
        "ok" if gdcm else "optional",
        f"python-gdcm {gdcm}" if gdcm else "no decoder",
        "" if gdcm else 'Run `pip install "cxrbuild[dicom]"`',
    )


def _check_folder(subject: str, folder: Path) -> Iterator[Observation]:
    existing = next(path for path in [folder.absolute(), *folder.absolute().parents] if path.exists())
    state = "exists" if existing == folder.absolute() else "not there yet"
    if not existing.is_dir():
        yield Observation(subject, "problem", f"{existing} is a file", "Name another folder")
        return
    if not os.access(existing, os.W_OK | os.X_OK):
        yield Observation(subject, "problem", f"{existing} cannot be written", "Check its permissions")
        return
    free, needed = shutil.disk_usage(existing).free, _needed_bytes()
    enough = free >= needed
    yield Observation(
        subject,
        "ok" if enough else "problem",
        f"{folder}: {state}, {free / 1e9:,.1f} GB free",
        "" if enough else f"The largest archive and its files need {needed / 1e9:.1f} GB: make room",
    )


def _needed_bytes() -> int:
    """Return the size of the largest archive twice: its images are compressed already."""
    return 2 * max(read_source(name).pin.bytes or 0 for name in source_names())


def _check_locale() -> Iterator[Observation]:
    encoding = sys.getfilesystemencoding()
    yield Observation(
        "file names",
        "ok" if encoding == "utf-8" else "problem",
        encoding,
        "" if encoding == "utf-8" else "Set PYTHONUTF8=1, or LC_ALL=C.UTF-8",
    )
    terminal = getattr(sys.stdout, "encoding", None) or locale.getpreferredencoding(do_setlocale=False)
    plain = terminal.lower().replace("-", "") != "utf8"
    yield Observation(
        "terminal",
        "optional" if plain else "ok",
        terminal,
        "Names in other alphabets are printed as escapes: set PYTHONUTF8=1" if plain else "",
    )


def _check_network() -> Sequence[Observation]:
    urls = [read_source(name).download.url for name in source_names()]
    hosts = sorted({host_of(url) for url in urls if url})
    with ThreadPoolExecutor(len(hosts) or 1) as pool:
        return list(pool.map(_check_host, hosts))


def _check_host(host: tuple[str, str, int]) -> Observation:
    _, name, port = host
    if any(proxy in os.environ for proxy in ("https_proxy", "HTTPS_PROXY")):
        return Observation(f"network to {name}", "ok", "not checked: a proxy is set")
    try:
        socket.create_connection((name, port), timeout=_TIMEOUT_S).close()
    except OSError as error:
        return Observation(
            f"network to {name}",
            "problem",
            f"no connection: {error.strerror or error}",
            "Check the network, or download the archive elsewhere: `cxrbuild fetch --from SOURCE=FILE`",
        )
    return Observation(f"network to {name}", "ok", f"port {port} is open")
