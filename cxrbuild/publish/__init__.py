"""Releases on their way out: folders, buckets, Hugging Face, Zenodo."""

from cxrbuild.publish.publish import Published, publish
from cxrbuild.publish.sending import Step

__all__ = ["Published", "Step", "publish"]
