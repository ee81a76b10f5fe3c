"""Snakemake killed at ten moments of one run, and begun again each time."""

import os
import random
import signal
import time

from tiny_workflow import Workflow, contents

KILLS = 10
SEED = 2021


def wait_for(condition, seconds):
    """Whether the condition became true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


def nobody_left(group):
    """Whether no process of the group lives."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


def times(folder, outputs):
    """Time of change of each file or folder."""
    return {name: (folder / name).stat().st_mtime_ns for name in outputs}


def test_ten_kills_leave_the_same_results_and_repeat_no_finished_job(finished, tmp_path):
    whole = finished.jobs()
    chance = random.Random(SEED)
    moments = sorted(chance.sample(range(len(whole) * 95 // 100), KILLS))
    run, kept = Workflow(finished.repository, tmp_path / "killed"), {}

    def complete():
        return {log: outputs for log, outputs in run.jobs().items() if outputs == whole[log]}

    for number, moment in enumerate(moments):
        process = run.start()
        assert wait_for(lambda: process.poll() is not None or len(complete()) >= moment, 1200) and process.poll() is None  # noqa: B023
        time.sleep(chance.uniform(0, 3))
        # Either snakemake alone, as a user does it, or all of its jobs with it, as the kernel or a scheduler does it.
        (os.kill if number % 2 else os.killpg)(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert wait_for(lambda: nobody_left(process.pid), 20), "jobs outlive snakemake"  # noqa: B023
        for outputs in complete().values():
            for name, changed in times(run.folder, outputs).items():
                assert kept.setdefault(name, changed) == changed, f"{name} was made twice"
        if number == 0:
            refused = run.run()
            assert refused.returncode == 1 and "--unlock" in refused.stdout and "Traceback" not in refused.stdout
        run.succeed(options=("--unlock",))
    assert moments[-1] > len(whole) // 2 and len(kept) > len(moments)
    run.succeed()
    assert times(run.folder, kept) == kept
    assert run.pending() == {}
    assert run.files() == finished.files()
    found = contents(run.folder, run.files())
    assert found == contents(finished.folder, finished.files())
    assert {"results/metrics.tsv", "results/table3.csv", "results/paper_comparison.csv"} <= set(found) and len(found) > 1000
