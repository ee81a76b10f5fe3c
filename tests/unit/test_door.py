"""What a door does with messages and faults, in a process of its own as snakemake runs it."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from project import ROOT

SCRIPT = """
import logging, os, sys
from types import SimpleNamespace
from finalinfarct.door import door
from finalinfarct.dataset.files import unwritable
from finalinfarct.errors import InputError

class Job:
    log, rule, wildcards, input = [sys.argv[1]], "perfusion", {{"participant": "sub-01"}}, []
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


def test_failing_disk_is_told_in_a_line(tmp_path):
    done, log = run(tmp_path, "raise OSError(5, 'said by a library', 'a.nii.gz')")
    assert done.returncode == 1
    assert "a.nii.gz: the disk fails (Input/output error). Mend: see to the disk" in done.stderr and "Traceback" not in done.stderr + log


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is always full")
@pytest.mark.parametrize("log", ["job.log", "/dev/full"])
@pytest.mark.parametrize("fault", ["open('/dev/full', 'wb', buffering=0).write(b'x')", "raise unwritable(OSError(28, ''), 'a')"])
def test_full_disk_is_told_in_a_line_also_where_the_log_is_on_it(tmp_path, fault, log):
    command = [sys.executable, "-c", SCRIPT.format(fault=fault), tmp_path / log]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT / "workflow" / "scripts", timeout=60)
    assert done.returncode == 1, done
    assert "cannot be written (No space left on device). Mend: free space" in done.stderr and "Traceback" not in done.stderr, done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux is asked for it")
def test_process_ends_when_the_one_that_started_it_is_killed(tmp_path):
    """A shell would have to be killed with it; snakemake starts Python without one that stays."""
    job = SCRIPT.format(fault="print('ready', flush=True); import time; time.sleep(60)")
    parent = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', sys.argv[1], sys.argv[2]]); time.sleep(60)"
    command = [sys.executable, "-c", parent, job, str(tmp_path / "job.log")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT / "workflow" / "scripts")
    assert process.stdout.readline() == b"ready\n"
    begin = time.monotonic()
    process.kill()
    # The pipe ends when the last process that holds it does.
    assert process.stdout.read() == b"" and time.monotonic() - begin < 30
    process.wait()
