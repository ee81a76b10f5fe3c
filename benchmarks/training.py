"""Speed and memory of training beside the same network in plain Keras layers with ``model.fit``, in one run; unchanged on a machine with a GPU.

``PYTHONPATH=workflow/scripts python benchmarks/training.py step`` (or ``start-up``, ``memory``, ``folds``, ``projection``) prints a table. Each
contender is a process of its own with its own settings; they take turns, so that a slow moment of the machine meets all of them. Figures are medians
over the turns; CPU time stands beside wall time, since it is what is left of a measurement on a busy machine. A contender is ``keras-fit``, or a
backend and a precision such as ``tensorflow/bfloat16`` or ``torch/float32``, with ``/grouped`` for branches computed as one. ``keras-fit`` takes the
backend of the variable KERAS_BACKEND; ``keras-fit-xla`` compiles. On a machine with GPUs all contenders use the first that is visible.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path

import numpy as np

from finalinfarct.learning.devices import gpu_identifiers
from finalinfarct.learning.families import INPUTS, TRAINING_SETS

CONTENDERS = ["keras-fit", "tensorflow/float32", "tensorflow/bfloat16"]
SETTINGS = {
    "seed": 0,
    "epochs": 1,
    "batch_size": 12,
    "learning_rate": 0.0001,
    "learning_rate_decay": 0.0005,
    "l2": 0.0002,
    "dropout": 0.5,
    "lesion_weight": 8.0,
    "dice_denominator": "squared",
    "batch_normalization_momentum": 0.99,
    "batch_normalization_epsilon": 0.001,
    "initializer": "glorot_uniform",
    "early_stopping": {"minimum_improvement": 0.005, "patience": 100},
    "weights": "best",
    "checkpoint_interval_s": 60,
    "backend": "tensorflow",
    "precision": "float32",
    "branches": "separate",
    "slots_per_gpu": 1,
    "tensorboard": False,
}
# Networks of the paper's 14 families, and how many families have them: fusion, number of inputs.
NETWORKS = {("late", 5): 3, ("early", 5): 3, ("late", 3): 2, ("late", 1): 6}
PAPER = {"folds": 5, "epochs": 500, "slices": 600, "validation_slices": 70}
PATIENTS, SLICES_PER_PATIENT = 109, 8


class Clock:
    """Wall and CPU time in s since the last lap."""

    def __init__(self):
        self.last = self._now()

    @staticmethod
    def _now():
        used = resource.getrusage(resource.RUSAGE_SELF)
        return np.array([time.perf_counter(), used.ru_utime + used.ru_stime])

    def lap(self):
        """Return [wall, CPU] and start anew."""
        before, self.last = self.last, self._now()
        return (self.last - before).tolist()


def random_batch(matrix, batch, inputs):
    """Images (slices, X, Y, inputs) and labels (slices, X, Y) without meaning."""
    random = np.random.default_rng(0)
    return random.random((batch, matrix, matrix, inputs), np.float32), random.integers(0, 3, (batch, matrix, matrix)).astype(np.uint8)


def training_step(step, network, images, labels):
    """What a backend makes of a network that trains on one batch and validates with it."""
    return step.TrainingStep(network, *[(images, labels)] * 2, len(images), SETTINGS["lesion_weight"], SETTINGS["dice_denominator"])


def plain_network(keras, fusion, n_inputs, matrix):
    """The network as a user writes it with the layers of Keras, compiled for ``fit``."""
    from keras import layers, ops

    kernel = {"kernel_regularizer": keras.regularizers.L2(SETTINGS["l2"])}

    def block(x, width):
        for _ in range(2):
            x = layers.BatchNormalization()(layers.Conv2D(width, 3, padding="same", activation="relu", **kernel)(x))
        return x

    images = keras.Input((matrix, matrix, n_inputs))
    ends, skips = [], []
    for x in ops.split(images, n_inputs, axis=-1) if fusion == "late" and n_inputs > 1 else [images]:
        own = []
        for level, width in enumerate((8, 16, 32, 64, 128)):
            x = block(x, width)
            x = layers.Dropout(SETTINGS["dropout"])(x) if level >= 3 else x
            if level < 4:
                own.append(x)
                x = layers.MaxPooling2D(2)(x)
        ends.append(x)
        skips.append(own)
    x = layers.Concatenate()(ends) if len(ends) > 1 else ends[0]
    for level, width in zip((3, 2, 1, 0), (64, 32, 16, 8), strict=True):
        x = layers.Conv2DTranspose(width, 2, strides=2, **kernel)(x)
        x = block(layers.Concatenate()([x] + [own[level] for own in skips]), width)
    network = keras.Model(images, layers.Conv2D(3, 3, padding="same", activation="softmax", **kernel)(x))

    def loss(labels, probabilities):
        truth = ops.one_hot(ops.cast(labels, "int32"), 3)
        dice = 2.0 * ops.sum(truth * probabilities, (0, 1, 2)) / (ops.sum(probabilities**2, (0, 1, 2)) + ops.sum(truth, (0, 1, 2)))
        return 1.0 - (8.0 * dice[2] + dice[1] + dice[0]) / 10.0

    rate = keras.optimizers.schedules.InverseTimeDecay(SETTINGS["learning_rate"], 1, SETTINGS["learning_rate_decay"])
    network.compile(optimizer=keras.optimizers.Adam(rate), loss=loss)
    return network


def work(options):
    """One contender: report the parts of its start-up, then make as many updates and validations of a batch as each line of the input says.

    It reports the time of both together.
    """
    clock, parts = Clock(), {}
    images, labels = random_batch(options.matrix, options.batch, options.inputs)
    if options.contender.startswith("keras-fit"):
        import keras

        if keras.config.backend() == "tensorflow":
            import tensorflow as tf

            tf.config.threading.set_intra_op_parallelism_threads(options.threads)
            tf.config.threading.set_inter_op_parallelism_threads(options.threads)
            for card in tf.config.list_physical_devices("GPU"):
                tf.config.experimental.set_memory_growth(card, True)
        parts["imports"] = clock.lap()
        network = plain_network(keras, options.fusion, options.inputs, options.matrix)
        if options.contender == "keras-fit-xla":
            network.jit_compile = True
        parts["building"] = clock.lap()

        @cache  # copied in the turn that warms up
        def data(updates):
            return [np.concatenate([part] * updates) for part in (images, labels)]

        def run(updates):
            network.fit(*data(updates), batch_size=options.batch, shuffle=False, verbose=0)

        def validate():
            network.evaluate(images, labels, batch_size=options.batch, verbose=0)
    else:
        from finalinfarct.learning import training
        from finalinfarct.learning.backend import load_step

        backend, precision, *branches = options.contender.split("/")
        # All contenders live at once on one GPU: with fewer slots they would wait for one another.
        step = load_step(backend, 64)
        parts["imports"] = clock.lap()
        step.configure(options.threads, 0)
        network = training.network_from_settings(options.fusion, range(options.inputs), options.matrix, SETTINGS, precision, *branches)
        update = training_step(step, network, images, labels)
        parts["building"] = clock.lap()

        def run(updates):
            for number in range(updates):
                loss = update(np.arange(options.batch), 1e-4, number)
            float(loss)

        validate = update.validate

    clock.lap()
    run(1)
    parts["first update: tracing, kernels"] = clock.lap()
    validate()
    parts["first validation"] = clock.lap()
    parameters = sum(int(np.prod(v.shape)) for v in network.trainable_variables)
    print(json.dumps({"parts": parts, "parameters": parameters}), flush=True)
    for line in sys.stdin:
        updates, validations = map(int, line.split())
        clock.lap()
        run(updates)
        for _ in range(validations):
            validate()
        print(json.dumps({"time": clock.lap(), "peak_gb": peak_gb()}), flush=True)


def peak_gb():
    """Most memory that this process ever held, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


