"""Releases on their way out: folders, buckets, Hugging Face, Zenodo."""

from cxrbuild.publishing.publish import PublicationResult, publish
from cxrbuild.publishing.sending import Step

__all__ = ["PublicationResult", "Step", "publish"]
