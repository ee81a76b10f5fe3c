"""Hash of the code behind a door, so that editing a module re-runs the steps that use it and no others."""

import ast
import hashlib
from functools import cache
from pathlib import Path

SCRIPTS = Path(__file__).parents[2]


def code_hash(door):
    """Hash a door with every module of the package that it imports, directly or not.

    Parameters
    ----------
    door : str
        File name of a script in ``workflow/scripts``.

    Returns
    -------
    str
        First 16 hexadecimal digits of a SHA-256.
    """
    digest = hashlib.sha256()
    for path in source_files(door):
        digest.update(path.relative_to(SCRIPTS).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def door_hashes():
    """Return the hashes of all doors."""
    return {code_hash(path.name) for path in SCRIPTS.glob("*.py")}


def source_files(door):
    """Return the sorted paths of the door and of the package's modules that it imports, directly or not."""
    found, waiting = set(), [SCRIPTS / door]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting.extend(_imported(path))
    return sorted(found)


def analysis_sources():
    """Return the source files, relative to ``workflow/scripts``, behind each door that is not of the simulation."""
    doors = sorted(path.name for path in SCRIPTS.glob("*.py") if not path.name.startswith("simulate_"))
    return {door: [path.relative_to(SCRIPTS).as_posix() for path in source_files(door)] for door in doors}


@cache
def _imported(path):
    """Modules of the package that one file imports, packages' ``__init__`` included."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    files = set()
    for name in names:
        parts = name.split(".")
        if parts[0] != "finalinfarct":
            continue
        for depth in range(1, len(parts) + 1):
            base = SCRIPTS.joinpath(*parts[:depth])
            files.update(p for p in (base / "__init__.py", base.with_suffix(".py")) if p.is_file())
    return frozenset(files)
