"""NumPy arrays of all images of a split, named as in MedMNIST, https://medmnist.com."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import IO, Any
from zipfile import ZIP_STORED, ZipFile, ZipInfo

import numpy as np

from cxrbuild.exporting.images import ExportImages

# MedMNIST's names of the splits.
_SPLITS = {"train": "train", "validation": "val", "test": "test"}


def write_npz(images: ExportImages, folder: Path) -> list[str]:
    """Write ``<name>_<size>.npz`` with images, labels, ids and folds of each split.

    Images are written one after another, so that memory does not grow with their number. Times are those of
    the oldest ZIP file, so that the same images give the same bytes.
    """
    name = _file_name(images)
    assert images.size is not None
    with ZipFile(folder / name, "x", ZIP_STORED) as archive:
        for split in images.splits:
            short, rows = _SPLITS[split], images.rows[images.rows["split"] == split]
            with _entry(archive, f"{short}_images") as stream:
                header = {
                    "descr": np.lib.format.dtype_to_descr(np.dtype(np.uint8)),
                    "fortran_order": False,
                    "shape": (len(rows), images.size, images.size),
                }
                np.lib.format.write_array_header_1_0(stream, header)
                for _, pixels in images.pixels(split):
                    stream.write(pixels.tobytes())
            targets = rows["label"].map(images.classes.index).to_numpy(np.uint8)
            _write(archive, f"{short}_labels", targets[:, None])
            _write(archive, f"{short}_ids", rows["image_id"].to_numpy(np.str_))
            if rows["fold"].notna().all():
                _write(archive, f"{short}_folds", rows["fold"].to_numpy(np.int64)[:, None])
    return [name] * len(images.rows)


def npz_usage(images: ExportImages) -> str:
    """Return code that loads the arrays."""
    short = _SPLITS[images.splits[0]]
    return (
        "import numpy as np\n\n"
        f'arrays = np.load("{_file_name(images)}")\n'
        f'print(arrays["{short}_images"].shape, arrays["{short}_labels"].shape, arrays["{short}_ids"][:3])'
    )


def _file_name(images: ExportImages) -> str:
    return f"{images.dataset.name}_{images.size}.npz"


def _entry(archive: ZipFile, name: str) -> IO[bytes]:
    # Any entry may become larger than 2 GiB.
    return archive.open(ZipInfo(f"{name}.npy"), "w", force_zip64=True)


def _write(archive: ZipFile, name: str, array: np.ndarray[Any, Any]) -> None:
    stream = BytesIO()
    np.lib.format.write_array(stream, array, allow_pickle=False)
    with _entry(archive, name) as entry:
        entry.write(stream.getvalue())
