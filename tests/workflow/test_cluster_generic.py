"""The profile for other schedulers, with a stand-in for SGE, and jobs that are planned in processes of their own."""

import json
import os
import sys
from pathlib import Path

from project import ROOT

TARGETS = ("results/table1.csv", "results/maps/sub-hibiscus001/sub-hibiscus001_ses-baseline_ADC.nii.gz")


def test_profile_submits_groups_and_sends_a_lost_job_again(snakemake, tmp_path, monkeypatch):
    programs, jobs = tmp_path / "bin", tmp_path / "jobs"
    programs.mkdir()
    jobs.mkdir()
    for name in ("qsub", "qstat", "qacct"):
        (programs / name).write_text(f"#!{sys.executable}\n{Path(__file__).with_name('stand_in_sge.py').read_text()}")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("STAND_IN_SGE", str(jobs))
    profile = ("--profile", str(ROOT / "profiles/cluster-generic"), "--seconds-between-status-checks", "1", "--latency-wait", "10")
    done = snakemake(tmp_path, *TARGETS, options=profile)
    assert done.returncode == 0, done.stdout[-6000:]
    assert all((tmp_path / target).exists() for target in TARGETS)
    records = [json.loads(path.read_text()) for path in sorted(jobs.glob("*.json"), key=lambda path: int(path.stem))]
    lost, rest = records[0], records[1:]
    assert sorted(record["name"] for record in rest) == ["patient_adc_simulate_patient", "report_table1"]
    assert all(record["queue"] == "all.q" and 1 <= record["slots"] <= 4 for record in records)
    (again,) = [record for record in rest if record["name"] == lost["name"]]
    memory = [int(record["limits"].split("M")[0].removeprefix("h_vmem=")) for record in (lost, again)]
    assert memory[1] == 2 * memory[0]


def test_bad_series_of_one_patient_ends_no_job_of_another(snakemake, tmp_path, dataset):
    """The series are noise. The job that meets it keeps the fault for the next run; the others of this run were planned without it."""
    spoiled, sound = "results/maps/sub-01/sub-01_ses-baseline_Tmax.nii.gz", "results/maps/sub-02/sub-02_ses-baseline_ADC.nii.gz"
    config = {"dataset": {"path": str(dataset), "simulated": False}, "folds": {"number": 2}}
    executor = ("--executor", "cluster-generic", "--cluster-generic-submit-cmd", "sh", "--jobs", "1", "--keep-going", "--prioritize", spoiled)
    done = snakemake(tmp_path, spoiled, sound, options=executor, config=config)
    assert done.returncode != 0 and "steady frames" in done.stdout, done.stdout
    assert (tmp_path / "results/faults/sub-01_perfusion.json").exists()
    assert not (tmp_path / spoiled).exists() and (tmp_path / sound).exists(), done.stdout
    again = snakemake(tmp_path, sound, options=("-n",), config=config)
    assert again.returncode != 0 and "1 fault" in again.stdout, again.stdout
    config["dataset"]["faults"] = "exclude"
    again = snakemake(tmp_path, sound, options=("-n",), config=config)
    assert again.returncode == 0 and "Nothing to be done" in again.stdout, again.stdout
