"""Publish releases to folders, buckets, the Hugging Face Hub and Zenodo."""

from cxrbuild.publishing.publish import PublicationResult, publish
from cxrbuild.publishing.sending import FileToSend, Location

__all__ = ["FileToSend", "Location", "PublicationResult", "publish"]
