"""Try what a fingerprint gives away: reconstruct its images, and identify its patients from other images.

    python tests/benchmarks/bench_disclosure.py --build BUILD --source mooney [--images 200] [--seed 1]

BUILD is a folder that `cxrbuild curate` wrote. Everything is computed from what a fingerprint has.

Reconstruction. *Pasted*: the patches around the keypoints are computed from their DCT coefficients and pasted
where they are, from coarse to fine. *Learned*: ridge regression from that to the image at 32 x 32 pixels,
fitted to other patients' images, as one who has X-rays of others can do. Values are correlations with the
image, at several resolutions, and the share of reconstructions that the audit's own comparison takes for the
radiograph. The mean of all images is the baseline.

Re-identification. For patients with two images that are no duplicates, one is in the fingerprint and the
attacker has the other. All images of the source are ranked by how much they resemble it. Rank 1 is the share
of patients whose image comes first.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from scipy.fft import idctn

from cxrbuild import load
from cxrbuild.auditing.descriptors import COEFFICIENTS, MOST_KEYPOINTS, THUMBNAIL_SIDE
from cxrbuild.auditing.keypoints import Keypoints, Whitening, fit_whitening
from cxrbuild.auditing.registration import register
from cxrbuild.auditing.store import DescriptorStore, DescriptorTable
from cxrbuild.cli.output import table

Pixels = NDArray[np.float32]
PATCH, FREQUENCIES, SIDE = 17, 6, 32
IDENTITY = np.array([1, 1, 0, 0], np.float32)


def pasted(keypoints: Pixels, coefficients: Pixels) -> Pixels:
    """Return the image that patches give, pasted from coarse to fine: a square of a thumbnail's side."""
    side = THUMBNAIL_SIDE
    spectra = np.zeros((len(keypoints), PATCH, PATCH), np.float32)
    block = np.concatenate([np.zeros((len(keypoints), 1), np.float32), coefficients], 1)
    spectra[:, :FREQUENCIES, :FREQUENCIES] = block.reshape(-1, FREQUENCIES, FREQUENCIES)
    patches: Pixels = idctn(spectra, axes=(1, 2))
    canvas = resized(patches[0], side, side)
    window = np.hanning(PATCH + 2)[1:-1]
    window = np.outer(window, window)
    order = np.argsort(-keypoints[1:, 2], kind="stable") + 1
    for slot in order:
        x, y, half_width, half_height = keypoints[slot]
        left, right = round((x - half_width) * side), round((x + half_width) * side)
        top, bottom = round((y - half_height) * side), round((y + half_height) * side)
        if half_width <= 0 or left < 0 or top < 0 or right > side or bottom > side:
            continue
        place = (slice(top, bottom), slice(left, right))
        patch = resized(patches[slot], right - left, bottom - top)
        weight = resized(window, right - left, bottom - top)
        canvas[place] = (1 - weight) * canvas[place] + weight * (patch + canvas[place].mean())
    return canvas


def resized(pixels: NDArray[np.floating], width: int, height: int) -> Pixels:
    image = Image.fromarray(np.ascontiguousarray(pixels, np.float32))
    return np.array(image.resize((width, height), Image.Resampling.BICUBIC), np.float32)


def reduced(pixels: Pixels, side: int) -> Pixels:
    step = pixels.shape[-1] // side
    means: Pixels = pixels.reshape(*pixels.shape[:-2], side, step, side, step).mean((-3, -1))
    return means


def correlations(a: Pixels, b: Pixels) -> Pixels:
    a, b = (pixels.reshape(len(pixels), -1) for pixels in (a, b))
    a, b = (pixels - pixels.mean(1, keepdims=True) for pixels in (a, b))
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    found: Pixels = np.einsum("ij,ij->i", a, b) / np.maximum(norms, 1e-6)
    return found


def reconstructions_of(images: DescriptorTable) -> Pixels:
    keypoints, coefficients = (
        images.read(name).astype(np.float32) for name in ("keypoints", "dct_coefficients")
    )
    return np.stack([pasted(*one) for one in zip(keypoints, coefficients, strict=True)])


