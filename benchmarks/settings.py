"""The configuration that the benchmarks share."""

from pathlib import Path

import yaml
from snakemake.utils import update_config

CONFIG = Path(__file__).resolve().parents[1] / "config" / "config.yaml"


def read_config(*overlays):
    """Return config/config.yaml with overlays upon it, as ``snakemake --configfile`` lays them."""
    config = {}
    for path in (CONFIG, *overlays):
        update_config(config, yaml.safe_load(Path(path).read_text(encoding="utf-8")))
    return config


def paper_cohorts(patients=92, reperfused=74):
    """Return the default configuration with cohorts of the paper's size, or so many patients of the tested one."""
    config = read_config()
    config["simulation"]["cohorts"]["hibiscus"] |= {"patients": patients, "reperfused": reperfused}
    config["simulation"]["cohorts"]["iknow"] |= {"patients": 17}
    return config
