"""Running a copy of the workflow, and reading what snakemake has recorded of its jobs."""

import base64
import json
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

import h5py
import yaml

from project import ROOT

COPIED = ("Snakefile", "workflow", "config", "envs", "profiles", "resources", "tests/config")
# They tell how long a training took, as one row of other tables does.
TIMED = ("environment.json", "history.csv", "model_card.md")
TIMED_ROW = b"training duration"
FULL = "No space left on device"


class Workflow:
    """A copy of the repository, whose modules a test may edit, and a folder to work in.

    Parameters
    ----------
    repository, folder : Path
        The copy, made where it does not exist, and the working folder.
    """

    def __init__(self, repository, folder):
        self.repository, self.folder = repository, folder
        folder.mkdir(parents=True, exist_ok=True)
        if not repository.exists():
            for name in COPIED:
                copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
                (repository / name).parent.mkdir(parents=True, exist_ok=True)
                copy(ROOT / name, repository / name)

    def command(self, *targets, options=(), config=None):
        """Arguments and environment of a process that runs snakemake."""
        files = [self.repository / "tests/config/tiny.yaml"]
        if config:
            files.append(self.folder / "overlay.yaml")
            files[-1].write_text(yaml.safe_dump(config), encoding="utf-8")
        command = [sys.executable, "-m", "snakemake", "--snakefile", self.repository / "Snakefile", "--directory", self.folder, "--cores", "2"]
        environment = {**os.environ, "PYTHONPATH": "", "TF_CPP_MIN_LOG_LEVEL": "3"}
        return [*map(str, command), "--configfile", *map(str, files), *options, "--", *targets], environment

    def start(self, *targets, output=subprocess.DEVNULL, **how):
        """Start snakemake in a process group of its own."""
        command, environment = self.command(*targets, **how)
        return subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment, start_new_session=True, text=True)

    def run(self, *targets, timeout=1800, **how):
        """Run snakemake to its end; the finished process has its joined output."""
        process = self.start(*targets, output=subprocess.PIPE, **how)
        said, _ = process.communicate(timeout=timeout)
        return subprocess.CompletedProcess(process.args, process.returncode, said)

    def succeed(self, *targets, **how):
        """Run snakemake, which must end well, and return its output."""
        done = self.run(*targets, **how)
        assert done.returncode == 0, done.stdout[-6000:]
        return done.stdout

    def pending(self, *targets, **how):
        """Outputs that a run would make now, with the rule of each."""
        done = self.succeed(*targets, options=("--summary",), **how)
        lines = [line.split("\t") for line in done.splitlines()]
        begin = next(number for number, line in enumerate(lines) if line[0] == "output_file")
        place = {name: column for column, name in enumerate(lines[begin])}
        rows = [line for line in lines[begin + 1 :] if len(line) == len(place)]
        assert rows
        return {row[0]: row[place["rule"]] for row in rows if row[place["plan"]] != "no update"}

    def jobs(self):
        """Outputs of each finished job, by its log, as snakemake recorded them; what it is writing just now counts as not finished."""
        incomplete = set(self._recorded("incomplete"))
        jobs = {}
        for output, path in self._recorded("metadata").items():
            with suppress(json.JSONDecodeError):
                jobs.setdefault(json.loads(path.read_text(encoding="utf-8"))["log"][0], set()).add(output)
        return {log: outputs for log, outputs in jobs.items() if not outputs & incomplete}

    def _recorded(self, kind):
        """File of each record, by the output that it is of; snakemake cuts long names into folders that begin with @."""
        root = self.folder / ".snakemake" / kind
        files = {path.relative_to(root).as_posix().replace("@", "").replace("/", ""): path for path in root.rglob("*") if path.is_file()}
        return {base64.urlsafe_b64decode(name).decode(): path for name, path in files.items()}

    def files(self):
        """All files below results."""
        return sorted(path.relative_to(self.folder).as_posix() for path in (self.folder / "results").rglob("*") if path.is_file())

    def copy(self, folder):
        """A copy of the working folder with the times of its files, run by the same copy of the repository."""
        shutil.copytree(self.folder, folder)
        return Workflow(self.repository, folder)


def remove(folder, outputs):
    """Remove the outputs of a job."""
    for output in outputs:
        path = folder / output
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def contents(folder, outputs):
    """Content of the outputs of jobs, files in folders among them, by name; without what holds times."""
    paths = [path for output in outputs for path in ([folder / output, *(folder / output).rglob("*")])]
    return {path.relative_to(folder).as_posix(): _content(path) for path in paths if path.is_file() and path.name not in TIMED}


def _content(path):
    """Lines of a file; of a transform its arrays, since ITK puts the time of day between them."""
    if not path.name.endswith("_xfm.h5"):
        return [line for line in path.read_bytes().split(b"\n") if TIMED_ROW not in line]
    arrays = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: arrays.update({name: item[()].tolist()}) if isinstance(item, h5py.Dataset) else None)
    return arrays


@contextmanager
def damaged(path):
    """Overwrite 16 bytes at each of five places of a file, whose size and times stay; at the end it is whole again."""
    whole, times = path.read_bytes(), path.stat()
    changed = bytearray(whole)
    for place in (len(whole) * part // 6 for part in range(1, 6)):
        changed[place : place + 16] = bytes(byte ^ 0x5A for byte in changed[place : place + 16])
    assert len(changed) == len(whole) > 96
    path.write_bytes(changed)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    try:
        yield
    finally:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(whole)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def mount(path, *options, source="tmpfs"):
    """Mount or remount; False where this is not permitted."""
    path.mkdir(parents=True, exist_ok=True)
    command = ["mount", *options, source, str(path)] if source else ["mount", *options, str(path)]
    return Path("/proc/mounts").exists() and subprocess.run(command, capture_output=True).returncode == 0


def unmount(path):
    """Unmount what ``mount`` mounted."""
    subprocess.run(["umount", "--lazy", str(path)], check=True)