def standardized(reconstructions: Pixels) -> Pixels:
    flat = reconstructions.reshape(len(reconstructions), -1)
    flat = flat - flat.mean(1, keepdims=True)
    standard: Pixels = (flat / np.maximum(flat.std(1, keepdims=True), 1e-6)).astype(np.float32)
    return standard


def fit_ridge(features: Pixels, targets: Pixels, penalty: float) -> tuple[Pixels, Pixels, Pixels]:
    """Return the means of features and targets, and the weights."""
    mean, of_targets = features.mean(0), targets.mean(0)
    centred = features - mean
    normal = centred.T @ centred + penalty * len(features) * np.eye(features.shape[1], dtype=np.float32)
    return mean, of_targets, np.linalg.solve(normal, centred.T @ (targets - of_targets))


def report_reconstruction(images: DescriptorTable, others: DescriptorTable) -> None:
    """Print how the reconstructed reconstructions correlate with the images."""
    reconstructions, thumbnails = reconstructions_of(images), images.read("thumbnail").astype(np.float32)
    mean = others.read("thumbnail").astype(np.float32).mean(0)
    rows: list[list[object]] = []
    for side in (16, 32, 64, 128):
        originals = reduced(thumbnails, side)
        base = correlations(np.broadcast_to(reduced(mean, side), originals.shape), originals)
        found = correlations(reduced(reconstructions, side), originals)
        rows.append([f"{side} x {side}", f"{np.median(base):.2f}", f"{np.median(found):.2f}"])
    print(table(["normalized image at", "mean image", "pasted"], rows))
    same = [
        register(t, scaled(p), IDENTITY).similarity
        for t, p in zip(images.read("thumbnail"), reconstructions, strict=True)
    ]
    print(f"taken for the radiograph (similarity of 0.9): {np.mean(np.array(same) >= 0.9):.3f}, ", end="")
    print(f"similar (0.7): {np.mean(np.array(same) >= 0.7):.3f}, median {np.median(same):.2f}")
    frames = [standardized(one.read("frame").astype(np.float32)) for one in (images, others)]
    mean_frame = np.broadcast_to(frames[1].mean(0), frames[0].shape)
    results = [["mean image", f"{np.median(correlations(mean_frame, frames[0])):.2f}"]]
    for name, inputs in (
        ("learned from keypoints", (reconstructions, reconstructions_of(others))),
        ("learned from thumbnails", (thumbnails, others.read("thumbnail").astype(np.float32))),
    ):
        features = [standardized(reduced(pixels, SIDE)) for pixels in inputs]
        start, end, weights = fit_ridge(features[1], frames[1], 0.3)
        guessed = ((features[0] - start) @ weights + end).astype(np.float32)
        results.append([name, f"{np.median(correlations(guessed, frames[0])):.2f}"])
    print(table(["grey levels at 32 x 32", "correlation"], results))


def scaled(canvas: Pixels) -> NDArray[np.int8]:
    levels: NDArray[np.int8] = np.clip(np.rint(canvas / canvas.std() * 32), -127, 127).astype(np.int8)
    return levels


def bag_scores(query: DescriptorTable, images: DescriptorTable, whitening: Whitening) -> Pixels:
    """Return how many keypoints of each image are like one of the query near the same place, softly."""
    (positions, of_query), (there, of_images) = (
        Keypoints(one, range(1, MOST_KEYPOINTS)).read(slice(None)) for one in (query, images)
    )
    of_query = whitening.apply(of_query[0])
    scores = np.zeros(len(images), np.float32)
    for start in range(0, len(images), 512):
        batch = slice(start, start + 512)
        similarity = whitening.apply(of_images[batch]) @ of_query.T
        away = np.abs(there[batch, :, None, :2] - positions[0, None, None, :, :2]).max(-1)
        usable = (away < 0.12) & (there[batch, :, None, 2] > 0)
        scores[batch] = np.where(usable, np.maximum(similarity, 0) ** 3, 0).max(1).sum(1)
    return scores


