"""What local workers use most, imported once by the process that they are forked from.

That process has no threads, and must have none when it forks: a lock that a thread holds would stay locked in
the child. So numpy starts none, and Arrow and pandas are not imported here.
"""

from __future__ import annotations

from cxrbuild.executors import use_one_thread

use_one_thread()

import numpy as _numpy  # noqa: E402, F401
import PIL.JpegImagePlugin  # noqa: E402, F401

import cxrbuild.convert.batch  # noqa: E402, F401
