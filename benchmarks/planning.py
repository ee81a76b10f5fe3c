"""Time and memory of planning large cohorts (``python benchmarks/planning.py 109 1000 5000``), each in a process of its own."""

import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
PAPER = {"hibiscus": 92, "reperfused": 74, "iknow": 17}
COLUMNS = "| patients | jobs | CPU s | CPU s per 1,000 jobs | wall s | peak GB |\n|---|---|---|---|---|---|"


def overlay(patients):
    """Configuration of a simulated cohort in the proportions of the paper's."""
    hibiscus, reperfused = (round(patients * PAPER[name] / (PAPER["hibiscus"] + PAPER["iknow"])) for name in ("hibiscus", "reperfused"))
    return {"simulation": {"cohorts": {"hibiscus": {"patients": hibiscus, "reperfused": reperfused}, "iknow": {"patients": patients - hibiscus}}}}


def measure(patients):
    """Plan one cohort in an empty folder and return its row; the memory is the largest of all processes so far, so cohorts come in rising order."""
    with tempfile.TemporaryDirectory() as folder:
        own = Path(folder) / "cohort.yaml"
        own.write_text(yaml.safe_dump(overlay(patients)), encoding="utf-8")
        command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--directory", folder, "--dry-run", "--quiet", "rules"]
        command += ["--configfile", ROOT / "config" / "paper.yaml", own]
        begin, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        wall, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    jobs = re.search(r"^total +(\d+)", done.stdout, re.MULTILINE)
    if done.returncode or not jobs:
        sys.exit(done.stdout)
    count, cpu = int(jobs[1]), after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return f"| {patients} | {count} | {cpu:.1f} | {1000 * cpu / count:.2f} | {wall:.1f} | {after.ru_maxrss / 2**20:.2f} |"


if __name__ == "__main__":
    print(COLUMNS)
    for patients in sorted(map(int, sys.argv[1:])):
        print(measure(patients), flush=True)
