"""Publish releases to folders, buckets, the Hugging Face Hub and Zenodo."""

from cxrbuild.publishing.publish import PublicationResult, publish
from cxrbuild.publishing.sending import Location, Step

__all__ = ["Location", "PublicationResult", "Step", "publish"]