class Worker:
    """A contender in its process, which starts at once."""

    def __init__(self, contender, options, fusion="late", inputs=5):
        command = [sys.executable, __file__, "worker", "--contender", contender, "--fusion", fusion, "--inputs", str(inputs)]
        command += ["--matrix", str(options.matrix), "--batch", str(options.batch), "--threads", str(options.threads)]
        environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
        visible = environment["CUDA_VISIBLE_DEVICES"].split(",") if "CUDA_VISIBLE_DEVICES" in environment else gpu_identifiers()
        environment["CUDA_VISIBLE_DEVICES"] = visible[0] if visible else "-1"
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self.contender, self.begin = contender, time.perf_counter()
        self.process = subprocess.Popen(command, text=True, env=environment, **pipes)

    def ready(self):
        """Wait for what it reports of its start-up, and return that with the time in s since it was started."""
        return self._answer(), time.perf_counter() - self.begin

    def _answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.contender} ended without an answer; is its backend installed?")
        return json.loads(line)

    def begin_run(self, updates, validations=0):
        """Make updates and validations of a batch, without waiting for them."""
        self.process.stdin.write(f"{updates} {validations}\n")
        self.process.stdin.flush()

    def end_run(self):
        """Wait for what was begun; return [wall, CPU] in s, and the peak memory in GB."""
        answer = self._answer()
        return np.array(answer["time"]), answer["peak_gb"]

    def run(self, updates):
        """Make updates; return [wall, CPU] in s of one of them, and the peak memory in GB."""
        self.begin_run(updates)
        seconds, peak = self.end_run()
        return seconds / updates, peak

    def close(self):
        """End the process."""
        self.process.stdin.close()
        self.process.wait()


