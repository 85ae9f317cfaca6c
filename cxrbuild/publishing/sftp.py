"""SFTP as fsspec speaks it, with what that leaves out.

fsspec takes any host key that it is shown, reads no ``~/.ssh/config``, waits without end for a server that
has gone silent, and waits for an answer to every block that it writes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import paramiko
from fsspec.implementations.sftp import SFTPFileSystem

from cxrbuild import http
from cxrbuild.errors import CxrbuildError

_KEEPALIVE_S = 15


class CarefulSFTP(SFTPFileSystem):  # type: ignore[misc]  # fsspec has no annotations
    """A folder of an SFTP server whose key is known."""

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
                "the server shows another key than the one that is known of it", where=self.host,
                todo=f"Ask who runs it; if the key was changed, bring {known[0]} up to date",
            ) from None  # fmt: skip
        except paramiko.AuthenticationException:
            raise CxrbuildError(
                "the server lets nobody in with these keys", where=self.host,
                expected="a key that it accepts",
                found=f"the SSH agent's and those of {ssh}",
                todo=f"Try `sftp {self.host}`: what gets in there gets in here",
            ) from None  # fmt: skip
        except paramiko.SSHException as error:
            if "not found in known_hosts" not in str(error):
                raise
            raise CxrbuildError(
                "the server's key is not known, so it could be anybody's", where=self.host,
                todo=f"Log in once with `sftp {self.host}`, compare the key and accept it",
            ) from None  # fmt: skip
        transport = self.client.get_transport()
        assert transport
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
