"""One truth per version: the pins of the conda environments are those of the lock file, and so are those of pyproject.toml."""

import re
import tomllib

import pytest
import yaml

from project import ROOT

LOCKED = dict(re.findall(r"^([A-Za-z0-9_.-]+)==([^ ;\\]+)", (ROOT / "requirements.lock").read_text(encoding="utf-8"), flags=re.M))


def pins(lines):
    for line in lines:
        name, version = re.fullmatch(r"([A-Za-z0-9_.-]+)(?:\[[^]]*\])?(?:[=>]=(.+))?", line).groups()
        yield name.lower(), version


@pytest.mark.parametrize("environment", sorted((ROOT / "envs").glob("*.yaml")), ids=lambda path: path.stem)
def test_conda_environments_have_the_locked_versions(environment):
    dependencies = yaml.safe_load(environment.read_text(encoding="utf-8"))["dependencies"]
    (packages,) = [entry["pip"] for entry in dependencies if isinstance(entry, dict)]
    assert {name: version for name, version in pins(packages)} == {name: LOCKED[name] for name, _ in pins(packages)}


def test_lock_file_covers_the_project_and_names_no_address():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *(name for group in project["optional-dependencies"].values() for name in group)]
    assert {name for name, _ in pins(wanted)} <= set(LOCKED)
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in text and "--index" not in text and "--hash=sha256:" in text
