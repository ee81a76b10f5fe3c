"""Whether a file can be read at all, its hash, and writing that leaves a whole file or none."""

import errno
import glob
import hashlib
import os
import shutil
import stat
from contextlib import contextmanager
from pathlib import Path

from finalinfarct.errors import InputError

UNWRITABLE = {
    errno.ENOSPC: "free space there, or choose a larger disk, and run again",
    errno.EDQUOT: "free space there, or have the quota raised, and run again",
    errno.EROFS: "make the folder writable, or work in another one (snakemake --directory)",
    errno.EACCES: "make the folder writable, or work in another one (snakemake --directory)",
}
FAILING = (errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN)


def require_file(path):
    """Refuse a path that is not a file which can be read.

    Raises
    ------
    InputError
        It does not exist, is a folder or a device, or may not be read.
    OSError
        The disk failed, which says nothing of the path.
    """
    try:
        # Looked at before it is opened: opening a pipe would wait for ever.
        usable = stat.S_ISREG(os.stat(path).st_mode)
        if usable:
            open(path, "rb").close()
    except FileNotFoundError:
        raise InputError(path, "the file does not exist", "add it, or correct its name (docs/dataset.md)") from None
    except (OSError, ValueError) as fault:
        if getattr(fault, "errno", None) in FAILING:
            raise
        reason = getattr(fault, "strerror", None) or fault
        raise InputError(path, f"the file cannot be opened ({reason})", "correct its name, its link or its permissions") from None
    if not usable:
        raise InputError(path, "this is not a file", "put a file there")


@contextmanager
def whole(path):
    """Give the path of a partial file (or folder) that takes the place of ``path`` when the block has ended well, and is removed when it has not.

    Partial files of processes that were killed are removed first.

    Raises
    ------
    InputError
        The disk is full, or the folder is not writable.
    """
    path = Path(path)
    partial = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for left in path.parent.glob(f".[0-9]*.{glob.escape(path.name)}"):
            _remove(left)
        try:
            yield partial
            if partial.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            os.replace(partial, path)
        finally:
            _remove(partial)
    except OSError as fault:
        raise unwritable(fault, path) or fault from None


def sha256(path):
    """Return the SHA-256 of a file, hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def unwritable(fault, path):
    """The ``InputError`` of an OSError that says that ``path`` cannot be written; None for other faults."""
    mend = UNWRITABLE.get(fault.errno)
    return InputError(path, f"cannot be written ({os.strerror(fault.errno)})", mend) if mend else None


def failing(fault, path):
    """The ``InputError`` of an OSError that says that the disk of ``path``, or the connection to it, failed; None for other faults."""
    if fault.errno not in FAILING:
        return None
    return InputError(path, f"the disk fails ({os.strerror(fault.errno)})", "see to the disk or the connection to it, and run again")


def write_text(path, text):
    """Write a text as UTF-8, whole or not at all."""
    with whole(path) as partial:
        partial.write_text(text, encoding="utf-8")


def _remove(path):
    """Remove a file or folder, where it is there."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
