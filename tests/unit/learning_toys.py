"""Small made-up patients for the tests of the learning room: an elliptic head with a lesion that stands out of the noise."""

import numpy as np
import pandas as pd

from finalinfarct.dataset.images import write_image

AFFINE = np.diag([3.75, 3.75, 5.0, 1.0])
SETTINGS = {
    "seed": 5,
    "epochs": 12,
    "batch_size": 12,
    "learning_rate": 0.003,
    "learning_rate_decay": 0.0005,
    "l2": 0.0002,
    "dropout": 0.5,
    "lesion_weight": 8.0,
    "dice_denominator": "squared",
    "batch_normalization_momentum": 0.8,
    "batch_normalization_epsilon": 0.001,
    "initializer": "glorot_uniform",
    "early_stopping": {"minimum_improvement": 0.005, "patience": 100},
    "weights": "best",
    "checkpoint_interval_s": 0,
    "backend": "tensorflow",
    "precision": "float32",
    "branches": "separate",
    "slots_per_gpu": 1,
    "tensorboard": False,
}


def make_patients(folder, number, matrix=32, slices=6, inputs=("DWI", "ADC")):
    """Write images and labels; return the list that ``pack_slices`` takes."""
    generator = np.random.default_rng(4)
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, n) for n in (matrix, matrix, slices)], indexing="ij"), axis=-1)
    head = ((grid / (0.8, 0.9, 2.0)) ** 2).sum(-1) < 1
    patients = []
    for index in range(number):
        centre = np.array([generator.choice([-0.35, 0.35]), generator.uniform(-0.3, 0.3), generator.uniform(-0.2, 0.2)])
        lesion = head & ((((grid - centre) / (0.3, 0.3, 0.7)) ** 2).sum(-1) < 1)
        name = f"sub-{index:02d}"
        paths = {}
        for sign, image in zip((1, -1) * len(inputs), inputs, strict=False):
            paths[image] = folder / name / f"{image}.nii.gz"
            write_image(paths[image], head * (0.5 + generator.normal(0, 0.05, head.shape)) + sign * 0.25 * lesion, AFFINE)
        write_image(folder / name / "dseg.nii.gz", head.astype(np.uint8) + lesion, AFFINE, dtype=np.uint8)
        patients.append({"participant_id": name, "images": paths, "dseg": folder / name / "dseg.nii.gz"})
    return patients


def inclusion(patients):
    """Inclusion table: every second patient is reperfused, the last two train only."""
    ids = [p["participant_id"] for p in patients]
    extra = [index >= len(ids) - 2 for index in range(len(ids))]
    return pd.DataFrame(
        {
            "participant_id": ids,
            "cohort": "hibiscus",
            "role": ["training" if x else "test" for x in extra],
            "status": ["nonreperfused" if x or index % 2 else "reperfused" for index, x in enumerate(extra)],
            "included": True,
        }
    )