def measure_steps(options):
    """Table of the time of one update."""
    workers = {name: Worker(name, options) for name in options.contenders}
    reports = [worker.ready()[0] for worker in workers.values()]
    assert len({report["parameters"] for report in reports}) == 1
    times, peaks = {name: [] for name in workers}, {}
    for turn in range(options.turns + 1):
        for name, worker in workers.items():
            seconds, peaks[name] = worker.run(options.updates)
            if turn:  # the first is a warm-up
                times[name].append(seconds)
    for worker in workers.values():
        worker.close()
    first = np.array(times[options.contenders[0]])
    work_gflop = step_gflop(options.matrix, options.batch)
    print(f"One update at {options.matrix}x{options.matrix}, batch {options.batch}, late fusion of 5 inputs, {options.threads} threads")
    print(f"{options.turns} turns of {options.updates} updates; the convolutions of an update are {work_gflop:.0f} GFLOP")
    print(f"{'':24s}{'wall s':>9s}{'CPU s':>9s}{'times faster, wall':>20s}{'(range)':>14s}{'CPU':>7s}{'GFLOP per CPU s':>17s}{'peak GB':>9s}")
    for name, values in times.items():
        values = np.array(values)
        wall, cpu = np.median(values, axis=0)
        ratio = first / values
        print(
            f"{name:24s}{wall:9.4f}{cpu:9.4f}{np.median(ratio[:, 0]):20.2f}{f'{ratio[:, 0].min():.2f}-{ratio[:, 0].max():.2f}':>14s}"
            f"{np.median(ratio[:, 1]):7.2f}{work_gflop / cpu:17.0f}{peaks[name]:9.2f}"
        )


def step_gflop(matrix, batch, branches=5):
    """Floating-point operations of the convolutions, in 1e9: two a multiplication, forward and twice as many backward."""
    encoder, decoder = (8, 16, 32, 64, 128), (64, 32, 16, 8)
    total, before = 0, 1
    for level, width in enumerate(encoder):
        total += branches * (matrix >> level) ** 2 * 9 * width * (before + width)
        before = width
    before *= branches
    for level, width in zip((3, 2, 1, 0), decoder, strict=True):
        pixels = (matrix >> level) ** 2
        total += pixels * before * width + pixels * 9 * width * (width + branches * encoder[level] + width)
        before = width
    return 3 * 2 * batch * (total + matrix**2 * 9 * before * 3) / 1e9


def measure_start_up(options):
    """Table of what a training costs before its second update, part by part."""
    reports = {name: [] for name in options.contenders}
    for _ in range(options.turns):
        for name in options.contenders:
            worker = Worker(name, options)
            report, seconds = worker.ready()
            reports[name].append((seconds, report["parts"]))
            worker.close()
    print(f"Start-up of late fusion of 5 inputs at {options.matrix}x{options.matrix}, {options.threads} threads, medians of {options.turns} turns, s")
    names = list(reports[options.contenders[0]][0][1])
    print(f"{'':34s}" + "".join(f"{f'{name} wall':>28s}{'CPU':>7s}" for name in options.contenders))
    for part in names:
        medians = [np.median([parts[part] for _, parts in reports[name]], axis=0) for name in options.contenders]
        print(f"{part:34s}" + "".join(f"{wall:28.1f}{cpu:7.1f}" for wall, cpu in medians))
    sums = [
        (np.median([ready for ready, _ in found]), np.median([sum(cpu for _, cpu in parts.values()) for _, parts in found]))
        for found in reports.values()
    ]
    print(f"{'from start to second update':34s}" + "".join(f"{wall:28.1f}{cpu:7.1f}" for wall, cpu in sums))


