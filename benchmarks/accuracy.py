"""Brain mask, registration, perfusion and reperfusion of a finished run on the simulated cohort, against the hidden truth.

``PYTHONPATH=workflow/scripts python benchmarks/accuracy.py RESULTS OVERLAY...`` prints one table each. RESULTS is the folder ``results`` of the run,
OVERLAY the configuration files that it was given over config/config.yaml: config/paper.yaml and benchmarks/full_size.yaml for images of full size,
config/paper.yaml and benchmarks/reperfusion.yaml for reperfused and other patients with perfusion at H3.
No rule of the analysis reads the truth; this script does, since it judges the analysis and is no part of it.
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from nibabel.affines import apply_affine
from scipy import ndimage
from scipy.stats import spearmanr
from settings import read_config

from finalinfarct.dataset.contract import TRUTH_FOLDER
from finalinfarct.dataset.images import read_image, voxel_volume_ml
from finalinfarct.dataset.inclusion import read_inclusion
from finalinfarct.evaluation.metrics import overlap_metrics
from finalinfarct.imaging.perfusion import compute_perfusion
from finalinfarct.simulation.acquisition import acquire_perfusion, vessel_flow
from finalinfarct.simulation.patient import build_patient

SCANS = {"dwi": "dwi", "dsc": "ses-baseline_dsc", "h3": "ses-h3_dsc", "flair": "ses-baseline_FLAIR", "followup": "ses-followup_FLAIR"}
MAPS = ("perfref", "Tmax", "CBF", "CBV", "MTT", "TTP", "aif_mask")
TO_LPS = np.array([-1.0, -1.0, 1.0])
THRESHOLD_S, SMALLEST_VOLUME_ML = 6.0, 10.0
# A voxel of which more than 1 % is an artery or a sinus shows their flow more than the tissue's.
LARGEST_VESSEL_SHARE = 0.01
# The map itself tells of most of them: by a CBV of more than so many times the brain's median.
LARGEST_CBV = 2.0
# Tissue that arrives this late or later has Tmax > 6 s in the noise-free maps.
NORMAL_DELAY_S = 2.5


class Truth:
    """What the simulation knows of one patient."""

    def __init__(self, dataset, name):
        self.folder, self.name = Path(dataset) / "derivatives" / TRUTH_FOLDER / name, name

    def image(self, ending):
        """Return one image of the truth."""
        return read_image(self.folder / f"{self.name}_{ending}.nii.gz")

    def record(self, scan):
        """Return what is known of the pose of a scan."""
        return json.loads((self.folder / f"{self.name}_{scan}_transforms.json").read_text(encoding="utf-8"))

    def to_dwi(self, scan, points):
        """Where points (V, 3) in mm of a scan (dwi, ses-baseline_dsc, ses-h3_dsc, ses-baseline_FLAIR, ses-followup_FLAIR) lie in DWI mm."""
        if scan == "dwi":
            return points
        record = self.record(scan)
        reached = apply_affine(np.array(record[next(key for key in record if key.endswith("_mm_to_dwi_mm"))]), points)
        if "then" not in record:
            return reached
        field = self.image(
            "space-dwi_desc-swelling_displacement" if "FLAIR" in scan else f"space-dwi_{scan.removesuffix('_dsc')}_desc-epi_displacement"
        )
        return reached + at(field, reached)

    def from_dwi(self, scan, goal, guess):
        """Where the points of a scan lie, (V, 3) in mm, that ``to_dwi`` carries to the goal."""
        for _ in range(20):
            guess = guess - (self.to_dwi(scan, guess) - goal)  # heads turn by a few degrees: each round leaves a tenth
        return guess

    def on_grid(self, ending, image, scan, nearest=False):
        """A map of the truth at the voxels of an image that lies in the space of a scan."""
        index = np.stack(np.meshgrid(*(np.arange(n) for n in image.shape[:3]), indexing="ij"), axis=-1).reshape(-1, 3)
        points = self.to_dwi(scan, apply_affine(image.affine, index))
        return at(self.image(ending), points, order=0 if nearest else 1).reshape(image.shape[:3])


def at(image, points, order=1):
    """Values of an image (a vector field too) at points (V, 3) in mm; 0 outside."""
    index = apply_affine(np.linalg.inv(image.affine), points).T
    data = image.get_fdata(dtype=np.float32)
    volumes = [data] if data.ndim == 3 else np.moveaxis(data, -1, 0)
    values = [ndimage.map_coordinates(volume, index, order=order, mode="nearest" if data.ndim == 4 else "constant") for volume in volumes]
    return values[0] if data.ndim == 3 else np.stack(values, axis=-1)


def reference_scan(name):
    """The scan that a patient of the simulated cohorts is registered to."""
    return "dwi" if "hibiscus" in name else "ses-baseline_dsc"


def brain_masks(results, dataset, names):
    """Dice of the brain mask against the true brain (half of the voxel or more is brain or subarachnoid CSF)."""
    rows = []
    for name in names:
        mask = read_image(results / "preprocessed" / name / f"{name}_space-reference_label-brain_mask.nii.gz")
        found, true = mask.get_fdata() > 0.5, Truth(dataset, name).on_grid("space-dwi_label-brain_mask", mask, reference_scan(name)) > 0.5
        rows.append((name, overlap_metrics(found, true)["dsc"], found.sum() / true.sum()))
    return pd.DataFrame(rows, columns=["participant_id", "dice", "volume_ratio"])


def registrations(results, dataset, names):
    """Displacement in brain, in mm, that is left after registration, and that there was before; median over voxels, in plane and in space.

    ``nearest_affine_mm``: what the affine transform leaves in plane that is nearest to the truth, which an affine cohort cannot go below by much.
    """
    import ants

    rows = []
    for name in names:
        truth, scan = Truth(dataset, name), reference_scan(name)
        mask = read_image(results / "preprocessed" / name / f"{name}_space-reference_label-brain_mask.nii.gz")
        points = apply_affine(mask.affine, np.argwhere(truth.on_grid("space-dwi_label-brain_mask", mask, scan) > 0.5)[:: int(mask.shape[0] // 16)])
        goal = truth.to_dwi(scan, points)
        for path in sorted((results / "registration" / name).glob("*_to-reference_xfm.h5")):
            image = path.name.split("_from-")[1].split("_")[0]
            table = pd.DataFrame(points * TO_LPS, columns=["x", "y", "z"])
            there = ants.apply_transforms_to_points(3, table, [str(path)])[["x", "y", "z"]].to_numpy() * TO_LPS
            nearest = nearest_affine(points, truth.from_dwi(SCANS[image], goal, there))
            left, before, limit = (truth.to_dwi(SCANS[image], moved) - goal for moved in (there, points, nearest))
            plane, plane_before, plane_limit = (np.median(np.linalg.norm(d[:, :2], axis=1)) for d in (left, before, limit))
            rows.append((name, image, plane_before, plane, plane / plane_before, plane_limit, np.median(np.linalg.norm(left, axis=1))))
    columns = ["participant_id", "image", "in_plane_before_mm", "in_plane_mm", "ratio", "nearest_affine_mm", "in_space_mm"]
    return pd.DataFrame(rows, columns=columns)


def nearest_affine(points, moved):
    """Where the affine transform carries points (V, 3) that brings them nearest, by least squares, to where they moved."""
    ones = np.c_[points, np.ones(len(points))]
    return ones @ np.linalg.lstsq(ones, moved, rcond=None)[0]


def perfusions(results, dataset, names, config):
    """Perfusion of the baseline series against the noise-free, motion-free series and against the haemodynamics that it was made from."""
    rows = []
    plain = config["perfusion"] | {"motion_correction": False, "time_smoothing_fwhm_mm": 0.0, "flow_smoothing_fwhm_mm": 0.0}
    for name in names:
        patient = build_patient(name, config["simulation"])
        true = acquire_perfusion(patient, config["simulation"], "baseline")["parameters"]
        brain, vessel = true["brain"] > 0.5, true["artery"] + true["sinus"] > LARGEST_VESSEL_SHARE
        found = {key: read_image(results / "maps" / name / f"{name}_ses-baseline_{key}.nii.gz") for key in ("Tmax", "CBF", "CBV")}
        voxel_ml = voxel_volume_ml(found["Tmax"].affine)
        found = {key: image.get_fdata(dtype=np.float32) for key, image in found.items()}
        clean = maps_of(Truth(dataset, name).folder / f"{name}_ses-baseline_desc-clean_dsc.nii.gz", plain)
        late, late_clean = ((maps["Tmax"] > THRESHOLD_S) & brain for maps in (found, clean))
        normal = true["delay"] < NORMAL_DELAY_S
        tissue = brain & ~vessel & (found["Tmax"] > 0) & (true["cbf"] > 5)
        high_cbv = brain & (found["CBV"] > LARGEST_CBV * np.median(found["CBV"][brain]))
        row = {
            "participant_id": name,
            "clean_ml": late_clean.sum() * voxel_ml,
            "dice": overlap_metrics(late, late_clean)["dsc"],
            "volume_ratio": late.sum() / max(late_clean.sum(), 1),
            "beyond_ml": (late & normal).sum() * voxel_ml,
            "shift_s": np.median((found["Tmax"] - true["delay"])[tissue]),
            "spread_s": np.subtract(*np.percentile((found["Tmax"] - true["delay"])[tissue], [75, 25])) / 1.349,
            "high_cbv_share": high_cbv.sum() / brain.sum(),
        }
        blood = with_vessels(true)
        for key in ("CBF", "CBV"):
            for what, voxels, reference in (
                ("tissue", brain & ~vessel, true),
                ("without_high_cbv", brain & ~high_cbv, true),
                ("brain", brain, blood),
                ("tissue_in_brain", brain, true),
            ):
                row[f"{key}_r_{what}"] = np.corrcoef(found[key][voxels], reference[key.lower()][voxels])[0, 1]
            row[f"{key}_rank_r_brain"] = spearmanr(found[key][brain], blood[key.lower()][brain]).statistic
            row[f"{key}_clean_r_tissue"] = np.corrcoef(clean[key][brain & ~vessel], true[key.lower()][brain & ~vessel])[0, 1]
            row[f"{key}_factor"] = np.median(found[key][tissue] / true[key.lower()][tissue])
        rows.append(row)
    return pd.DataFrame(rows)


def with_vessels(true):
    """CBF and CBV of the truth with the large vessels' own, by their share of the voxel: what fills all of a voxel."""
    mixed = {key: true[key] * (1 - true["artery"] - true["sinus"]) for key in ("cbf", "cbv")}
    for name in ("artery", "sinus"):
        cbf, transit_s, _ = vessel_flow(name, true["delay"])
        mixed["cbf"] += true[name] * cbf
        mixed["cbv"] += true[name] * cbf * transit_s / 60
    return mixed


