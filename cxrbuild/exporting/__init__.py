"""Export the images of a build or release in the formats of other tools."""

from cxrbuild.exporting.export import ExportResult, default_folder, export
from cxrbuild.exporting.registry import FORMATS, ExportFormat

__all__ = ["FORMATS", "ExportFormat", "ExportResult", "default_folder", "export"]
