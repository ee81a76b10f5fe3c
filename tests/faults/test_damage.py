"""Files damaged after they were made stop the step that reads them; two runs at once do not meet."""

import json
import os
import signal
import time

import pytest
from tiny_workflow import contents, damaged, remove

NAME = "sub-hibiscus002"
RESAMPLED = f"results/preprocessed/{NAME}/{NAME}_ses-baseline_space-reference"
MODEL = "results/models/early/DWI-ADC-Tmax-CBF-CBV/all/fold-1"
WEIGHTS = f"{MODEL}/model.weights.h5"
DAMAGES = {
    "raw series": (
        f"results/dataset/{NAME}/ses-baseline/perf/{NAME}_ses-baseline_dsc.nii.gz",
        f"results/maps/{NAME}/{NAME}_ses-baseline_Tmax.nii.gz",
    ),
    "resampled image": (f"{RESAMPLED}_desc-linear_Tmax.nii.gz", f"{RESAMPLED}_desc-normalised_Tmax.nii.gz"),
    "slices": ("results/slices.h5", WEIGHTS),
    "weights": (WEIGHTS, "results/predictions/early/DWI-ADC-Tmax-CBF-CBV/all"),
    "mask": (f"results/preprocessed/{NAME}/{NAME}_space-reference_label-finallesion_mask.nii.gz", "results/lesion_volumes.tsv"),
    "folds": ("results/folds.json", WEIGHTS),
    "metrics": ("results/metrics/mismatch.tsv", "results/metrics.tsv"),
}


@pytest.fixture(scope="module")
def run(finished, tmp_path_factory):
    """A copy of the undisturbed run, complete again after each test."""
    return finished.copy(tmp_path_factory.mktemp("damage") / "run")


def job_of(finished, output):
    """All outputs of the job that makes one."""
    return next(outputs for outputs in finished.jobs().values() if output in outputs)


@pytest.mark.parametrize("kind", DAMAGES)
def test_damaged_file_stops_the_step_that_reads_it(finished, run, kind):
    file, target = DAMAGES[kind]
    outputs = job_of(finished, target)
    remove(run.folder, outputs)
    with damaged(run.folder / file):
        done = run.run(target)
    assert done.returncode == 1 and not (run.folder / target).exists(), done.stdout
    assert [line for line in done.stdout.splitlines() if f"{file}: " in line and "Mend:" in line], done.stdout
    assert "Traceback" not in done.stdout
    run.succeed(target)
    assert contents(run.folder, outputs) == contents(finished.folder, outputs)


def test_damaged_checkpoint_is_left_alone_with_a_warning(finished, run):
    outputs, every = job_of(finished, WEIGHTS), {"training": {"checkpoint_interval_s": 0, "epochs": 40}}
    remove(run.folder, outputs)
    process, checkpoints = run.start(WEIGHTS, config=every), run.folder / "results/checkpoints"
    deadline = time.monotonic() + 300
    while not list(checkpoints.glob("*/[!.]*.npz")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    run.succeed(options=("--unlock",))
    (checkpoint,) = checkpoints.glob("*/[!.]*.npz")
    with damaged(checkpoint):
        said = run.succeed(WEIGHTS, config=every)
        assert f"{checkpoint.relative_to(run.folder)} is damaged" in said and "training begins anew" in said
    assert json.loads((run.folder / MODEL / "environment.json").read_text(encoding="utf-8"))["timing"]["resumed_after_epoch"] == 0
    anew = contents(run.folder, [WEIGHTS])
    remove(run.folder, outputs)
    checkpoint.unlink()
    run.succeed(WEIGHTS, config=every)
    assert contents(run.folder, [WEIGHTS]) == anew


def test_second_run_is_refused_and_the_first_ends(finished, run):
    target = "results/models/late/DWI-ADC-Tmax-CBF-CBV/all/fold-1/model.weights.h5"
    outputs = job_of(finished, target)
    remove(run.folder, outputs)
    first, locks = run.start(target), run.folder / ".snakemake/locks"
    deadline = time.monotonic() + 120
    while not (locks.is_dir() and list(locks.iterdir())) and first.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    second = run.run(target)
    assert first.poll() is None, "the first run ended too early to be met"
    assert second.returncode == 1 and "cannot be locked" in second.stdout and "Traceback" not in second.stdout, second.stdout
    assert first.wait(600) == 0
    assert contents(run.folder, outputs) == contents(finished.folder, outputs)
