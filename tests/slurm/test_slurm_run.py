"""The tiny workflow on a real SLURM, a job killed and the node lost on the way, against the same workflow without SLURM."""

import os
import re
import subprocess
import sys
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import psutil
import pytest
from single_node import SingleNode, UnavailableError, install

from project import ROOT

TARGETS = ("results/table3.csv", "results/tableA5.csv", "results/auc.csv")
# Jobs of one core, so that two run side by side on a small machine; short waits; SLURM's queue in place of the database that this SLURM lacks.
HERE = ("--cores", "1", "--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "3", "--latency-wait", "10")
LIMIT_S = 1800


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Bring up SLURM, and take it down afterwards."""
    try:
        install()
    except UnavailableError as fault:
        pytest.skip(str(fault))
    memory = psutil.virtual_memory().total // 2**20
    node = SingleNode(tmp_path_factory.mktemp("slurm"), cpus=os.cpu_count(), memory=memory - 1000)
    try:
        try:
            node.start()
        except (OSError, RuntimeError, subprocess.TimeoutExpired) as fault:  # such as a machine whose name does not resolve
            pytest.skip(f"SLURM is installed but does not start here: {fault}")
        yield node
    finally:
        node.stop()


def start(folder, *options):
    """Start the tiny workflow in a folder."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--directory", folder]
    command += ["--configfile", ROOT / "tests/config/tiny.yaml", *options, "--", *TARGETS]
    environment = {**os.environ, "PYTHONPATH": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
    with (folder / "run.log").open("w") as said:
        return subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, env=environment)


def wait_for(run, cluster, step, seconds):
    """Return SLURM's record of a job of that rule or group that has run for some seconds."""
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline and run.poll() is None:
        for job in cluster.jobs():
            if job["JobState"] == "RUNNING" and job["Comment"].startswith(f"rule_{step}") and time.time() - job["StartTime"] > seconds:
                return job
        time.sleep(1)
    raise AssertionError(f"no job of {step} was seen running")


@pytest.fixture(scope="module")
def alone(cluster, tmp_path_factory):
    """Begin the same run without SLURM, on one core beside the one on SLURM; return it and its folder."""
    folder = tmp_path_factory.mktemp("alone")
    run = start(folder, "--cores", "1")
    try:
        yield run, folder
    finally:
        run.kill()
        run.wait()


@pytest.fixture(scope="module")
def finished(cluster, alone, tmp_path_factory):
    """Run on SLURM with both accidents; return the folder, SLURM's records, and the identifier of the job that was killed."""
    folder = tmp_path_factory.mktemp("slurm_run")
    run = start(folder, "--profile", ROOT / "profiles/slurm", *HERE)
    try:
        wait_for(run, cluster, "patient", 20)
        cluster.lose_node()
        time.sleep(5)
        cluster.start_node()
        killed = wait_for(run, cluster, "train", 8)["JobId"]
        cluster.kill(killed)
        status = run.wait(LIMIT_S)
    finally:
        run.kill()  # not asked to end: it would wait for its jobs
        run.wait()
    assert status == 0, (folder / "run.log").read_text()[-6000:]
    return folder, cluster.jobs(), killed


def steps(jobs, state):
    """Numbers of jobs in a state by rule or group."""
    return Counter(re.match("rule_([a-z0-9]+)", job["Comment"])[1] for job in jobs if job["JobState"] == state)


def asks_for_gpu(job):
    return "gpu" in job.get("TresPerJob", "")


def test_every_step_ran_on_slurm(finished):
    folder, jobs, _ = finished
    done = steps(jobs, "COMPLETED")
    assert done["patient"] == 10 and done["train"] == 4 and done["predict"] == 2 and done["cohort"] == 1 and done["report"] >= 1
    submitted = re.findall(r"submitted with SLURM jobid (\d+)", (folder / "run.log").read_text())
    assert sorted(submitted, key=int) == [job["JobId"] for job in jobs]


def test_trainings_asked_for_the_gpu_and_had_it_one_after_another(finished):
    jobs = finished[1]
    started = [job for job in jobs if job["StartTime"] and job["EndTime"]]
    with_gpu = sorted((job["StartTime"], job["EndTime"]) for job in started if asks_for_gpu(job))
    assert len(with_gpu) == sum(job["Comment"].startswith("rule_train") for job in started) == 5
    assert all(earlier[1] <= later[0] for earlier, later in pairwise(with_gpu))
    others = sorted((job["StartTime"], job["EndTime"]) for job in started if not asks_for_gpu(job))
    assert any(earlier[1] > later[0] for earlier, later in pairwise(others)), "nothing ran side by side: the GPU need not have been the reason"


def test_killed_job_failed_and_was_sent_again(finished):
    _, jobs, killed = finished
    (record,) = [job for job in jobs if job["JobId"] == killed]
    assert record["JobState"] == "FAILED"
    again = [job for job in jobs if job["Comment"] == record["Comment"] and job["JobState"] == "COMPLETED"]
    assert len(again) == 1 and int(again[0]["JobId"]) > int(killed)


def test_jobs_of_the_lost_node_were_sent_again(finished):
    jobs = finished[1]
    assert steps(jobs, "NODE_FAIL")["patient"] >= 1
    assert not set(job["JobState"] for job in jobs) - {"COMPLETED", "FAILED", "NODE_FAIL"}


def content(path):
    """Bytes of a file, without the column of seconds of a training's history."""
    return re.sub(rb",[^,\n]*$", b"", path.read_bytes(), flags=re.M) if path.name == "history.csv" else path.read_bytes()


def test_same_tables_and_images_as_without_slurm(finished, alone):
    folder, (run, other) = finished[0], alone
    assert run.wait(LIMIT_S) == 0, (other / "run.log").read_text()[-6000:]
    files = [path.relative_to(other) for path in (other / "results").rglob("*") if path.suffix in (".csv", ".tsv", ".md", ".gz")]
    assert {Path(target) for target in TARGETS} < set(files)
    assert [str(path) for path in files if content(folder / path) != content(other / path)] == []
