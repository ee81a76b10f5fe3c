"""Running snakemake as a user does, in a folder of its own."""

import os
import subprocess
import sys

import pytest
import yaml

from project import ROOT


@pytest.fixture(scope="session")
def snakemake():
    """Return a function that runs snakemake in a folder and returns the finished process with its joined output."""

    def run(folder, *targets, options=(), overlays=("tests/config/tiny.yaml",), config=None, timeout=1500):
        files = [str(ROOT / overlay) for overlay in overlays]
        if config:
            own = folder / "config.yaml"
            own.write_text(yaml.safe_dump(config), encoding="utf-8")
            files.append(str(own))
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder), "--cores", "2"]
        command += ["--configfile", *files] if files else []
        environment = {**os.environ, "PYTHONPATH": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
        return subprocess.run(
            [*command, *options, "--", *targets],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
            env=environment,
        )

    return run
