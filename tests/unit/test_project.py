"""One truth per version: the pins of the conda environments are those of the lock file, and so are those of pyproject.toml; none is idle."""

import re
import tomllib

import pytest
import yaml

from finalinfarct.plan.code import source_files
from project import ROOT

LOCKED = dict(re.findall(r"^([A-Za-z0-9_.-]+)==([^ ;\\]+)", (ROOT / "requirements.lock").read_text(encoding="utf-8"), flags=re.M))

ENVIRONMENTS = pytest.mark.parametrize("environment", sorted((ROOT / "envs").glob("*.yaml")), ids=lambda path: path.stem)
MODULES = {"antspyx": "ants", "fslpy": "fsl", "scikit-learn": "sklearn"}


def pins(lines):
    for line in lines:
        name, version = re.fullmatch(r"([A-Za-z0-9_.-]+)(?:\[[^]]*\])?(?:[=>]=(.+))?", line).groups()
        yield name.lower(), version


def pinned(environment):
    """Versions of the packages of a conda environment that come from PyPI."""
    dependencies = yaml.safe_load(environment.read_text(encoding="utf-8"))["dependencies"]
    (packages,) = [entry["pip"] for entry in dependencies if isinstance(entry, dict)]
    return dict(pins(packages))


@ENVIRONMENTS
def test_conda_environments_have_the_locked_versions(environment):
    assert pinned(environment) == {name: LOCKED[name] for name in pinned(environment)}


@ENVIRONMENTS
def test_conda_environments_hold_only_what_their_doors_import_or_read(environment):
    rules = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "workflow/rules").glob("*.smk"))
    doors = re.findall(rf'envs/{environment.stem}\.yaml".*?scripts/(\w+\.py)"', rules, flags=re.DOTALL)
    code = "\n".join(path.read_text(encoding="utf-8") for path in {path for door in doors for path in source_files(door)})
    # nilearn ships files that are read.
    used = {name for name in pinned(environment) if re.search(rf'(import |from |files\("){MODULES.get(name, name)}\b', code)}
    assert doors and used == set(pinned(environment))


def test_lock_file_covers_the_project_and_names_no_address():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *(name for group in project["optional-dependencies"].values() for name in group)]
    assert {name for name, _ in pins(wanted)} <= set(LOCKED)
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in text and "--index" not in text and "--hash=sha256:" in text
