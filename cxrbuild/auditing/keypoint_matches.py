"""Find duplicates from keypoints alone, where there is no thumbnail to register.

Of each image, the keypoints that the transform between two candidates maps into the other image are counted.
Of a duplicate, most of them agree with one of the other image; of radiographs of two persons, hardly any.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cxrbuild.artifact.audit import DuplicateSearch
from cxrbuild.auditing import stages
from cxrbuild.auditing.agreement import Agreement, find_agreeing
from cxrbuild.auditing.candidates import Candidates, find_candidates
from cxrbuild.auditing.descriptors import MOST_KEYPOINTS, Floats
from cxrbuild.auditing.duplicates import Match
from cxrbuild.auditing.keypoints import Flags, Keypoints, Sides, fit_whitening
from cxrbuild.auditing.store import DescriptorTable
from cxrbuild.progress import Bar, Progress, silent

KEYPOINT_SHARE = 0.22
"""The share of keypoints that agree from which a pair is a near-duplicate."""

# Narrower than the distance of candidates: less agrees by chance.
_DISTANCE = 0.03
# The least number of keypoints that the share is of, so that a corner in common is not enough.
_LEAST_KEYPOINTS = 12


def find_keypoint_matches(
    images: DescriptorTable, state: Path, *, sides: Sides | None = None, progress: Progress = silent
) -> tuple[list[Match], DuplicateSearch]:
    """Find near-duplicates from keypoints alone. Their similarity is the share of keypoints that agree.

    Parameters
    ----------
    images
        The images' descriptors; those of keypoints suffice.
    state
        A folder for temporary files.
    sides
        Which dataset each image is in, where two are compared: see `Keypoints`.
    progress
        Opens progress bars.

    Returns
    -------
    list of Match
        The pairs, by number.
    DuplicateSearch
        How completely duplicates were searched.
    """
    with progress(stages.FINDING, len(images), "image"):
        candidates = find_candidates(images, state, sides=sides, progress=progress)
    with progress(stages.COMPARING, candidates.pairs, "pair") as bar:
        shares = _compare(images, candidates, bar)
    best: dict[tuple[int, int], tuple[float, bool]] = {}
    rows = zip(
        candidates.a.tolist(), candidates.b.tolist(), candidates.mirrored.tolist(), shares, strict=True
    )
    for a, b, mirrored, share in rows:
        # Where both transforms agree as well, the plain one is taken.
        if share >= KEYPOINT_SHARE and (share, not mirrored) > best.get((a, b), (0.0, False)):
            best[a, b] = share, not mirrored
    matches = [
        Match(a, b, "near-duplicate", share, () if plain else ("mirrored",))
        for (a, b), (share, plain) in sorted(best.items())
    ]
    return matches, candidates.describe_search()


def _compare(images: DescriptorTable, candidates: Candidates, bar: Bar) -> list[float]:
    """Return for each candidate the share of keypoints in the overlap that agree, the lesser of both."""
    if not len(candidates.a):
        return []
    keypoints = Keypoints(images, range(1, MOST_KEYPOINTS))
    pairs = candidates.a, candidates.b, candidates.mirrored, candidates.transforms
    shares: list[float] = []
    for found in find_agreeing(keypoints, fit_whitening(keypoints), *pairs, distance=_DISTANCE):
        transforms = candidates.transforms[len(shares) : len(shares) + len(found.here)]
        shares += _share(found, transforms).tolist()
        bar.update(int(candidates.first[len(shares) - len(found.here) : len(shares)].sum()))
    return shares


def _share(found: Agreement, transforms: Floats) -> Floats:
    scale, shift = transforms[:, None, :2], transforms[:, None, 2:]
    in_overlap = [
        (_is_inside(positions) & (of[..., 2] > 0)).sum(1)
        for positions, of in (
            (found.here[..., :2] * scale + shift, found.here),
            ((found.there[..., :2] - shift) / scale, found.there),
        )
    ]
    agreeing = np.minimum(found.in_a.sum(1), found.in_b.sum(1))
    share: Floats = agreeing / np.maximum(np.minimum(*in_overlap), _LEAST_KEYPOINTS)
    return share


def _is_inside(positions: Floats) -> Flags:
    inside: Flags = np.all((positions > _DISTANCE) & (positions < 1 - _DISTANCE), axis=-1)
    return inside