def measure_memory(options):
    """Peak memory of one epoch of a training on random slices of a cohort as large as the paper's."""
    import h5py

    from finalinfarct.dataset.files import sha256
    from finalinfarct.learning.folds import write_folds
    from finalinfarct.learning.slices import load_slices
    from finalinfarct.learning.training import train

    names = [f"sub-{number:03d}" for number in range(PATIENTS)]
    test, validation, training = names[:19], names[19:28], names[28:]
    random = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        with h5py.File(folder / "slices.h5", "w") as file:
            shape = (PATIENTS * SLICES_PER_PATIENT, options.matrix, options.matrix)
            images = file.create_dataset("images", (*shape, len(INPUTS)), "f4", chunks=(1, *shape[1:], len(INPUTS)))
            for number in range(shape[0]):
                images[number] = random.random(images.shape[1:], np.float32)
            file.create_dataset("labels", data=random.integers(0, 3, shape).astype(np.uint8), chunks=(1, *shape[1:]))
            file["participant_id"] = np.repeat(names, SLICES_PER_PATIENT).astype(h5py.string_dtype())
            file.attrs["inputs"], file.attrs["participants"] = list(INPUTS), names
        sets = {name: {"training": training, "validation": validation} for name in TRAINING_SETS}
        for part, some in (("reperfused", slice(0, None, 2)), ("nonreperfused", slice(1, None, 2))):
            sets[part] = {"training": training[some], "validation": validation[some]}
        write_folds({"seed": 0, "folds": [{"fold": 1, "test": test, "training_sets": sets}]}, folder / "folds.json")
        outputs = [folder / name for name in ("model.weights.h5", "history.csv", "environment.json")]
        settings = SETTINGS | {"precision": options.precision, "checkpoint_interval_s": 0}
        begin = time.perf_counter()
        load_slices(folder / "slices.h5", training, list(INPUTS))
        read = time.perf_counter()
        sha256(folder / "slices.h5")
        print(f"Every training reads its slices, here in {read - begin:.1f} s, and hashes the file, in {time.perf_counter() - read:.1f} s")
        begin = time.perf_counter()
        train(
            folder / "slices.h5",
            folder / "folds.json",
            1,
            "all",
            list(INPUTS),
            "late",
            options.matrix,
            settings,
            *outputs,
            options.threads,
            "",
            folder,
        )
    print(
        f"{len(training) * SLICES_PER_PATIENT} training slices of {options.matrix}x{options.matrix}x5, {options.precision}, one epoch with checkpoint"
    )
    print(f"{time.perf_counter() - begin:.0f} s, peak {peak_gb():.2f} GB")


