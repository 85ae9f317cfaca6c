"""`fetch --pin` writes the pin of a user's own source, and changes nothing else in its declaration."""

from __future__ import annotations

import json
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from command import run
from file_server import Answer, Server

import cxrbuild
from cxrbuild.catalog import read_source
from cxrbuild.catalog.source import Pin
from cxrbuild.errors import CxrbuildError
from cxrbuild.fetching.pin import locked_against
from cxrbuild.lockfile import read_lock, write_lock
from cxrbuild.patient_key import KEY_VARIABLE
from cxrbuild.shell import quote

SOURCE = """# The images of our clinic.
name = "mine"  # short
title = "Mine"

[reader]
kind = "folders"
pattern = "^(?P<finding>[^/]+)/"
images = ["*.png"]

[columns.finding]
from = "finding"
"""

RECIPE = """
name = "mine"
version = "1.0.0"
date = "2026-02-01"
title = "Mine"
sources = ["mine.toml"]

[labels]
Sick = { mine = ["sick"] }
Well = { mine = ["well"] }

[split]
salt = "mine"
"""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with a declaration and files."""
    (tmp_path / "mine.toml").write_text(SOURCE)
    for name in ("sick/a.png", "well/b.png"):
        (tmp_path / "files" / name).parent.mkdir(parents=True)
        (tmp_path / "files" / name).write_text(name)
    return tmp_path


def pin(here: Path, *words: str) -> str:
    done = run("fetch", "mine.toml", "--from=mine=files", "--pin", *words, cwd=here)
    assert done.status == 0, done.err
    return done.out


def test_the_advised_command_fetches_the_source(here: Path) -> None:
    """Also where other files than the pinned ones were accepted, or nothing says where they come from."""
    (here / "recipe.toml").write_text(RECIPE)
    pin(here)
    (here / "files" / "sick" / "c.png").write_text("new")
    accepted = run("fetch", "mine.toml", "--from=mine=files", "--allow-unpinned", cwd=here)
    assert accepted.status == 0, accepted.err
    shutil.rmtree(here / "data" / "sources" / "mine")
    said = run("plan", "--recipe", "recipe.toml", cwd=here, COLUMNS="900").err
    assert "the source mine is not there" in said
    words = shlex.split(said.partition("Run `cxrbuild ")[2].partition("`")[0])
    assert words[-3:] == ["--from", f"mine={here / 'files'}", "--allow-unpinned"]
    assert run(*words, cwd=here).status == 0
    # Files that no entry of the lock knows can be recorded in place with a git tree alone.
    (here / "data" / "sources.lock.json").unlink()
    (here / "mine.toml").write_text(SOURCE)
    said = run("plan", "--recipe", "recipe.toml", cwd=here, COLUMNS="900").out
    assert f"run `cxrbuild fetch {here / 'mine.toml'} --from mine=...`, which records the files" in said


def test_what_was_fetched_is_shown_if_other_sources_fail(here: Path) -> None:
    (here / "other.toml").write_text(SOURCE.replace('name = "mine"', 'name = "other"'))
    ran = run("fetch", "mine.toml", "other.toml", "--from=mine=files", cwd=here)
    assert ran.status == 1
    assert "other: " in ran.err
    rows = [line.split() for line in ran.out.splitlines()]
    assert ["mine", "fetched", "unpinned", "2", "0.0", "MB"] in rows
    ran = run("fetch", "mine.toml", "other.toml", "--from=mine=files", "--json", cwd=here)
    assert "mine    present" in ran.err
    assert json.loads(ran.out)["error"]["status"] == 1


def test_the_pin_is_added_and_the_rest_stays(here: Path) -> None:
    said = pin(here)
    assert said.startswith("Written: mine.toml\nWritten: mine.tsv\n")
    assert "mine    present  git tree      2" in said
    text = (here / "mine.toml").read_text()
    assert text.startswith(f"{SOURCE}\n[pin]\ntree = ")
    source = read_source("mine.toml", here)
    assert source.listing is not None
    assert sorted(source.listing) == ["sick/a.png", "well/b.png"]
    assert pin(here).splitlines()[0].startswith("source")
    assert (here / "mine.toml").read_text() == text


def test_changed_files_are_refused_until_they_are_pinned(here: Path) -> None:
    pin(here)
    (here / "files" / "sick" / "a.png").write_text("changed")
    words = ("fetch", "mine.toml", "--from=mine=files", "--data", "other", "--pin")
    refused = run(*words, cwd=here)
    assert refused.status == 1
    said = " ".join(refused.err.split())
    assert "1 image with other bytes: sick/a.png" in said
    origin = quote(f"mine={here / 'files'}")
    compared = f"`cxrbuild fetch --propose-pin mine.toml --from {origin}` lists what changed. "
    assert compared in said
    # Both ways out, each as it can be copied.
    command = f"cxrbuild fetch mine.toml --data other --from {origin} --allow-unpinned --pin"
    assert f"If they are a new version, pin it: `{command}` writes their hashes into mine.toml." in said
    assert f"add `--from mine={here / 'files'} --allow-unpinned`" in said
    before = read_source("mine.toml", here).pin.tree
    done = run(*words, "--allow-unpinned", cwd=here)
    assert done.status == 0, done.err
    assert "git tree" in done.out
    assert read_source("mine.toml", here).pin.tree != before


def test_a_table_in_the_middle_keeps_its_place_and_its_comments(here: Path) -> None:
    old = "[pin]  # of 2020\ncommit = " + '"' + "0" * 40 + '"\n# Ask Jane before you change it.\n'
    (here / "mine.toml").write_text(SOURCE.replace("[reader]", f"{old}\n[reader]"))
    pin(here)
    text = (here / "mine.toml").read_text()
    tree = read_source("mine.toml", here).pin.tree
    new = f'[pin]  # of 2020\ntree = "{tree}"\nlisting = "mine.tsv"\n# Ask Jane before you change it.\n'
    assert text == SOURCE.replace("[reader]", f"{new}\n[reader]")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"pin = {{ date = '2020-01-01' }}\n{SOURCE}", "the pin cannot be written into this declaration"),
        (f"pin.date = '2020-01-01'\n{SOURCE}", "the pin cannot be written into this declaration"),
    ],
)
def test_a_pin_in_another_form_is_left_as_it_was(text: str, message: str, here: Path) -> None:
    (here / "mine.toml").write_text(text)
    done = run("fetch", "mine.toml", "--from=mine=files", "--pin", cwd=here)
    assert done.status == 1
    assert message in " ".join(done.err.split())
    assert (here / "mine.toml").read_text() == text
    assert not (here / "mine.tsv").exists()


def test_another_file_is_not_overwritten(here: Path) -> None:
    (here / "mine.tsv").write_text("years of work\n")
    done = run("fetch", "mine.toml", "--from=mine=files", "--pin", cwd=here)
    assert done.status == 1
    assert "it is not overwritten" in " ".join(done.err.split())
    assert (here / "mine.tsv").read_text() == "years of work\n"
    assert (here / "mine.toml").read_text() == SOURCE


def test_a_deleted_listing_is_written_again(here: Path) -> None:
    pin(here)
    listing = (here / "mine.tsv").read_bytes()
    (here / "mine.tsv").unlink()
    done = run("fetch", "mine.toml", "--pin", cwd=here)
    assert done.status == 1
    assert "remove the line `listing`: `cxrbuild fetch --pin` then writes it again" in " ".join(
        done.err.split()
    )
    text = (here / "mine.toml").read_text()
    (here / "mine.toml").write_text(text.replace('listing = "mine.tsv"\n', ""))
    pin(here)
    assert (here / "mine.toml").read_text() == text
    assert (here / "mine.tsv").read_bytes() == listing


def test_from_python(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(here)
    result = cxrbuild.fetch(["mine.toml"], origins={"mine": "files"}, pin=True)
    assert result.sources["mine"].locked.proof == "git tree"
    with pytest.raises(CxrbuildError, match="the shipped source cohen has its pin already"):
        cxrbuild.fetch(["cohen"], pin=True)


RECIPE = """name = "clinic"
version = "1.0.0"
title = "Clinic"
date = "2020-01-01"
sources = ["mine.toml"]

