"""Whether a file can be read at all."""

import os
import stat

from finalinfarct.errors import InputError


def require_file(path):
    """Refuse a path that is not a file which can be read.

    Raises
    ------
    InputError
        It does not exist, is a folder or a device, or may not be read.
    """
    try:
        # Looked at before it is opened: opening a pipe would wait for ever.
        usable = stat.S_ISREG(os.stat(path).st_mode)
        if usable:
            open(path, "rb").close()
    except FileNotFoundError:
        raise InputError(path, "the file does not exist", "add it, or correct its name (docs/dataset.md)") from None
    except (OSError, ValueError) as fault:
        reason = getattr(fault, "strerror", None) or fault
        raise InputError(path, f"the file cannot be opened ({reason})", "correct its name, its link or its permissions") from None
    if not usable:
        raise InputError(path, "this is not a file", "put a file there")
