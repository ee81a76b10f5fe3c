"""A results folder that is full, or may not be written to, stops each stage with a line that says so; afterwards the run goes on."""

import os
import shutil
import stat

import pytest
from tiny_workflow import FULL, Workflow, contents, mount, remove, unmount

PAGE = 4096
NAME = "sub-hibiscus002"
FAMILY = "early/DWI-ADC-Tmax-CBF-CBV/all"
# From the last stage to the first: what is made again gets a new time, and later stages would follow it.
STAGES = {
    "figures": "results/figures/figure3.svg",
    "comparison": "results/paper_comparison.html",
    "tables": "results/table3.csv",
    "quality": f"results/quality/{NAME}.html",
    "metrics": "results/metrics.tsv",
    "metrics of a model": f"results/metrics/{FAMILY}.tsv",
    "prediction": f"results/predictions/{FAMILY}",
    "training": f"results/models/{FAMILY}/fold-1/model.weights.h5",
    "slices": "results/slices.h5",
    "folds": "results/folds.json",
    "inclusion": "results/inclusion.tsv",
    "lesions": f"results/preprocessed/{NAME}/{NAME}_space-reference_dseg.nii.gz",
    "registration": f"results/registration/{NAME}/{NAME}_from-followup_to-reference_xfm.h5",
    "perfusion": f"results/maps/{NAME}/{NAME}_ses-baseline_Tmax.nii.gz",
    "simulation": f"results/dataset/{NAME}/ses-baseline/perf/{NAME}_ses-baseline_dsc.nii.gz",
}


class SmallDisk:
    """The finished run with its results on a disk of their own, whose size can be set."""

    def __init__(self, finished, folder):
        self.run = Workflow(finished.repository, folder)
        self.results = folder / "results"
        if not mount(self.results, "-t", "tmpfs", "-o", "size=2g"):
            pytest.skip("mounting a small disk is not permitted here: run as root")
        for name in ("results", ".snakemake", "logs"):
            shutil.copytree(finished.folder / name, folder / name, dirs_exist_ok=True)

    def leave(self, free):
        """Leave so many bytes free, in whole pages."""
        space = os.statvfs(self.results)
        used = (space.f_blocks - space.f_bfree) * space.f_frsize
        self.set(f"size={used + free // PAGE * PAGE}")

    def set(self, options):
        """Change the options of the mounted disk."""
        assert mount(self.results, "-o", f"remount,{options}", source=None)


@pytest.fixture(scope="module")
def disk(finished, tmp_path_factory):
    disk = SmallDisk(finished, tmp_path_factory.mktemp("small") / "run")
    yield disk
    unmount(disk.results)


@pytest.fixture
def roomy(disk):
    """The small disk, which is writable and large again after the test."""
    yield disk
    disk.set("rw,size=2g")


def job_of(finished, output):
    """All outputs of the job that makes one."""
    return next(outputs for outputs in finished.jobs().values() if output in outputs)


@pytest.mark.parametrize("stage", STAGES)
def test_full_disk(finished, roomy, stage):
    run, target = roomy.run, STAGES[stage]
    outputs = job_of(finished, target)
    before = contents(finished.folder, outputs)
    assert before
    size = sum((finished.folder / name).stat().st_size for name in before)
    remove(run.folder, outputs)
    others = run.files()
    roomy.leave(size // 2)
    done = run.run(target)
    assert done.returncode == 1, done.stdout
    told = [line for line in done.stdout.splitlines() if FULL in line]
    assert told and "results/" in told[0] and "Mend: free space" in told[0], done.stdout
    assert "Traceback" not in done.stdout and "(100%) done" not in done.stdout
    assert not [output for output in outputs if (run.folder / output).exists()]
    left = set(run.files()) - set(others)
    assert not [name for name in left if not name.startswith("results/dataset/")], left
    roomy.set("size=2g")
    run.succeed(target)
    assert contents(run.folder, outputs) == before


def test_full_disk_while_a_checkpoint_is_written(finished, roomy):
    run, target = roomy.run, STAGES["training"].replace("fold-1", "fold-2")
    outputs = job_of(finished, target)
    remove(run.folder, outputs)
    roomy.leave(1_000_000)
    every = {"training": {"checkpoint_interval_s": 0}}
    done = run.run(target, config=every)
    told = [line for line in done.stdout.splitlines() if FULL in line]
    assert done.returncode == 1 and "results/checkpoints/" in told[0] and ".npz" in told[0], done.stdout
    assert not [name for name in run.files() if "checkpoints" in name]
    roomy.set("size=2g")
    run.succeed(target, config=every)
    assert contents(run.folder, [target]) == contents(finished.folder, [target])


def test_results_that_may_not_be_written_to(finished, roomy):
    run, target = roomy.run, "results/table1.csv"
    outputs = job_of(finished, target)
    remove(run.folder, outputs)
    roomy.set("ro")
    done = run.run(target)
    assert done.returncode == 1 and "Traceback" not in done.stdout, done.stdout
    assert "Read-only file system" in done.stdout and "results" in done.stdout
    roomy.set("rw")
    run.succeed(target)
    assert contents(run.folder, outputs) == contents(finished.folder, outputs)


def test_results_of_another_user(finished, tmp_path):
    """For root no permission counts."""
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    run, target = finished.copy(tmp_path / "run"), "results/table2.csv"
    remove(run.folder, job_of(finished, target))
    results = run.folder / "results"
    results.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        done = run.run(target)
    finally:
        results.chmod(stat.S_IRWXU)
    assert done.returncode == 1 and "Permission denied" in done.stdout and "Traceback" not in done.stdout, done.stdout