[labels]
Sick = { mine = ["sick"] }
Well = { mine = ["well"] }

[split]
salt = "1"
test = { share = 0.5 }
allow_empty = { train = ["Sick", "Well"], test = ["Sick", "Well"] }

[[rules]]
name = "unlabelled"
kind = "labelled"
reason = "no class"
"""


def other_declaration(here: Path) -> Path:
    """Pin `mine` to its files in one folder, and to files of which one is another in a second folder."""
    pin(here)
    place = here / "other"
    for name in ("sick/a.png", "well/b.png"):
        (place / "files" / name).parent.mkdir(parents=True)
        (place / "files" / name).write_text(name)
    (place / "files" / "sick" / "a.png").write_text("another image")
    (place / "mine.toml").write_text(SOURCE)
    (place / "recipe.toml").write_text(RECIPE)
    done = run("fetch", "mine.toml", "--from=mine=files", "--pin", "--data", "own", cwd=place)
    assert done.status == 0, done.err
    return place


def test_files_of_another_pin_are_not_verified(here: Path) -> None:
    place = other_declaration(here)
    tree = read_source("mine.toml", place).pin.tree
    words = ("plan", "--recipe", "recipe.toml", "--allow-missing", "--data")
    own = run(*words, "own", cwd=place)
    assert (own.status, "npinned" in own.out) == (0, False), own.err
    planned = run(*words, "../data", cwd=place)
    assert planned.status == 0, planned.err
    assert "Unpinned: mine." in planned.out
    said = " ".join(planned.err.split())
    assert f"expected git tree {tree}; found git tree {read_source('mine.toml', here).pin.tree}" in said
    assert (
        f"run `cxrbuild fetch {quote(place / 'mine.toml')} --from mine=... --data {quote(Path('../data'))}`"
        in said
    )
    states = [cxrbuild.list_sources(here / "data", [one / "mine.toml"])[0].fetched for one in (here, place)]
    assert states == ["verified", "another version"]
    locked = read_lock(here / "data")["mine"]
    found = locked_against(read_source("mine.toml", place), here / "data", locked)
    assert (found.proof, found.unpinned, list(found.different)) == ("names", True, ["sick/a.png"])


def test_the_same_files_of_another_declaration_are_verified(here: Path) -> None:
    pin(here)
    (here / "copy").mkdir()
    text = (here / "mine.toml").read_text()
    (here / "copy" / "mine.toml").write_text(text.replace('"mine.tsv"', '"../mine.tsv"'))
    (state,) = cxrbuild.list_sources(here / "data", [here / "copy" / "mine.toml"])
    assert state.fetched == "verified"


@pytest.mark.parametrize(("digest", "state"), [("a", "verified"), ("b", "another version")])
def test_an_archive_is_compared_by_the_hash_that_was_verified(digest: str, state: str, here: Path) -> None:
    pin(here)
    locked = read_lock(here / "data")["mine"]
    archive = Pin(sha256="a" * 64, listing="names.txt")
    write_lock(here / "data", {"mine": replace(locked, pin=archive, proof="archive and names")})
    (here / "mine.txt").write_text("sick/a.png\nwell/b.png\n")
    (here / "mine.toml").write_text(f'{SOURCE}\n[pin]\nsha256 = "{digest * 64}"\nlisting = "mine.txt"\n')
    assert cxrbuild.list_sources(here / "data", [here / "mine.toml"])[0].fetched == state


@pytest.mark.parametrize(
    ("download", "keys"),
    [
        ('url = "https://example.org/1/mine.zip"', "download.url is"),
        (
            'url = "https://example.org/1/mine.zip"\nmirrors = { far = "https://example.net/mine.zip" }',
            "download.url, download.mirrors.far are",
        ),
        ("strip = 0", None),
    ],
)
def test_addresses_of_other_files_are_named(here: Path, download: str, keys: str | None) -> None:
    (here / "mine.toml").write_text(f"{SOURCE}\n[download]\n{download}\n")
    said = " ".join(pin(here).split())
    if keys is None:
        assert "as before" not in said
        return
    assert f"mine.toml: {keys} as before, and the pinned files came from {here / 'files'}." in said
    assert download in (here / "mine.toml").read_text()
    # Nothing was written, so nothing is left behind.
    assert "as before" not in pin(here)


def test_removed_keys_of_the_version_before_are_named(here: Path) -> None:
    pin(here)
    declared = here / "mine.toml"
    declared.write_text(declared.read_text() + f'commit = "{"1" * 40}"\ndate = "2020-01-01"\n')
    (here / "files" / "sick" / "a.png").write_text("changed")
    said = " ".join(pin(here, "--allow-unpinned").split())
    assert "mine.toml: removed pin.commit, pin.date of the version before." in said
    assert "2020-01-01" not in declared.read_text()


@pytest.mark.usefixtures("quick_retries")
def test_files_of_the_declared_address_have_no_other_address(here: Path, server: Server) -> None:
    archive = shutil.make_archive(str(here / "mine"), "zip", here / "files")
    server.answers["/mine.zip"] = [Answer(Path(archive).read_bytes())]
    (here / "mine.toml").write_text(f'{SOURCE}\n[download]\nurl = "{server.url}/mine.zip"\n')
    done = run("fetch", "mine.toml", "--pin", cwd=here)
    assert done.status == 0, done.err
    assert "Written: mine.toml" in done.out
    assert "as before" not in " ".join(done.out.split())


def test_fetch_says_that_a_key_is_needed_and_how_to_make_one(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    pattern = 'pattern = "^(?P<finding>[^/]+)/(?P<patient>[^/]+)[.]png"'
    text = SOURCE.replace('pattern = "^(?P<finding>[^/]+)/"', pattern)
    (here / "mine.toml").write_text(text + '\n[columns.patient_id]\nfrom = "patient"\n')
    for more in ((), ("--pin",), ()):
        done = run("fetch", "mine.toml", "--from=mine=files", *more, cwd=here)
        assert done.status == 0, done.err
        said = " ".join(done.out.split())
        assert said.count("mine: `plan` needs a secret of yours to hash its patient numbers with.") == 1
        assert "python -c 'import secrets; print(secrets.token_hex())'" in said
        assert "Then run this command again" in said
    (here / "recipe.toml").write_text(RECIPE)
    refused = " ".join(run("plan", "--recipe", "recipe.toml", cwd=here).err.split())
    assert "no key to hash patient numbers with" in refused
    assert "Then run `cxrbuild fetch" in refused
    monkeypatch.setenv(KEY_VARIABLE, "a secret of some length")
    # The note is right: without the second fetch, no plan is made.
    assert run("plan", "--recipe", "recipe.toml", cwd=here).status == 1
    done = run("fetch", "mine.toml", "--from=mine=files", cwd=here)
    assert "secret" not in done.out
    assert "mine: recorded that its patient numbers are hashed with the key" in " ".join(done.out.split())
    assert "recorded" not in run("fetch", "mine.toml", "--from=mine=files", cwd=here).out
    ran = run("plan", "--recipe", "recipe.toml", cwd=here)
    assert ran.status == 0, ran.err
