"""The names of the files and folders of builds and releases."""

from __future__ import annotations

# Of builds and releases.
BUILD = "build.json"
LEDGER = "ledger.parquet"
MANIFEST = "manifest.parquet"
PARQUET = "data"
TFRECORD = "tfds"
# In a folder of TensorFlow Datasets.
TFDS_INFO = "dataset_info.json"

# Of plans alone: a build has them in `build.json`.
PLAN = "plan.json"
CORRECTIONS = "corrections.json"
EXACTNESS = "exactness.json"

# Of proposed pins alone: the metadata of the version, and the table of what changed. The declaration is next
# to them.
METADATA = "metadata"
CHANGES = "changes.csv"

# Of builds alone.
FUNNEL = "funnel.csv"
IMAGES = "images"
STATE = ".cxrbuild"
# The folders of a build that contain nothing but its own files.
OWN_FOLDERS = (IMAGES, PARQUET, TFRECORD, STATE)
AUDIT = "audit.json"
AUDIT_PAGE = "audit.html"
AUDIT_PAIRS = "audit-pairs.csv"
AUDIT_LINKS = "audit-links.csv"
BASELINE_FOLDER = "baseline"
METRICS = "metrics.json"
BASELINE = f"{BASELINE_FOLDER}/{METRICS}"
EXPLANATION_FOLDER = "explanation"
EXPLANATION = f"{EXPLANATION_FOLDER}/explanation.json"

# Of trainings alone: what each leaves, and a comparison of several.
MODEL = "model.keras"
HISTORY = "history.json"
TIMING = "timing.json"
TRAINED_ON = "trained_on.parquet"
COMPARISON = "comparison.json"

# Of releases alone. A release has the audit result under its name in the build.
SUMS = "SHA256SUMS"
SIGNATURE = f"{SUMS}.sig"
SIZES = "sizes"
RELEASED_BASELINE = "baseline.json"
RELEASED_EXPLANATION = "explanation.json"
CARD = "README.md"
CHANGELOG = "CHANGELOG.md"
REPORT = "report.html"
CROISSANT = "croissant.json"
RO_CRATE = "ro-crate-metadata.json"
CITATION = "CITATION.cff"
BIBTEX = "CITATION.bib"
ATTRIBUTION = "ATTRIBUTION.csv"
IMAGE_LIST = "images.csv"
# Every file of a release but the shards; a release can lack the results.
OF_RELEASE = (
    BUILD, LEDGER, MANIFEST, AUDIT, RELEASED_BASELINE, RELEASED_EXPLANATION, CARD, CHANGELOG, REPORT,
    CROISSANT, RO_CRATE, CITATION, BIBTEX, ATTRIBUTION, IMAGE_LIST,
)  # fmt: skip


def jpeg_path(split: str, label: str, image_id: str) -> str:
    """Return the path of an image's JPEG within a build.

    Examples
    --------
    >>> jpeg_path("test", "Normal", "mooney_im-0001_0123456789")
    'images/test/Normal/mooney_im-0001_0123456789.jpg'
    """
    return f"{IMAGES}/{split}/{label}/{image_id}.jpg"


def parquet_shard(split: str, number: int, count: int) -> str:
    """Return the path of a Parquet shard within a build or release, as Hugging Face datasets expects it."""
    return f"{PARQUET}/{split}-{number:05d}-of-{count:05d}.parquet"


def sized_folder(size: int) -> str:
    """Return the folder of a release with the images at a ready size."""
    return f"{SIZES}/{size}"


def sized_shard(size: int, split: str, number: int, count: int) -> str:
    """Return the path of a shard with images at a ready size, within a release."""
    return f"{sized_folder(size)}/{split}-{number:05d}-of-{count:05d}.parquet"


def tfrecord_folder(name: str, version: str) -> str:
    """Return the folder of the TFRecord shards, as ``tfds.builder_from_directory`` opens it.

    TensorFlow Datasets takes names in snake_case only.
    """
    return f"{TFRECORD}/{name.replace('-', '_')}/{version}"


def tfrecord_shard(name: str, version: str, split: str, number: int, count: int) -> str:
    """Return the path of a TFRecord shard within a build or release."""
    file = f"{name.replace('-', '_')}-{split}.tfrecord-{number:05d}-of-{count:05d}"
    return f"{tfrecord_folder(name, version)}/{file}"
