"""Releases with damaged bytes, given to `verify`: every damage is found, and none stops it."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest
from figures import Figures
from releasing import sum_again

from cxrbuild.errors import CxrbuildError
from cxrbuild.verification import verify

pytestmark = pytest.mark.slow
DAMAGES = int(os.environ.get("CXRBUILD_DAMAGES", "1000")) // 10


def damage(path: Path, random_: random.Random) -> None:
    """Change, remove or add bytes of a file."""
    content = bytearray(path.read_bytes())
    at = random_.randrange(len(content))
    match random_.randrange(4):
        case 0:
            content[at] ^= 1 << random_.randrange(8)
        case 1:
            del content[at : at + random_.randrange(1, 2000)]
        case 2:
            content[at:at] = random_.randbytes(random_.randrange(1, 40))
        case _:
            del content[at:]
    # The other copies share the file's bytes.
    path.unlink()
    path.write_bytes(content)


@pytest.mark.parametrize("sums", ["as released", "made again"])
def test_a_damaged_file_of_a_release_is_found(
    public_release: Path, tmp_path: Path, figures: Figures, sums: str
) -> None:
    random_ = random.Random(sums)
    names = sorted(
        path.relative_to(public_release).as_posix() for path in public_release.rglob("*") if path.is_file()
    )
    for number in range(DAMAGES):
        folder = tmp_path / str(number)
        shutil.copytree(public_release, folder, copy_function=os.link)
        name = random_.choice(names)
        damage(folder / name, random_)
        if sums == "made again" and name != "SHA256SUMS":
            (folder / "SHA256SUMS").unlink()
            sum_again(folder)
        try:
            found = verify(folder).findings
        except CxrbuildError as error:
            # What says that the folder is a release may be damaged too.
            found = (str(error),)
        shutil.rmtree(folder)
        figures.add(f"damaged files with sums {sums}")
        figures.add(f"found with sums {sums}", bool(found))
        if sums == "as released":
            assert found, name
