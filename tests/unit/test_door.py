"""What a door does with messages and faults, in a process of its own as snakemake runs it."""

import re
import subprocess
import sys

from project import ROOT

SCRIPT = """
import logging, os, sys
from types import SimpleNamespace
from finalinfarct.door import door
from finalinfarct.errors import InputError

class Job:
    log, rule, wildcards = [sys.argv[1]], "perfusion", {{"participant": "sub-01"}}
    config, params = {{"dataset": {{"path": "bids", "simulated": False}}}}, SimpleNamespace(code="0")

with door(Job()):
    logging.info("a step")
    logging.warning("a doubt")
    os.write(2, b"a note of a library\\n")
    {fault}
print("after", file=sys.stderr)
"""


def run(tmp_path, fault="pass"):
    command = [sys.executable, "-c", SCRIPT.format(fault=fault), tmp_path / "logs" / "job.log"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT / "workflow" / "scripts", timeout=60)
    return done, (tmp_path / "logs" / "job.log").read_text(encoding="utf-8")


def test_all_goes_to_the_log_and_warnings_to_the_terminal_too(tmp_path):
    done, log = run(tmp_path)
    assert done.returncode == 0
    assert "a doubt" in done.stderr and "after" in done.stderr
    assert "a step" not in done.stderr and "a note" not in done.stderr
    assert all(words in log for words in ("INFO a step", "WARNING a doubt", "a note of a library"))
    assert re.search(r"INFO peak memory [1-9]\d* MB, 0 s", log)


def test_fault_of_the_input_is_said_without_traceback(tmp_path):
    done, log = run(tmp_path, "raise InputError('file.nii', 'truncated', 'copy it again')")
    assert done.returncode == 1
    assert "file.nii: truncated. Mend: copy it again." in done.stderr and "file.nii: truncated" in log
    assert "Traceback" not in done.stderr + log


def test_unexpected_fault_has_its_traceback(tmp_path):
    done, log = run(tmp_path, "1 / 0")
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr and "ZeroDivisionError" in log
