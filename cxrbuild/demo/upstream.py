"""Make four small sources with the layouts and irregularities of the paper's sources, and serve them."""

from __future__ import annotations

import csv
import io
import shutil
import tarfile
import threading
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxrbuild.catalog import DEFAULT_RECIPE, read_recipe, read_source
from cxrbuild.demo.phantom import phantom
from cxrbuild.fetching.pin import files_on_disk
from cxrbuild.fetching.record import format_record, git_tree_of
from cxrbuild.files import sha256_of, write_bytes
from cxrbuild.progress import silent

if TYPE_CHECKING:
    from PIL.Image import Image

# Images of each class and split in the Mooney-like source; like Mendeley's archive it has no `val`.
_FOLDERS = {"train/NORMAL": 14, "test/NORMAL": 4, "train/PNEUMONIA": 22, "test/PNEUMONIA": 5}
_TEST_COUNT = 6
_SMALL = ("cohen", "figure1", "actualmed")


def make_upstream(root: Path) -> Path:
    """Make the four sources and their declarations.

    Parameters
    ----------
    root
        An empty folder; it gets ``upstream/`` (the archives to serve) and ``declared/`` (sources and
        listings, pinned to these archives, and a recipe like the paper's).

    Returns
    -------
    pathlib.Path
        The recipe. ``serve_upstream`` serves its sources.
    """
    trees = root / "trees"
    _make_cohen(trees / "cohen")
    _make_figure1(trees / "figure1")
    _make_actualmed(trees / "actualmed")
    _make_mooney(trees / "mooney")
    served, declared = root / "upstream", root / "declared"
    served.mkdir()
    for name in _SMALL:
        with tarfile.open(served / f"{name}.tar.gz", "w:gz") as archive:
            archive.add(trees / name, f"{name}-demo")
    with zipfile.ZipFile(served / "mooney.zip", "w") as zipped:
        for path in sorted((trees / "mooney").rglob("*.jpeg")):
            zipped.write(path, path.relative_to(trees / "mooney"))
        zipped.writestr("__MACOSX/chest_xray/._.DS_Store", b"\0")
    for name in (*_SMALL, "mooney"):
        _declare(name, trees / name, served, declared)
    shutil.rmtree(trees)
    return _recipe(declared)


