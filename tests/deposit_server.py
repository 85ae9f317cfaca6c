"""A deposit service on the loopback, as InvenioRDM's REST reference describes it.

https://inveniordm.docs.cern.ch/reference/rest_api_drafts_records/ and Zenodo's limits. Records are kept in
memory; an incomplete request body changes nothing.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from loopback import LoopbackServer, ServiceHandler

TOKEN = "zenodo-token-of-the-test-51c9"
JSON = "application/vnd.inveniordm.v1+json"


@dataclass
class Record:
    """A draft or a published record."""

    id: str
    parent: str
    metadata: dict[str, Any]
    pids: dict[str, Any] = field(default_factory=dict)
    published: bool = False
    files: dict[str, bytes | None] = field(default_factory=dict)
    committed: set[str] = field(default_factory=set)


class DepositServer(LoopbackServer):
    """The service, its records, and the requests that it received."""

    def __init__(self) -> None:
        super().__init__(_Handler)
        self.records: dict[str, Record] = {}
        self.requests: list[tuple[str, str]] = []
        self.put: list[str] = []
        # Requests that fail next: pattern, status and headers.
        self.failures: list[tuple[str, int, dict[str, str]]] = []
        # How many requests the server accepts in two seconds.
        self.limit: int | None = None
        self.remaining = 0
        self.reset = 0
        self.too_many = 0

    def new(self, parent: str | None = None, metadata: dict[str, Any] | None = None) -> Record:
        number = str(1000 + len(self.records))
        record = Record(number, parent or f"p{number}", metadata or {})
        self.records[number] = record
        return record


class _Refused(Exception):  # noqa: N818
    def __init__(self, status: int, message: str = "", headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.headers = status, message, headers or {}


class _Handler(ServiceHandler):
    server: DepositServer

    def respond(self, body: bytes) -> tuple[int, Any, dict[str, str]]:
        self.server.requests.append((self.command, self.path))
        headers: dict[str, str] = {"Content-Type": JSON}
        try:
            self._limit(headers)
            self._admit()
            status, document = self._answer(body)
        except _Refused as refused:
            status, document = refused.status, {"status": refused.status, "message": refused.message}
            headers |= refused.headers
        return status, b"" if document is None else document, headers

    def _admit(self) -> None:
        for failure in self.server.failures:
            if re.fullmatch(failure[0], f"{self.command} {self.path}"):
                self.server.failures.remove(failure)
                raise _Refused(failure[1], "a failure", failure[2])
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            raise _Refused(403, "Permission denied.")

    def _limit(self, headers: dict[str, str]) -> None:
        server = self.server
        if server.limit is None:
            return
        if time.time() >= server.reset:
            server.remaining, server.reset = server.limit, int(time.time()) + 2
        refused = server.remaining == 0
        server.remaining -= not refused
        headers |= {
            "X-RateLimit-Limit": str(server.limit),
            "X-RateLimit-Remaining": str(server.remaining),
            "X-RateLimit-Reset": str(server.reset),
        }
        if refused:
            server.too_many += 1
            raise _Refused(429, "Rate limit exceeded.")

    def _answer(self, body: bytes) -> tuple[int, Any]:
        parts = [unquote(part) for part in self.path.split("/")]
        assert parts[:3] == ["", "api", "records"]
        match self.command, parts[3:]:
            case "POST", []:
                document = json.loads(body)
                return 201, self._shown(self.server.new(metadata=document["metadata"]))
            case "GET", [number]:
                return 200, self._shown(self._record(number, published=True))
            case "GET", [number, "files"]:
                return 200, self._files(self._record(number, published=True))
            case "POST", [number, "versions"]:
                old = self._record(number, published=True)
                for record in self.server.records.values():
                    if record.parent == old.parent and not record.published:
                        return 201, self._shown(record)
                kept = {k: v for k, v in old.metadata.items() if k not in ("publication_date", "version")}
                return 201, self._shown(self.server.new(old.parent, kept))
            case method, [number, "draft", *rest]:
                return self._draft(method, self._record(number, published=False), rest, body)
        raise _Refused(405)

    def _draft(self, method: str, record: Record, rest: list[str], body: bytes) -> tuple[int, Any]:
        match method, rest:
            case "GET", []:
                return 200, self._shown(record)
            case "PUT", []:
                document = json.loads(body)
                record.metadata = document["metadata"]
                # The service removes fields that are not sent back.
                record.pids = document.get("pids", {})
                return 200, self._shown(record)
            case "POST", ["pids", "doi"]:
                if "doi" in record.pids:
                    raise _Refused(400, "A PID already exists for type doi")
                record.pids["doi"] = {
                    "identifier": f"10.5072/zenodo.{record.id}", "provider": "datacite", "client": "datacite",
                }  # fmt: skip
                return 201, self._shown(record)
            case "POST", ["actions", "publish"]:
                if wrong := _problems(record.metadata):
                    raise _Refused(400, "A validation error occurred. " + str(wrong))
                if not record.files or set(record.files) != record.committed:
                    raise _Refused(400, "One or more files have not completed their transfer.")
                record.published = True
                return 202, self._shown(record)
            case "GET", ["files"]:
                return 200, self._files(record)
            case "POST", ["files"]:
                keys = [entry["key"] for entry in json.loads(body)]
                if taken := [key for key in keys if key in record.files]:
                    raise _Refused(400, f"File with key {taken[0]} already exists.")
                if len(record.files) + len(keys) > 100:
                    raise _Refused(400, "Uploading selected files will result in more than 100 files.")
                record.files |= dict.fromkeys(keys)
                return 201, self._files(record)
            case "PUT", ["files", key, "content"]:
                assert self.headers["Content-Type"] == "application/octet-stream"
                if key not in record.files or key in record.committed:
                    raise _Refused(400, f"File with key {key} is already committed.")
                record.files[key] = body
                self.server.put.append(key)
                return 200, self._entry(record, key)
            case "POST", ["files", key, "commit"]:
                if record.files.get(key) is None:
                    raise _Refused(400, "Transfer of file is not completed.")
                record.committed.add(key)
                return 200, self._entry(record, key)
            case "DELETE", ["files", key]:
                if key not in record.files:
                    raise _Refused(404)
                del record.files[key]
                record.committed.discard(key)
                return 204, None
        raise _Refused(405)

    def _record(self, number: str, *, published: bool) -> Record:
        record = self.server.records.get(number)
        if record is None or record.published != published:
            raise _Refused(404, "The persistent identifier does not exist.")
        return record

    def _shown(self, record: Record) -> dict[str, Any]:
        page = "records" if record.published else "uploads"
        # For plain JSON, Zenodo responds in the format of its former API.
        if self.headers.get("Accept") != JSON:
            return {"id": int(record.id), "metadata": record.metadata, "files": []}
        shown = {
            "id": record.id,
            "is_published": record.published,
            "metadata": record.metadata,
            "pids": record.pids,
            "parent": {"id": record.parent},
            "links": {"self_html": f"{self.server.url}/{page}/{record.id}"},
        }
        wrong = _problems(record.metadata)
        return shown | ({"errors": wrong} if wrong else {})

    def _files(self, record: Record) -> dict[str, Any]:
        return {"enabled": True, "entries": [self._entry(record, key) for key in record.files]}

    def _entry(self, record: Record, key: str) -> dict[str, Any]:
        data = record.files[key]
        if data is None or key not in record.committed:
            return {"key": key, "status": "pending"}
        return {
            "key": key,
            "status": "completed",
            "size": float(len(data)),
            "checksum": f"md5:{hashlib.md5(data).hexdigest()}",
        }


def _problems(metadata: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the problems that the service finds in metadata."""
    problems = [
        {"field": f"metadata.{key}", "messages": ["Missing data for required field."]}
        for key in ("title", "creators", "publication_date", "resource_type")
        if not metadata.get(key)
    ]
    for i, creator in enumerate(metadata.get("creators", [])):
        person = creator["person_or_org"]
        if person["type"] not in ("personal", "organizational") or not (
            person.get("name") or person.get("family_name")
        ):
            problems.append({"field": f"metadata.creators.{i}", "messages": ["Invalid value."]})
    for i, right in enumerate(metadata.get("rights", [])):
        if "id" in right and right["id"] not in ("cc-by-4.0", "cc-by-3.0", "cc0-1.0"):
            problems.append({"field": f"metadata.rights.{i}", "messages": ["Invalid license."]})
    return problems
