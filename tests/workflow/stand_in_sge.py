"""Stand-in for SGE's qsub, qstat and qacct, whichever name it is called by: takes the options that SGE takes, and runs jobs on this machine at once.

The first job is lost, as if the scheduler had ended it: its record has exit status 137.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

JOBS = Path(os.environ["STAND_IN_SGE"])


def qsub():
    parser = argparse.ArgumentParser(allow_abbrev=False)
    for name in ("-terse", "-V", "-cwd"):
        parser.add_argument(name, action="store_true", required=True)
    for name in ("-j", "-o", "-N", "-q", "-l"):
        parser.add_argument(name, required=True)
    parser.add_argument("-pe", nargs=2, required=True)
    parser.add_argument("script")
    job = parser.parse_args()
    number = 1 + len(list(JOBS.glob("*.json")))
    (JOBS / f"{number}.json").write_text(json.dumps({"name": job.N, "queue": job.q, "limits": job.l, "slots": int(job.pe[1])}))
    done = JOBS / f"{number}.done"
    if number == 1:
        done.write_text("137")
    else:
        subprocess.Popen(["sh", "-c", f"sh {job.script} >/dev/null 2>&1; echo $? > {done}"], start_new_session=True)
    print(number)


def qstat():
    sys.exit((JOBS / f"{sys.argv[2]}.done").exists())


def qacct():
    done = JOBS / f"{sys.argv[2]}.done"
    print(f"jobnumber    {sys.argv[2]}\nfailed       0\nexit_status  {done.read_text().strip()}")


{"qsub": qsub, "qstat": qstat, "qacct": qacct}[Path(sys.argv[0]).name]()
