"""Predictions with and without reperfusion of simulated new patients, against what the simulation lets become of each of them in either course.

``PYTHONPATH=workflow/scripts python benchmarks/new_patients.py RESULTS OVERLAY...`` prints a table. RESULTS is the folder ``results`` of a run with
config/new_patients.yaml, OVERLAY the configuration files that it was given over config/config.yaml. Only a simulation knows both outcomes of a
patient: after complete reperfusion (mTICI 3) and without any (mTICI 0). Chance decides a good part of either, so each is drawn several times and
scores are averaged. No rule of the analysis reads the truth; this script makes it anew and is no part of the analysis.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import spearmanr
from settings import read_config

from finalinfarct.dataset.images import read_image, voxel_volume_ml
from finalinfarct.dataset.tables import read_table
from finalinfarct.evaluation.metrics import overlap_metrics
from finalinfarct.evaluation.mismatch import mismatch_prediction
from finalinfarct.simulation.fields import random_stream
from finalinfarct.simulation.geometry import sample, scan_grid
from finalinfarct.simulation.outcome import draw_final_lesion
from finalinfarct.simulation.patient import build_patient

GRADES = {"reperfused": "3", "nonreperfused": "0"}


def outcomes(name, status, settings, image, draws):
    """Final lesions of a patient in one course, bool (draws, X, Y, Z), on the grid of an image on the up-sampled grid of the DWI."""
    patient = build_patient(name, settings)
    rng = random_stream(settings["seed"], "both courses", status, name)
    known = (patient["grid"], patient["anatomy"], patient["haemodynamics"], GRADES[status], status == "reperfused", patient["clinical"]["nihss"])
    lesions = [draw_final_lesion(rng, *known)[0].astype(np.float32) for _ in range(draws)]
    grid = scan_grid(image.shape[0], settings["field_of_view_mm"], settings)
    assert np.allclose(grid.affine(), image.affine, atol=1e-3), f"the images of {name} lie on another grid than the simulation's"
    return np.stack(sample(lesions, patient["grid"], grid)) > 0.5


def measure(results, settings, mismatch, draws):
    """One row per patient and course: mean DSC over the drawn outcomes of networks and mismatch model, and volumes in ml."""
    rows = []
    for name in read_table(results / "new_patients.tsv")["participant_id"]:
        place = results / "preprocessed" / name / f"{name}_"
        core, brain = (
            np.asarray(read_image(f"{place}space-reference_label-{kind}_mask.nii.gz").dataobj) > 0.5 for kind in ("diffusionlesion", "brain")
        )
        tmax = np.asarray(read_image(f"{place}ses-baseline_space-reference_Tmax.nii.gz").dataobj)
        for status in GRADES:
            image = read_image(results / "new_patients" / name / f"{name}_space-reference_label-lesion_desc-{status}_mask.nii.gz")
            predicted, volume_ml = np.asarray(image.dataobj) > 0.5, voxel_volume_ml(image.affine)
            true = outcomes(name, status, settings, image, draws)
            rule = mismatch_prediction(core, tmax, brain, status == "reperfused", mismatch["tmax_threshold_s"])
            rows.append(
                {
                    "participant_id": name,
                    "status": status,
                    "dsc_networks": np.mean([overlap_metrics(predicted, one)["dsc"] for one in true]),
                    "dsc_mismatch": np.mean([overlap_metrics(rule, one)["dsc"] for one in true]),
                    "predicted_ml": predicted.sum() * volume_ml,
                    "mismatch_ml": rule.sum() * volume_ml,
                    "true_ml": true.sum(axis=(1, 2, 3)).mean() * volume_ml,
                }
            )
            print(*(f"{value:.3g}" if isinstance(value, float) else value for value in rows[-1].values()), sep="\t", flush=True)
    return pd.DataFrame(rows)


def main():
    """Print a line per patient and course, and a summary."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("overlays", nargs="*", type=Path)
    parser.add_argument("--draws", type=int, default=10, help="outcomes drawn of each patient in each course")
    options = parser.parse_args()
    config = read_config(*options.overlays)
    found = measure(options.results, config["simulation"], config["mismatch"], options.draws)
    for status, rows in found.groupby("status", sort=False):
        print(f"\n{status}: {len(rows)} patients, {options.draws} outcomes each; true volume, mean {rows['true_ml'].mean():.1f} ml")
        for name, column in (("networks", "predicted_ml"), ("mismatch", "mismatch_ml")):
            dice, volume = rows[f"dsc_{name}"], rows[column]
            rank = spearmanr(volume, rows["true_ml"])[0]
            print(f"  {name}: DSC mean {dice.mean():.3f}, median {dice.median():.3f}; volume {volume.mean():.1f} ml, rank correlation {rank:.2f}")
    wide = found.pivot(index="participant_id", columns="status")
    print("\nvolume without minus with reperfusion, ml")
    spared = {name: wide[f"{name}_ml"]["nonreperfused"] - wide[f"{name}_ml"]["reperfused"] for name in ("true", "predicted", "mismatch")}
    for name, gain in spared.items():
        rank = spearmanr(gain, spared["true"])[0]
        print(f"  {name}: mean {gain.mean():.1f}, positive in {np.count_nonzero(gain > 0)} of {len(gain)}, rank correlation {rank:.2f}")


if __name__ == "__main__":
    main()
