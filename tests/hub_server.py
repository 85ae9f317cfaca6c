"""A Hub on the loopback: the requests that huggingface_hub makes for a dataset, and git-lfs's batch protocol.

Commits are kept in memory as paths and contents; an incomplete request body changes nothing.
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import yaml
from loopback import LoopbackServer, ServiceHandler

TOKEN = "hf_token_of_the_test_9e2b"
# Suffixes that a new dataset's .gitattributes names, and the size that is too large for git.
_LFS = (".parquet", ".tar", ".zip", ".jpg")
_LFS_BYTES = 10 << 20
_START = {".gitattributes": b"*.parquet filter=lfs diff=lfs merge=lfs -text\n"}


class HubServer(LoopbackServer):
    """The Hub, its commits, and the uploads that it received."""

    def __init__(self) -> None:
        super().__init__(_Handler)
        self.objects: dict[str, bytes] = {}
        self.put: list[str] = []
        self.commits: list[tuple[str, str, dict[str, bytes]]] = []
        self.tags: dict[str, str] = {}
        self.repo: str | None = None

    def create(self, repo: str, files: dict[str, bytes]) -> None:
        """Make a repository with one commit."""
        self.repo = repo
        self._commit("initial commit", files)

    def _commit(self, title: str, files: dict[str, bytes]) -> str:
        content = repr((len(self.commits), title, sorted(files))).encode()
        name = hashlib.sha1(content).hexdigest()
        self.commits.append((name, title, files))
        return name

    @property
    def files(self) -> dict[str, bytes]:
        """The files of the main branch, without the one that the Hub adds."""
        files = self.commits[-1][2] if self.commits else {}
        return {name: data for name, data in files.items() if name != ".gitattributes"}


class _Handler(ServiceHandler):
    server: HubServer

    def respond(self, body: bytes) -> tuple[int, Any, dict[str, str]]:
        hub, url = self.server, urlsplit(self.path)
        path = unquote(url.path)
        if path.startswith("/storage/"):
            # Addresses of the storage are signed; the token is not sent to it.
            assert "Authorization" not in self.headers
            oid = path.rpartition("/")[2]
            if hashlib.sha256(body).hexdigest() != oid:
                return 400, b"the body has another hash than its name", {}
            hub.objects[oid] = body
            hub.put.append(oid)
            return 200, b"", {}
        if self.command != "GET" and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return 401, {"error": "Invalid credentials in Authorization header"}, {}
        document = json.loads(body) if body and "ndjson" not in self.headers.get("Content-Type", "") else {}
        if path == "/api/repos/create":
            owner, name = document["organization"], document["name"]
            assert document["type"] == "dataset"
            hub.create(f"{owner}/{name}", dict(_START))
            return 200, {"url": f"http://{self.headers['Host']}/datasets/{owner}/{name}"}, {}
        if path == "/api/validate-yaml":
            return self._validated(document["content"])
        if hub.repo is None or hub.repo not in path:
            return 404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"}
        rest = path.partition(hub.repo)[2]
        if rest == ".git/info/lfs/objects/batch":
            return 200, self._batch(document), {"Content-Type": "application/vnd.git-lfs+json"}
        _, verb, *arguments = rest.split("/") if rest else ("", "revision", "main")
        if verb == "revision":
            return 200, {"id": hub.repo, "sha": hub.commits[-1][0], "siblings": [], "tags": []}, {}
        if verb == "refs":
            return 200, self._refs(), {}
        if verb == "tree":
            files = self._at(arguments[0])
            if parse_qs(url.query)["recursive"][0].lower() == "true":
                return 200, [_shown(name, data) for name, data in files.items()], {}
            return 200, _listed(files, "/".join(arguments[1:])), {}
        if verb == "preupload":
            return 200, {"files": [self._mode(file) for file in document["files"]]}, {}
        if verb == "commit":
            return self._commit([json.loads(line) for line in body.splitlines()])
        if verb == "tag":
            if document["tag"] in hub.tags:
                return 409, {"error": "Tag already exists"}, {}
            hub.tags[document["tag"]] = arguments[0]
            return 200, {}, {}
        if verb == "resolve":
            data = self._at(arguments[0])["/".join(arguments[1:])]
            return 200, data, {"ETag": f'"{_blob(data)}"', "X-Repo-Commit": arguments[0]}
        raise AssertionError(path)

    def _validated(self, card: str) -> tuple[int, Any, dict[str, str]]:
        parts = card.split("---\n", 2)
        try:
            assert parts[0] == ""
            assert isinstance(yaml.safe_load(parts[1]), dict)
        except (AssertionError, IndexError, yaml.YAMLError):
            return 400, {"errors": [{"message": "not a mapping"}], "warnings": []}, {}
        return 200, {"errors": [], "warnings": []}, {}

    def _refs(self) -> dict[str, Any]:
        head = {"name": "main", "ref": "refs/heads/main", "targetCommit": self.server.commits[-1][0]}
        tags = [
            {"name": name, "ref": f"refs/tags/{name}", "targetCommit": oid}
            for name, oid in self.server.tags.items()
        ]
        return {"branches": [head], "converts": [], "tags": tags}

    def _at(self, revision: str) -> dict[str, bytes]:
        if revision == "main":
            return self.server.commits[-1][2]
        return next(files for oid, _, files in self.server.commits if oid == revision)

    def _mode(self, file: dict[str, Any]) -> dict[str, Any]:
        data = self.server.commits[-1][2].get(file["path"])
        lfs = _is_lfs(file["path"], file["size"])
        oid = None
        if data is not None:
            oid = hashlib.sha256(data).hexdigest() if lfs else _blob(data)
        mode = "lfs" if lfs else "regular"
        return {"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid}

    def _batch(self, document: dict[str, Any]) -> dict[str, Any]:
        assert document["operation"] == "upload"
        assert document["hash_algo"] == "sha256"
        objects = []
        for entry in document["objects"]:
            address = (
                f"http://{self.headers['Host']}/storage/{entry['oid']}?X-Amz-Signature=signature-of-the-test"
            )
            known = entry["oid"] in self.server.objects
            objects.append(entry if known else entry | {"actions": {"upload": {"href": address}}})
        return {"transfer": "basic", "objects": objects}

    def _commit(self, lines: list[dict[str, Any]]) -> tuple[int, Any, dict[str, str]]:
        hub = self.server
        head, *operations = lines
        parent = head["value"].get("parentCommit")
        if parent is not None and parent != hub.commits[-1][0]:
            return 412, {"error": "A commit has happened since. Please refresh and try again."}, {}
        files = dict(hub.commits[-1][2])
        for operation in operations:
            value = operation["value"]
            match operation["key"]:
                case "file":
                    files[value["path"]] = base64.b64decode(value["content"])
                case "lfsFile":
                    if value["oid"] not in hub.objects:
                        return 400, {"error": "LFS pointer to an object that does not exist"}, {}
                    files[value["path"]] = hub.objects[value["oid"]]
                case "deletedFile":
                    del files[value["path"]]
        oid = hub._commit(head["value"]["summary"], files)
        return (
            200,
            {
                "commitUrl": f"http://{self.headers['Host']}/datasets/{hub.repo}/commit/{oid}",
                "commitOid": oid,
            },
            {},
        )


def _is_lfs(path: str, size: int) -> bool:
    return path.endswith(_LFS) or size > _LFS_BYTES


def _blob(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _listed(files: dict[str, bytes], folder: str) -> list[dict[str, Any]]:
    """Return the files and folders directly in a folder."""
    start = f"{folder}/" if folder else ""
    inside = {name for name in files if name.startswith(start)}
    folders = {name.removeprefix(start).split("/")[0] for name in inside if "/" in name.removeprefix(start)}
    shown = [_shown(name, files[name]) for name in sorted(inside) if "/" not in name.removeprefix(start)]
    return shown + [{"type": "directory", "path": start + name, "oid": "0" * 40} for name in sorted(folders)]


def _shown(name: str, data: bytes) -> dict[str, Any]:
    shown = {"type": "file", "path": name, "size": len(data), "oid": _blob(data)}
    if _is_lfs(name, len(data)):
        shown["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 131}
    return shown