def maps_of(series, settings):
    """Perfusion maps of a series, by name."""
    with tempfile.TemporaryDirectory() as folder:
        outputs = {key: Path(folder) / f"{key}.nii.gz" for key in MAPS} | {"aif": Path(folder) / "aif.tsv", "report": Path(folder) / "report.json"}
        compute_perfusion(series, settings, outputs)
        return {key: read_image(outputs[key]).get_fdata(dtype=np.float32) for key in ("Tmax", "CBF", "CBV")}


def reperfusions(results, dataset):
    """Reperfusion status by the ratio of the perfusion at 3 h, against the simulated one and the share of the tissue that is late no more."""
    table = read_inclusion(results / "inclusion.tsv").dropna(subset=["reperfusion_ratio"])
    patients = [Truth(dataset, name) for name in table["participant_id"]]
    hidden = [json.loads((truth.folder / f"{truth.name}_status.json").read_text(encoding="utf-8"))["reperfused"] for truth in patients]
    late_ml = np.array([[truth.record(SCANS[scan])["hypoperfused_ml"] for scan in ("dsc", "h3")] for truth in patients]).reshape(-1, 2)
    shown = table[["participant_id", "reperfusion_ratio", "status"]]
    return shown.assign(truly_reperfused=hidden, true_ratio=1 - late_ml[:, 1] / late_ml[:, 0])


def show(title, table, group=None):
    """Print a table and, below it, the median and the worst of its numbers."""
    print(f"\n{title}\n{table.round(3).to_string(index=False)}")
    numbers = table.groupby(group) if group else table
    print(numbers[[key for key in table.select_dtypes("number")]].agg(["median", "min", "max"]).round(3).to_string())


def main():
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("overlays", nargs="*", type=Path)
    arguments = parser.parse_args()
    config = read_config(*arguments.overlays)
    results, dataset = arguments.results, arguments.results / "dataset"
    names = sorted(path.name for path in (results / "preprocessed").glob("sub-*"))
    show("Brain mask", brain_masks(results, dataset, names))
    show("Registration, median over the brain", registrations(results, dataset, names), group="image")
    perfusion = perfusions(results, dataset, names, config)
    show("Perfusion", perfusion)
    large = perfusion[perfusion["clean_ml"] > SMALLEST_VOLUME_ML]
    medians = large[["dice", "volume_ratio"]].median()
    print(f"Tmax > 6 s, {len(large)} patients above 10 ml: median Dice {medians['dice']:.3f}, volume ratio {medians['volume_ratio']:.3f}")
    show("Reperfusion", reperfusions(results, dataset))


if __name__ == "__main__":
    main()