def measure_folds(options):
    """Table of the time of one update of the five folds' networks, one after another and as one program with batched weights, both with JAX."""
    os.environ["KERAS_BACKEND"] = "jax"
    from finalinfarct.learning import training
    from finalinfarct.learning.backend import load_step

    step = load_step("jax", 64)
    import jax
    import jax.numpy as jnp

    images, labels = random_batch(options.matrix, options.batch, options.inputs)
    updates = []
    for fold in range(PAPER["folds"]):
        step.configure(options.threads, fold)
        network = training.network_from_settings(options.fusion, range(options.inputs), options.matrix, SETTINGS)
        updates.append(training_step(step, network, images, labels))
    first, rows = updates[0], np.arange(options.batch, dtype=np.int32)
    # Each fold has slices of its own on the device; here they share the batch, which changes nothing of the work.
    batched = jax.jit(jax.vmap(first._trace, in_axes=(0, *(None,) * 6)), donate_argnums=0)
    state = jax.tree.map(lambda *values: jnp.stack(values), *(update.state for update in updates))

    def one_after_another(number):
        return [float(update(rows, 1e-4, number)) for update in updates]

    def together(number):
        nonlocal state
        losses, state = batched(state, first.penalties, *first._batch(first.training, rows), 1e-4, float(number))
        return np.asarray(losses)

    programs, times = {"one after another": one_after_another, "together": together}, {}
    for turn in range(options.turns + 1):
        losses = {}
        for name, program in programs.items():
            clock = Clock()
            losses[name] = [program(turn * options.updates + number) for number in range(options.updates)]
            if turn:  # the first compiles
                times.setdefault(name, []).append(np.array(clock.lap()) / options.updates)
        if not turn:
            assert np.allclose(losses["one after another"][0], losses["together"][0], rtol=1e-3), losses
    place = f"{options.matrix}x{options.matrix}, batch {options.batch}, {options.fusion} fusion of {options.inputs} inputs, {step.device_name()}"
    print(f"One update of {len(updates)} networks at {place}; {options.turns} turns of {options.updates} updates")
    for name, values in times.items():
        wall, cpu = np.median(values, axis=0)
        print(f"{name:24s}{wall:9.3f} s wall{cpu:9.3f} s CPU")
    ratio = (np.array(times["one after another"]) / np.array(times["together"]))[:, 0]
    print(f"together is {np.median(ratio):.2f} times as fast ({ratio.min():.2f}-{ratio.max():.2f}), wall time")


def project(options):
    """Projected time of the paper's 70 trainings from measured epochs, with some trainings at once on one device. Start-up is not in it."""
    updates, validations = (-(-PAPER[name] // options.batch) for name in ("slices", "validation_slices"))
    epoch = f"{updates} updates and {validations} validation batches"
    print(f"Hours of the paper's trainings: {PAPER['folds']} folds, {PAPER['epochs']} epochs of {epoch}, no early stopping")
    print(f"{'network':18s}{'trainings':>10s}{'contender':>24s}{'at once':>9s}{'epoch s':>10s}{'hours':>8s}")
    total = {}
    for network, families in NETWORKS.items():
        for name in options.contenders:
            workers = [Worker(name, options, *network) for _ in range(max(options.slots))]
            for worker in workers:
                worker.ready()
            for slots in options.slots:
                turns = []
                for _ in range(options.turns + 1):
                    for worker in workers[:slots]:
                        worker.begin_run(updates, validations)
                    turns.append(max(worker.end_run()[0][0] for worker in workers[:slots]))
                trainings, seconds = families * PAPER["folds"], np.median(turns[1:])
                hours = seconds * PAPER["epochs"] * trainings / slots / 3600
                total[name, slots] = total.get((name, slots), 0.0) + hours
                print(f"{f'{network[0]}, {network[1]} inputs':18s}{trainings:10d}{name:>24s}{slots:9d}{seconds:10.3f}{hours:8.2f}", flush=True)
            for worker in workers:
                worker.close()
    for (name, slots), hours in total.items():
        print(f"{'all':18s}{sum(NETWORKS.values()) * PAPER['folds']:10d}{name:>24s}{slots:9d}{'':10s}{hours:8.2f}")


def main():
    """Run a subcommand."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    subcommands = {
        "step": measure_steps,
        "start-up": measure_start_up,
        "memory": measure_memory,
        "folds": measure_folds,
        "projection": project,
        "worker": work,
    }
    for name, function in subcommands.items():
        command = commands.add_parser(name, help=function.__doc__)
        command.set_defaults(function=function)
        command.add_argument("--matrix", type=int, default=192)
        command.add_argument("--batch", type=int, default=SETTINGS["batch_size"])
        command.add_argument("--threads", type=int, default=os.cpu_count())
        command.add_argument("--contenders", nargs="+", default=CONTENDERS)
        command.add_argument("--turns", type=int, default=5)
        command.add_argument("--updates", type=int, default=10, help="updates a turn, but of projection; each turn of keras-fit pays one call of fit")
        command.add_argument("--slots", nargs="+", type=int, default=[1], help="projection: numbers of trainings at once")
        command.add_argument("--precision", default="float32", choices=["float32", "bfloat16"])
        command.add_argument("--contender", default="keras-fit")
        command.add_argument("--fusion", default="late")
        command.add_argument("--inputs", type=int, default=5)
    options = parser.parse_args()
    options.function(options)


if __name__ == "__main__":
    main()
