"""fsspec's SFTP with host key checks, ``~/.ssh/config``, timeouts and pipelined writes.

fsspec itself accepts any host key, does not read ``~/.ssh/config``, waits without limit for a server that
does not respond, and waits for a response to every block that it writes.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import paramiko
from fsspec.implementations.sftp import SFTPFileSystem

from cxrbuild import http
from cxrbuild.errors import CxrbuildError

_logger = logging.getLogger(__name__)

_KEEPALIVE_S = 15


class CheckedSFTP(SFTPFileSystem):  # type: ignore[misc]  # fsspec has no annotations
    """An SFTP server whose host key is known."""

    def _connect(self) -> None:
        ssh = Path.home() / ".ssh"
        config = paramiko.SSHConfig()
        if (ssh / "config").is_file():
            config = paramiko.SSHConfig.from_path(str(ssh / "config"))
        entry = config.lookup(self.host)
        given: dict[str, Any] = dict(self.ssh_kwargs)
        options = {
            "port": int(given.get("port") or entry.get("port", 22)),
            "username": given.get("username") or entry.get("user"),
            "password": given.get("password"),
            "key_filename": entry.get("identityfile"),
        }
        self.client = paramiko.SSHClient()
        known = entry.get("userknownhostsfile", str(ssh / "known_hosts")).split()
        for path in filter(Path.is_file, (Path(name).expanduser() for name in known)):
            self.client.load_host_keys(str(path))
        self.client.set_missing_host_key_policy(paramiko.RejectPolicy())
        try:
            self.client.connect(
                entry.get("hostname", self.host), timeout=http.RETRY_POLICY.connect,
                banner_timeout=http.RETRY_POLICY.connect, auth_timeout=http.RETRY_POLICY.read, **options,
            )  # fmt: skip
        except paramiko.BadHostKeyException:
            raise CxrbuildError(
                "the server's host key has changed", where=self.host,
                todo=f"Ask the server's administrator; if the key is right, update {known[0]}",
            ) from None  # fmt: skip
        except paramiko.AuthenticationException:
            raise CxrbuildError(
                "SSH authentication failed", where=self.host,
                expected="a key that the server accepts",
                found=f"the keys of the SSH agent and of {ssh}",
                todo=f"Try `sftp {self.host}`: cxrbuild uses the same keys",
            ) from None  # fmt: skip
        except paramiko.SSHException as error:
            if "not found in known_hosts" not in str(error):
                raise
            raise CxrbuildError(
                "the server's host key is unknown", where=self.host,
                todo=f"Log in once with `sftp {self.host}`, compare the key, and accept it",
            ) from None  # fmt: skip
        transport = self.client.get_transport()
        assert transport
        key = transport.get_remote_server_key().get_name()
        _logger.debug("connected to %s port %s: its %s key is known", self.host, options["port"], key)
        transport.set_keepalive(_KEEPALIVE_S)
        self.ftp = self.client.open_sftp()
        channel = self.ftp.get_channel()
        assert channel
        channel.settimeout(http.RETRY_POLICY.read)

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        stream = super()._open(path, mode, **options)
        if "w" in mode:
            stream.set_pipelined(True)
        return stream
