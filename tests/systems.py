"""What an operating system may lack: marks that skip a test there and give the reason."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def _links() -> bool:
    """Return whether this process may make symbolic links: on Windows few users may."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            Path(folder, "link").symlink_to("target")
            return Path(folder, "link").is_symlink()
        except (OSError, NotImplementedError):
            return False


needs_links = pytest.mark.skipif(not _links(), reason="symbolic links cannot be made here")
needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
needs_limits = pytest.mark.skipif(
    importlib.util.find_spec("resource") is None, reason="this system neither limits nor measures a process"
)
needs_kills = pytest.mark.skipif(
    not (hasattr(os, "killpg") and hasattr(signal, "SIGKILL")), reason="this system has no signal that kills"
)
needs_modes = pytest.mark.skipif(os.name != "posix", reason="this system has no permissions of POSIX")
needs_shell = pytest.mark.skipif(
    os.name != "posix" or shutil.which("sh") is None, reason="this system has no POSIX shell with limits"
)
needs_locales = pytest.mark.skipif(os.name != "posix", reason="this system has no locales of POSIX")
needs_device_files = pytest.mark.skipif(
    os.name != "posix" or not Path("/dev/zero").exists(), reason="this system has no /dev/zero"
)
needs_signals = pytest.mark.skipif(
    os.name != "posix", reason="this system sends no signal that a process can handle"
)
needs_bytes_names = pytest.mark.skipif(
    sys.platform in {"darwin", "win32"}, reason="every file name is Unicode on this system"
)
needs_terminals = pytest.mark.skipif(
    os.name != "posix" or importlib.util.find_spec("pty") is None, reason="no pseudo-terminals here"
)
is_root = hasattr(os, "geteuid") and os.geteuid() == 0


needs_mounts = pytest.mark.skipif(
    not (is_root and sys.platform.startswith("linux")), reason="only root of Linux may mount a disk in memory"
)


def peak_memory_kb() -> int:
    """Return the largest memory of this process so far; `needs_limits` marks its tests."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // 1024 if sys.platform == "darwin" else peak


# The variable by which coverage measures started processes.
COVERAGE = "COVERAGE_PROCESS_CONFIG"


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let this process and those that it starts write files up to a size only, as on a full disk.

    Coverage of the started processes is not measured: its file would be larger.
    """
    import resource

    measured = os.environ.pop(COVERAGE, None)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        if measured is not None:
            os.environ[COVERAGE] = measured
