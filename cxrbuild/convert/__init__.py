"""Read chest radiographs of any supported format, and convert them to 8-bit one-channel JPEG.

The content of a file decides whether it is a PNG, a JPEG or a DICOM file; its name is ignored. All readers
of images use this package, so that the training image, the audit, the marks and the review page agree.

- `read_image` returns pixels: upright, transparency over black, 8 bits, grey or RGB.
- `to_jpeg` returns a JPEG: luma as ITU-R 601 weighs it, without the source's metadata. A JPEG that already
  is 8-bit, one-channel and upright is copied byte for byte, with its EXIF and comments.

ICC profiles are ignored: models are trained on code values, and TensorFlow, OpenCV and torchvision do not
apply profiles either. One module holds one format; `exclusion` holds the reasons why a file is not converted.
"""

from cxrbuild.convert.conversion import Jpeg, Settings, to_jpeg
from cxrbuild.convert.exclusion import NotConvertible, Reason
from cxrbuild.convert.reading import MAX_PIXELS, read_image

__all__ = ["MAX_PIXELS", "Jpeg", "NotConvertible", "Reason", "Settings", "read_image", "to_jpeg"]
