"""A real SLURM of one node on this machine: installed by apt, started without systemd or a database, stopped by the ids of its processes."""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil

# The plugin's job step drops SLURM_* variables, SLURM_CONF among them: the configuration must lie where SLURM looks for it by itself.
CONFIGURATION = Path("/etc/slurm")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol")
SLURM_CONF = """\
ClusterName=finalinfarct
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
# A job that takes more memory than it asked for is ended, as a cluster with cgroups would.
JobAcctGatherParams=OverMemoryKill
JobAcctGatherFrequency=task=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=500
ReturnToService=2
# Records of finished jobs stay for an hour: they are what the tests read.
MinJobAge=3600
AccountingStorageType=accounting_storage/none
MpiDefault=none
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmdParameters=config_overrides
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} Gres=gpu:1 State=UNKNOWN
PartitionName=normal Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""
# A GPU as far as the scheduler knows.
GRES_CONF = """\
AutoDetect=off
NodeName={host} Name=gpu File=/dev/null
"""


class UnavailableError(Exception):
    """This machine cannot have such a SLURM; the message says why."""


def install():
    """Install SLURM and munge by apt where they are missing.

    Raises
    ------
    UnavailableError
        Without root or apt, where the packages cannot be had, or where the machine belongs to a cluster already.
    """
    if os.geteuid() != 0:
        raise UnavailableError("a SLURM of one node needs root")
    if any((CONFIGURATION / name).exists() for name in ("slurm.conf", "gres.conf")):
        raise UnavailableError(f"{CONFIGURATION} has a configuration already: this machine belongs to a cluster, or a run of these tests was cut off")
    if all(shutil.which(name) for name in PROGRAMS):
        return
    if not shutil.which("apt-get"):
        raise UnavailableError("SLURM is not installed and there is no apt to install it")
    # Run level 1 keeps the packages from starting services of their own.
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for command in (["update"], ["install", "--yes", "--no-install-recommends", "slurm-wlm", "munge"]):
        done = subprocess.run(["apt-get", *command], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            raise UnavailableError(f"apt-get {command[0]} failed: {done.stdout.strip().splitlines()[-1:]}")


class SingleNode:
    """Controller, node and authentication of a SLURM with one partition ``normal`` and one GPU.

    Parameters
    ----------
    folder : Path
        Folder for state, logs and process ids, made by ``start``.
    cpus, memory : int
        What the node offers: CPUs, and memory in MB.
    """

    def __init__(self, folder, cpus, memory):
        self.folder, self.cpus, self.memory = Path(folder), cpus, memory
        self.host = socket.gethostname().split(".")[0]

    def start(self):
        """Write the configuration, start all daemons and wait until the node is up."""
        for name in ("state", "spool", "munge"):
            (self.folder / name).mkdir(parents=True, mode=0o755)
        CONFIGURATION.mkdir(exist_ok=True)
        values = {"host": self.host, "folder": self.folder, "cpus": self.cpus, "memory": self.memory}
        (CONFIGURATION / "slurm.conf").write_text(SLURM_CONF.format(**values), encoding="utf-8")
        (CONFIGURATION / "gres.conf").write_text(GRES_CONF.format(**values), encoding="utf-8")
        key = self.folder / "munge" / "key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        places = {"key-file": key, "socket": self.folder / "munge.socket", "pid-file": self.folder / "munged.pid"}
        places |= {"log-file": self.folder / "munge" / "log", "seed-file": self.folder / "munge" / "seed"}
        # All is root here: --force accepts a folder that others cannot enter.
        _run("munged", "--force", *(f"--{name}={path}" for name, path in places.items()))
        _run("slurmctld", "-c")
        self.start_node()

    def start_node(self):
        """Start the node's daemon and wait until the node is up: jobs that waited may take it at once, so that it is never seen idle."""
        _run("slurmd", "-c")
        deadline = time.monotonic() + 60
        while (state := _run("sinfo", "--noheader", "--format=%T").strip()) not in ("idle", "mixed", "allocated"):
            if time.monotonic() > deadline:
                raise TimeoutError(f"the node is {state} after a minute; see {self.folder}/*.log")
            time.sleep(0.5)

    def stop(self):
        """Stop all daemons with what still runs below them, and take the configuration away."""
        self._end_processes()
        for name in ("slurmd", "slurmctld", "munged"):
            self._end_daemon(name, signal.SIGTERM)
        for name in ("slurm.conf", "gres.conf"):
            (CONFIGURATION / name).unlink(missing_ok=True)

    def lose_node(self):
        """Take the node away as a power cut does: its daemon and all processes of its jobs are gone, and the controller learns of it."""
        self._end_daemon("slurmd", signal.SIGKILL)
        self._end_processes()
        _run("scontrol", "update", f"nodename={self.host}", "state=down", "reason=lost")

    def kill(self, job):
        """End all processes of a job by SIGKILL, leaving SLURM itself to find out."""
        for step in _steps(job):
            _end(step.children(recursive=True))

    def jobs(self):
        """Return SLURM's records of all jobs, in the order of submission: dictionaries of what ``scontrol show job`` says, times in s."""
        lines = _run("scontrol", "show", "job", "--oneliner").splitlines()
        records = [dict(re.findall(r"(\w+)=(\S*)", line)) for line in lines if line.startswith("JobId=")]
        for record in records:
            for name in ("StartTime", "EndTime"):
                known = record.get(name, "Unknown") != "Unknown"
                record[name] = time.mktime(time.strptime(record[name], "%Y-%m-%dT%H:%M:%S")) if known else None
        return sorted(records, key=lambda record: int(record["JobId"]))

    def _end_processes(self):
        for step in _steps():
            _end([step, *step.children(recursive=True)])

    def _end_daemon(self, name, by):
        file = self.folder / f"{name}.pid"
        with suppress(FileNotFoundError, psutil.NoSuchProcess):
            process = psutil.Process(int(file.read_text()))
            process.send_signal(by)
            process.wait(30)
        file.unlink(missing_ok=True)


def _steps(job=""):
    """Processes that SLURM has started to watch the steps of one job, or of all."""
    wanted = f"slurmstepd: [{job}." if job else "slurmstepd: ["
    return [process for process in psutil.process_iter(["cmdline"]) if " ".join(process.info["cmdline"] or []).startswith(wanted)]


def _end(processes):
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def _run(*command):
    """Run a command to its end and return what it prints; it must succeed."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))} ended with {done.returncode}: {done.stdout}")
    return done.stdout