def report_identification(
    rows: pd.DataFrame, images: DescriptorTable, most: int, draw: np.random.Generator
) -> None:
    """Print how often an image of a patient leads to another image of the same patient."""
    patients = rows.groupby("patient_id").indices
    several = [np.sort(found) for found in patients.values() if len(found) > 1]
    queries = []
    for number in draw.permutation(len(several)):
        a, b = draw.permutation(several[number])[:2]
        first, second = images.read("thumbnail", np.array([a, b]))
        if register(first, second, IDENTITY).similarity < 0.9:
            queries.append((int(a), int(b)))
        if len(queries) == most:
            break
    used = {patient for pair in queries for patient in rows["patient_id"].iloc[list(pair)]}
    training = np.flatnonzero(~rows["patient_id"].isin(used).to_numpy())
    whitening = fit_whitening(Keypoints(images, range(1, MOST_KEYPOINTS)))
    frames = images.read("dct_coefficients", slots=slice(0, 1)).astype(np.float32)[:, 0]
    frames = fit_whitening(Keypoints(images, range(1))).apply(frames.reshape(-1, COEFFICIENTS))
    reconstructions = standardized(reduced(reconstructions_of(images), SIDE))
    thumbnails = standardized(reduced(images.read("thumbnail").astype(np.float32), SIDE))
    numbers = rows["patient_id"].factorize()[0]
    learned = [project(pixels, numbers, training) for pixels in (reconstructions, thumbnails)]
    attacks: dict[str, Callable[[int], Pixels]] = {
        "whole frame": lambda q: frames @ frames[q],
        "keypoints": lambda q: bag_scores(images.select([q]), images, whitening),
        "learned from keypoints": lambda q: learned[0] @ learned[0][q],
        "learned from thumbnails": lambda q: learned[1] @ learned[1][q],
    }
    results: list[list[object]] = []
    for name, score in attacks.items():
        ranks, areas = [], []
        for query, target in queries:
            scores = score(query)
            others = numbers != numbers[query]
            ahead = np.count_nonzero(scores[others] >= scores[target])
            ranks.append(ahead + 1)
            areas.append(1 - ahead / np.count_nonzero(others))
        found = np.array(ranks)
        shares = [f"{np.mean(found <= most):.3f}" for most in (1, 10, 100)]
        results.append([name, *shares, f"{np.mean(areas):.3f}"])
    print(f"\n{len(queries)} patients, among {len(rows):,} images")
    print(table(["attack", "rank 1", "10", "100", "AUC"], results))


def project(pixels: Pixels, patients: NDArray[np.intp], training: NDArray[np.intp]) -> Pixels:
    """Return directions that differ between patients and not within one, fitted to some images (LDA)."""
    sample = pixels[training]
    mean = sample.mean(0)
    _, _, axes = np.linalg.svd(sample - mean, full_matrices=False)
    reduced_pixels = (pixels - mean) @ axes[:150].T
    sample, of = reduced_pixels[training], patients[training]
    means = pd.DataFrame(sample).groupby(of).transform("mean").to_numpy()
    # Patients with one image say nothing about what differs within one.
    within = np.cov((sample - means)[np.bincount(of)[of] > 1].T)
    values, vectors = np.linalg.eigh(within + 0.05 * np.trace(within) / len(within) * np.eye(len(within)))
    whitened = reduced_pixels @ (vectors / np.sqrt(values))
    unit: Pixels = (whitened / np.linalg.norm(whitened, axis=1, keepdims=True)).astype(np.float32)
    return unit


def main() -> None:
    """Print what was reconstructed, and which patients were identified."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=Path, required=True)
    parser.add_argument("--source", required=True)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    draw = np.random.default_rng(given.seed)
    rows = load(given.build).rows
    rows = rows[rows["source"].eq(given.source)].reset_index(drop=True)
    store = DescriptorStore(given.build / ".cxrbuild" / "audit")
    images = store.table(rows["jpeg_sha256"].tolist())
    assert (images.records >= 0).all(), "audit the build, or write its fingerprint, first"
    chosen = draw.permutation(len(rows))[: given.images]
    patients = rows["patient_id"].iloc[chosen]
    others = np.flatnonzero(~rows["patient_id"].isin(patients).to_numpy())
    others = draw.permutation(others)[:2000]
    print(f"{len(chosen)} images of {given.source}; learned from {len(others):,} images of other patients\n")
    report_reconstruction(images.select(chosen), images.select(others))
    report_identification(rows, images, given.images, draw)


if __name__ == "__main__":
    main()
