"""Credentials: sent to their own host alone, and never shown."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from command import run
from file_server import (
    ARCHIVE,
    Answer,
    Server,
    fetch_error,
    fetch_one,
    make_source,
)
from loopback import serving

from cxrbuild.http import Authorization, redact_address

pytestmark = pytest.mark.usefixtures("quick_retries")
SECRET = "s3cr3t"


def test_fetch_sends_kaggles_credentials_to_kaggles_host_alone(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAGGLE_API_TOKEN", SECRET)
    # The credentials in ~/.netrc are for other programs.
    (tmp_path / "home").mkdir()
    (tmp_path / "home/.netrc").write_text(f"machine 127.0.0.1 login me password {SECRET}\n")
    (tmp_path / "home/.netrc").chmod(0o600)
    with serving(Server()) as storage:
        storage.answers["/a.zip"] = [Answer(ARCHIVE)]
        server.answers["/kaggle"] = [
            Answer(status=302, headers={"Location": f"{storage.url}/a.zip?sig={SECRET}"})
        ]
        storage.answers["/plain"] = [Answer(ARCHIVE)]
        source = make_source(
            tmp_path, f"{storage.url}/plain", mirrors={"kaggle": f"{server.url}/kaggle"}, credentials="kaggle"
        )
        locked = fetch_one(source, tmp_path / "data", origins={"mine": "kaggle"}).locked
        fetch_one(source, tmp_path / "other")
        assert server.headers_of("/kaggle")[0]["Authorization"] == f"Bearer {SECRET}"
        assert ["Authorization" in headers for _, headers in storage.asked] == [False, False]
    assert locked.origin == f"{server.url}/kaggle"
    written = [path for path in (tmp_path / "data").rglob("*") if path.is_file() and path.suffix != ".bin"]
    assert not [path for path in written if SECRET.encode() in path.read_bytes()]


@pytest.mark.parametrize("place", ["environment", "configured", "home", "config"])
def test_fetch_finds_kaggles_credentials_in_every_place(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    if place == "environment":
        monkeypatch.setenv("KAGGLE_USERNAME", "me")
        monkeypatch.setenv("KAGGLE_KEY", SECRET)
    else:
        folders = {"configured": "conf", "home": "home/.kaggle", "config": "home/.config/kaggle"}
        folder = tmp_path / folders[place]
        folder.mkdir(parents=True)
        (folder / "kaggle.json").write_text(json.dumps({"username": "me", "key": SECRET}))
        if place == "configured":
            monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(folder))
    server.answers["/kaggle"] = [Answer(ARCHIVE)]
    source = make_source(tmp_path, None, mirrors={"kaggle": f"{server.url}/kaggle"}, credentials="kaggle")
    fetch_one(source, tmp_path / "data", origins={"mine": "kaggle"})
    basic = base64.b64encode(f"me:{SECRET}".encode()).decode()
    assert server.headers_of("/kaggle")[0]["Authorization"] == f"Basic {basic}"


def test_fetch_reports_unreadable_kaggle_credentials_without_the_key(server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "home/.kaggle"
    folder.mkdir(parents=True)
    (folder / "kaggle.json").write_text(f'{{"username": "me", "key": "{SECRET}"')
    source = make_source(tmp_path, None, mirrors={"kaggle": f"{server.url}/kaggle"}, credentials="kaggle")
    message = fetch_error(source, tmp_path / "data", origins={"mine": "kaggle"})
    assert f"{folder / 'kaggle.json'}: Kaggle's credentials cannot be read" in message
    assert SECRET not in message


def test_fetch_uses_credentials_in_an_address_and_never_shows_them(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "cxrbuild")
    server.answers["/a"] = [Answer(status=403)]
    url = f"{server.url}/a?token={SECRET}&X-Amz-Signature={SECRET}&download=1".replace(
        "//", f"//me:{SECRET}@"
    )
    source, data = make_source(tmp_path, None), tmp_path / "data"
    message = fetch_error(source, data, origins={"mine": url})
    assert SECRET not in message
    assert f"{server.url}/a?token=...&X-Amz-Signature=...&download=1" in message
    basic = base64.b64encode(f"me:{SECRET}".encode()).decode()
    assert server.headers_of("/a")[0]["Authorization"] == f"Basic {basic}"
    server.answers["/a"] = [Answer(ARCHIVE, drop_at=150_000), Answer(status=503)]
    assert SECRET not in fetch_error(source, data, origins={"mine": url})
    assert SECRET not in (data / "downloads/mine.part.json").read_text()
    server.answers["/a"] = [Answer(ARCHIVE)]
    fetch_one(source, data, origins={"mine": url})
    assert SECRET not in (data / "sources.lock.json").read_text()
    assert "fetched mine" in caplog.text
    assert SECRET not in caplog.text


def test_redact_address_removes_credentials_of_an_address() -> None:
    assert (
        redact_address("https://u:p@h.org:8443/a/b.zip?id=7&se=x&sig=y#t")
        == "https://h.org:8443/a/b.zip?id=7&se=...&sig=..."
    )
    assert SECRET not in repr(Authorization(("https", "h", 443), SECRET))


@pytest.mark.parametrize(
    ("words", "as_shown"),
    [
        (f"https://[broken/{SECRET}", "an address that cannot be read"),
        (f"https://me:{SECRET}/{SECRET}@h/x", "an address that cannot be read"),
        (f"https://me:{SECRET}#{SECRET}@h/x", "an address that cannot be read"),
        (f"https://me:{SECRET}?{SECRET}@h/x", "an address that cannot be read"),
        (f"https://h/x?{SECRET}", "https://h/x?..."),
        (f"=https://me:{SECRET}@h/x?sig={SECRET}", "=https://h/x?sig=..."),
        (f"me:{SECRET}@https://h/x", "...@https://h/x"),
        (f"me:{SECRET}@h/x", "...@h/x"),
        (f"me:{SECRET}/{SECRET}@h/x", "...@h/x"),
        (f"{SECRET}@h/x", "...@h/x"),
        (f"https:/me:{SECRET}@h/x", "...@h/x"),
        (f"h/x?token={SECRET}&download=1", "h/x?token=...&download=1"),
        ("/images/of@home/x.zip", "/images/of@home/x.zip"),
        ("mine.zip", "mine.zip"),
    ],
)
def test_redact_address_removes_credentials_of_mistyped_addresses(words: str, as_shown: str) -> None:
    assert redact_address(words) == as_shown


@pytest.mark.parametrize(
    "typed",
    [
        ["mooney", "--from", f"mooney=me:{SECRET}@h.invalid/x.zip"],
        ["mooney", "--from", f"mooney==https://me:{SECRET}@h.invalid/x.zip"],
        ["mooney", "--from", f"mooney=https://me:{SECRET}/{SECRET}@h.invalid/x.zip"],
        ["--from", f"https://me:{SECRET}@h.invalid/x.zip"],
        ["--from", f"https://me:{SECRET}@h.invalid/x.zip?token={SECRET}"],
        ["--from", f"=https://me:{SECRET}@h.invalid/x.zip"],
        ["--from", f"me:{SECRET}@h.invalid/x.zip?token={SECRET}"],
        [f"https://me:{SECRET}@h.invalid/x.zip"],
        [f"me:{SECRET}@h.invalid/x.zip"],
    ],
)
def test_fetch_never_shows_credentials_in_wrong_arguments(tmp_path: Path, typed: list[str]) -> None:
    ran = run("fetch", *typed, "--data", tmp_path, COLUMNS="1000")
    assert ran.status in (1, 2)
    assert SECRET not in ran.out + ran.err
    assert "Traceback" not in ran.err
    assert any(
        words in ran.err
        for words in ("is not NAME=ORIGIN", "is not a source", "no such file", "not an address")
    )