@contextmanager
def serve_upstream(folder: Path) -> Iterator[str]:
    """Serve a folder over HTTP on the loopback and yield its address."""
    handler = partial(_Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Write no log: the command line reports progress."""


def _make_cohen(tree: Path) -> None:
    from PIL import ImageDraw

    header = _header("cohen")
    rows = []
    for patient in range(1, 17):
        # Some patients have several images: the split must keep them together.
        for day in range(1 + patient % 3):
            name = f"case-{patient:02d}-day{day}.{'png' if patient % 4 == 0 else 'jpg'}"
            rows.append([patient, day, "M", 40 + patient, "COVID-19, ARDS", "AP Supine", "X-ray", name])
    rows += [
        [20, 0, "F", 61, "COVID-19", "L", "X-ray", "lateral.jpg"],
        [21, 0, "F", 58, "COVID-19", "Axial", "CT", "slice.jpg"],
        [22, 0, "", "", "SARS", "PA", "X-ray", "sars.jpg"],
        [23, 0, "", "", "todo", "?", "X-ray", "not-yet-read.jpg"],
        [24, 0, "M", 70, "COVID-19", "PA", "X-ray", "arrow.jpg"],
        [25, 0, "M", 33, "COVID-19", "Axial", "CT", "volume.nii.gz"],
    ]
    for *_, finding, view, _, filename in rows:
        name = str(filename)
        if name.endswith(".nii.gz"):
            continue
        image = phantom(f"cohen/{name}", str(finding).split(",", maxsplit=1)[0], lateral=view == "L")
        if name == "arrow.jpg":
            image = image.convert("RGB")
            ImageDraw.Draw(image).polygon([(70, 150), (110, 140), (104, 168)], fill=(250, 220, 30))
        _save(image.convert("RGBA") if name.endswith(".png") else image, tree / "images" / name)
    _save(phantom("cohen/stray", ""), tree / "images" / "no-row.jpg")
    names = ["patientid", "offset", "sex", "age", "finding", "view", "modality", "filename"]
    table = [dict(zip(names, row, strict=True)) for row in rows]
    for row in table:
        row |= {
            "folder": "volumes" if row["filename"] == "volume.nii.gz" else "images",
            "license": "CC BY 4.0" if int(str(row["patientid"])) % 2 else "",
            "url": "https://example.org/case-report",
        }
    _write_csv(tree / "metadata.csv", header, table, "utf-8")


def _make_figure1(tree: Path) -> None:
    rows: list[dict[str, object]] = [
        {"patientid": f"COVID-{n:05d}{letter}", "age": "50+", "finding": "COVID-19", "modality": "X-ray"}
        for n, letter in ((1, ""), (2, ""), (3, "a"), (3, "b"), (4, ""))
    ]
    rows.append({"patientid": "COVID-00005", "finding": "No finding", "view": "PA", "modality": "X-ray"})
    for row in rows:
        _save(phantom(f"figure1/{row['patientid']}", "COVID-19"), tree / "images" / f"{row['patientid']}.jpg")
    _write_csv(tree / "metadata.csv", _header("figure1"), rows, "latin-1")


def _make_actualmed(tree: Path) -> None:
    rows: list[dict[str, object]] = [
        {
            "patientid": f"ANON{n}",
            "finding": "COVID-19" if n < 7 else "No finding",
            "view": "PA" if n % 2 else "AP",
            "modality": "X-ray",
            "imagename": f"DX.1.{n}.png",
        }
        for n in range(9)
    ]
    for row in rows:
        image = phantom(f"actualmed/{row['imagename']}", str(row["finding"]))
        _save(image.convert("RGB"), tree / "images" / str(row["imagename"]))
    _write_csv(tree / "metadata.csv", _header("actualmed"), rows, "utf-8")


def _make_mooney(tree: Path) -> None:
    for folder, count in _FOLDERS.items():
        split, label = folder.split("/")
        for n in range(count):
            kind = "bacteria" if n % 2 else "virus"
            # The splits have different patient numbers: each patient has images in one split only.
            number = n + (500 if split == "test" else 1)
            name = f"IM-{number:04d}-0001" if label == "NORMAL" else f"person{number}_{kind}_{number}"
            image = phantom(f"mooney/{folder}/{n}", "Pneumonia" if label == "PNEUMONIA" else "")
            _save(image, tree / "chest_xray" / folder / f"{name}.jpeg")


def _header(name: str) -> list[str]:
    header = getattr(read_source(name).reader, "header", None)
    assert header is not None
    return list(header)


def _save(image: Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def _write_csv(path: Path, header: Sequence[str], rows: Sequence[dict[str, object]], encoding: str) -> None:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, header, restval="")
    writer.writeheader()
    writer.writerows(rows)
    write_bytes(path, text.getvalue().encode(encoding))


def _declare(name: str, tree: Path, served: Path, declared: Path) -> None:
    """Write a declaration like the shipped one, pinned to the synthetic files."""
    import tomli_w

    source = read_source(name)
    files = files_on_disk(tree, {}, title="", progress=silent)
    document = source.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
    document["download"].pop("url")
    document["download"].pop("mirrors", None)
    document["download"].pop("credentials", None)
    document["title"] = f"Synthetic images laid out as the source {name}"
    document["description"] = "Made by `cxrbuild demo`."
    document["citation"] = f"The cxrbuild authors: {document['title']}, 2026"
    document.pop("homepage", None)
    document.pop("lung_masks", None)
    document["license"] = "CC0-1.0"
    if name == "mooney":
        archive = served / "mooney.zip"
        document["pin"] = {"sha256": sha256_of(archive), "bytes": archive.stat().st_size}
        document["pin"]["listing"] = "mooney.txt"
        write_bytes(declared / "mooney.txt", "".join(f"{path}\n" for path in sorted(files)).encode())
    else:
        document["pin"] = {"tree": git_tree_of(files), "listing": f"{name}.tsv"}
        write_bytes(declared / f"{name}.tsv", format_record(files).encode())
    write_bytes(declared / f"{name}.toml", tomli_w.dumps(document).encode())


def _recipe(declared: Path) -> Path:
    import tomli_w

    recipe = read_recipe(DEFAULT_RECIPE)
    document = recipe.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
    document = {key: document[key] for key in ("labels", "rules", "split")}
    document["split"]["salt"] = "demo"
    document["split"].pop("links", None)
    document["split"]["declared"][0]["map"].pop("val", None)
    document["split"]["test"]["count"] = {"COVID-19": _TEST_COUNT}
    document |= {
        "name": "demo-cxr",
        "version": "1.0.0",
        "date": "2026-11-23",
        "title": "A demonstration dataset of synthetic images",
        "sources": [f"{name}.toml" for name in (*_SMALL, "mooney")],
        "reviews": ["reviews.csv"],
        # As in the paper's dataset, a class is a source. Drawn images of a class resemble each other.
        "audit": {
            "report": [
                "confounding",
                "probe_border",
                "probe_encoder",
                "probe_histogram",
                "probe_thumbnail",
            ]
        },
    }
    write_bytes(
        declared / "reviews.csv",
        b"source,path,mark,marks_finding,note\ncohen,images/arrow.jpg,arrow,yes,one yellow arrowhead\n",
    )
    path = declared / "recipe.toml"
    write_bytes(path, tomli_w.dumps(document).encode())
    return path
