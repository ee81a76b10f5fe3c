"""The floors of docs/design.md: a room imports from lower floors alone, and no room imports those that stand apart, but for the one exception."""

import ast
import re

import pytest

from project import ROOT

PACKAGE = ROOT / "workflow" / "scripts" / "finalinfarct"
ROWS = re.findall(r"^\| (\d|apart) \| `(\w+)` \|", (ROOT / "docs" / "design.md").read_text(encoding="utf-8"), flags=re.M)
FLOORS = {room: 6 if floor == "apart" else int(floor) for floor, room in ROWS}  # those apart may import from all floors
BELOW = ("errors", "imports")  # modules of the package itself
EXCEPTION = ("plan", "finalinfarct.simulation.naming")


def forbidden(room, source):
    """What a module of a room imports from its own floor or above, other rooms' modules only."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            assert not node.level, "relative import"
            names = [f"finalinfarct.{alias.name}" for alias in node.names] if node.module == "finalinfarct" else [node.module]
        else:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        for name in names:
            parts = name.split(".")
            other = parts[1] if parts[0] == "finalinfarct" and len(parts) > 1 else room
            if other not in (room, *BELOW) and FLOORS.get(other, 7) >= FLOORS[room] and (room, name) != EXCEPTION:
                yield name


def test_every_room_stands_in_the_design():
    assert {path.parent.name for path in PACKAGE.glob("*/__init__.py")} == set(FLOORS)


def test_rooms_import_from_lower_floors_only():
    found = {str(path): list(forbidden(path.parent.name, path.read_text(encoding="utf-8"))) for path in PACKAGE.glob("*/*.py")}
    assert len(found) > 50 and {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("imaging", "from finalinfarct.learning.folds import read_folds"),
        ("evaluation", "def late():\n    from finalinfarct import reporting"),
        ("reporting", "import finalinfarct.simulation.naming"),
        ("dataset", "from finalinfarct.plan.code import code_hash"),
        ("plan", "from finalinfarct.simulation.cohort import simulate"),
        ("simulation", "from finalinfarct.plan.plan import Plan"),
        ("learning", "from finalinfarct.door import door"),
    ],
)
def test_what_breaks_the_floors_is_found(room, source):
    assert list(forbidden(room, source))
