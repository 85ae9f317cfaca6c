"""Work on a folder in object storage through a copy on this machine.

Object storage has no renames, no locks and no append. What a folder promises is kept in another way: objects
are written whole, those that mark a build or release as complete are removed before the first change and
written last, and a lease object excludes a second writer. The copy stays, so that only what differs is copied
again. It is in ``$CXRBUILD_CACHE``, else ``~/.cache/cxrbuild``. Commands that write have a copy of their own,
so that a killed run is resumed from it, whatever was read meanwhile.
"""

from cxrbuild.remote.address import is_address, is_supported
from cxrbuild.remote.folder import RemoteFolder
from cxrbuild.remote.place import adding, copy_neighbours, reading, writing

__all__ = [
    "RemoteFolder", "adding", "copy_neighbours", "is_address", "is_supported", "reading", "writing",
]  # fmt: skip
