"""The configuration: every shipped one is valid and documented. What can be wrong stands in tests/bad_input."""

import re

import pytest
import yaml

from finalinfarct.errors import InputError
from finalinfarct.plan.config import check_config, load_schema
from project import ROOT


def merge(base, overlay):
    for key, value in overlay.items():
        base[key] = merge(base[key], value) if isinstance(value, dict) and isinstance(base.get(key), dict) else value
    return base


def leaves(node, path=()):
    for key, value in node.get("properties", {}).items():
        inner = value.get("additionalProperties")
        if "properties" in value:
            yield from leaves(value, (*path, key))
        elif isinstance(inner, dict):
            yield from leaves(inner, (*path, key, "NAME"))
        else:
            yield ".".join((*path, key)), value


@pytest.mark.parametrize(
    "overlay",
    [
        None,
        "config/paper.yaml",
        "config/isles22.yaml",
        "config/new_patients.yaml",
        "config/jax.yaml",
        "tests/config/tiny.yaml",
        "benchmarks/full_size.yaml",
        "benchmarks/reperfusion.yaml",
    ],
)
def test_shipped_configurations_are_valid(config, overlay):
    if overlay:
        merge(config, yaml.safe_load((ROOT / overlay).read_text(encoding="utf-8")))
    assert check_config(config) is None


def test_every_key_has_a_description_and_stands_in_the_readme_as_every_overlay_does():
    readme = (ROOT / "config" / "README.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `([^`]+)` \|", readme, flags=re.M))
    keys = dict(leaves(load_schema()))
    assert all(value["description"] for value in keys.values())
    assert set(keys) <= documented
    overlays = {path.name for path in (ROOT / "config").glob("*.yaml")} - {"config.yaml"}
    assert overlays <= documented


def test_all_faults_at_once(config):
    merge(config, {"foo": 1, "training": {"epochs": 0}, "folds": {"number": "x"}})
    with pytest.raises(InputError) as fault:
        check_config(config)
    assert all(key in str(fault.value) for key in ("'foo'", "training.epochs", "folds.number"))


def test_missing_key_is_named(config):
    del config["mismatch"]["tmax_threshold_s"]
    with pytest.raises(InputError, match="'tmax_threshold_s' is a required property"):
        check_config(config)
