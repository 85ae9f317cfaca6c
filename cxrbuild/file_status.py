"""The status of files with the time of their last change, which Windows reports apart from the rest."""

from __future__ import annotations

import os
import sys

# The attributes that are members of the sequence too.
_FIRST = ("st_mode", "st_ino", "st_dev", "st_nlink", "st_uid", "st_gid", "st_size")


if sys.platform == "win32":
    import ctypes
    from ctypes import wintypes

    _READ_ATTRIBUTES, _SHARE_ALL, _OPEN_EXISTING = 0x80, 7, 3
    # Folders are opened too, and links themselves.
    _BACKUP_SEMANTICS, _OPEN_REPARSE_POINT = 0x02000000, 0x00200000
    # The start of 1970 in units of 100 ns since 1601.
    _EPOCH = 116_444_736_000_000_000

    class _BasicInfo(ctypes.Structure):
        _fields_ = (
            *((name, wintypes.LARGE_INTEGER) for name in ("created", "accessed", "written", "changed")),
            ("attributes", wintypes.DWORD),
        )

    _kernel32 = ctypes.WinDLL("kernel32")
    _kernel32.CreateFileW.restype = wintypes.HANDLE
    _kernel32.CreateFileW.argtypes = (
        wintypes.LPCWSTR, wintypes.DWORD, wintypes.DWORD, wintypes.LPVOID, wintypes.DWORD, wintypes.DWORD,
        wintypes.HANDLE,
    )  # fmt: skip
    _kernel32.GetFileInformationByHandleEx.argtypes = (
        wintypes.HANDLE, ctypes.c_int, wintypes.LPVOID, wintypes.DWORD,
    )  # fmt: skip
    _kernel32.CloseHandle.argtypes = (wintypes.HANDLE,)

    def _change_time_ns(path: str, follow_symlinks: bool) -> int | None:
        flags = _BACKUP_SEMANTICS | (0 if follow_symlinks else _OPEN_REPARSE_POINT)
        handle = _kernel32.CreateFileW(
            path, _READ_ATTRIBUTES, _SHARE_ALL, None, _OPEN_EXISTING, flags, None
        )  # fmt: skip
        if handle in (None, wintypes.HANDLE(-1).value):
            return None
        try:
            info = _BasicInfo()
            if not _kernel32.GetFileInformationByHandleEx(handle, 0, ctypes.byref(info), ctypes.sizeof(info)):
                return None
            # A file system that keeps no change time reports 0.
            return (info.changed - _EPOCH) * 100 if info.changed else None
        finally:
            _kernel32.CloseHandle(handle)
else:

    def _change_time_ns(_path: str, _follow_symlinks: bool) -> int | None:
        return None  # it is in the status


def status_of(path: str | os.PathLike[str], *, follow_symlinks: bool = False) -> os.stat_result:
    """Return the status of a file or folder; its change time (ctime) is one on Windows too.

    There, `os.stat` returns the time of creation as ``st_ctime``. An edit that keeps the size and sets back
    the modification time shows in the change time alone.

    Parameters
    ----------
    path
        The file or folder.
    follow_symlinks
        Whether a link stands for its target.

    Raises
    ------
    OSError
        The status cannot be read.
    """
    status = os.stat(path, follow_symlinks=follow_symlinks)  # noqa: PTH116 - entries of `os.scandir`, too
    changed = _change_time_ns(os.fspath(path), follow_symlinks)
    if changed is None:
        return status
    names = {name for name in dir(status) if name.startswith("st_")}.difference(_FIRST)
    values = {name: getattr(status, name) for name in names}
    values |= {"st_ctime": changed / 1_000_000_000, "st_ctime_ns": changed}
    return os.stat_result((*status[:9], changed // 1_000_000_000), values)
