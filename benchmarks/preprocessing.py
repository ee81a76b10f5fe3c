"""Time of every step of the preprocessing of one simulated patient of a finished run, one thread each.

``PYTHONPATH=workflow/scripts OMP_NUM_THREADS=1 python benchmarks/preprocessing.py RESULTS sub-hibiscus001 [OVERLAY...]`` prints seconds of the
processor and of the clock. The transforms of the DSC series and of the follow-up do not wait for each other, so two cores share the longest steps.
Starting the program of a step, about 2 s of the processor, comes on top of each.
"""

import argparse
import tempfile
import time
from pathlib import Path

from accuracy import MAPS
from settings import read_config

from finalinfarct.dataset.contract import patient_files
from finalinfarct.imaging.brain import brain_mask
from finalinfarct.imaging.diffusion import compute_adc
from finalinfarct.imaging.lesions import make_labels
from finalinfarct.imaging.normalisation import normalise
from finalinfarct.imaging.perfusion import compute_perfusion
from finalinfarct.imaging.registration import register, resample
from finalinfarct.plan.plan import MEASURED


def steps(files, config, work):
    """Pairs of the name of a step and what it does, in their order; every file of a step lies in the folder ``work``."""
    out = {name: work / f"{name}.nii.gz" for name in ("b0", "DWI", "ADC", "FLAIR", "brain", "diffusion", "final", "dseg", *MAPS)}
    up = {name: work / f"up_{name}.nii.gz" for name in out}
    matrix, images = config["images"]["matrix"], config["images"]
    maps = {name: out[name] for name in MAPS} | {"aif": work / "aif.tsv", "report": work / "report.json"}
    transform = {name: (work / f"{name}.h5", work / f"{name}_back.h5") for name in ("dsc", "followup")}
    measured = {up[name]: out[positive] for scan in MEASURED.values() for name, positive in scan.items()}
    onto = {"reference": out["b0"], "matrix": matrix, "measured": measured}
    labels = [files["final_lesion"], transform["followup"][0], files["dwi_lesion"], None, out["b0"], matrix, up["ADC"], out["brain"]]
    diffusion, perfusion = ("DWI", "ADC"), ("Tmax", "CBF", "CBV")
    return [
        ("ADC", lambda: compute_adc(files["dwi"], None, out["b0"], out["DWI"], out["ADC"])),
        ("perfusion maps", lambda: compute_perfusion(files["dsc"], config["perfusion"], maps)),
        ("registration of the DSC series", lambda: register(out["b0"], out["perfref"], "epi", *transform["dsc"])),
        ("registration of the follow-up", lambda: register(out["b0"], files["followup_flair"], "nonlinear", *transform["followup"])),
        ("up-sampling of diffusion", lambda: resample([(out[name], up[name]) for name in ("b0", *diffusion)], **onto)),
        ("up-sampling of perfusion", lambda: resample([(out[n], up[n]) for n in ("perfref", *perfusion)], transform=transform["dsc"][0], **onto)),
        ("up-sampling of the follow-up", lambda: resample([(files["followup_flair"], up["FLAIR"])], transform=transform["followup"][0], **onto)),
        ("brain mask", lambda: brain_mask(up["b0"], out["brain"], images["brain_mask"])),
        ("lesions", lambda: make_labels(*labels, config["mismatch"], out["diffusion"], out["final"], out["dseg"])),
        ("normalisation", lambda: normalise([(up[name], work / f"n_{name}.nii.gz") for name in (*diffusion, *perfusion)], out["brain"])),
    ]


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("participant")
    parser.add_argument("overlays", nargs="*", type=Path)
    arguments = parser.parse_args()
    config = read_config(*arguments.overlays)
    files = patient_files(arguments.results / "dataset", arguments.participant)
    total = [0.0, 0.0]
    print(f"{'':34s}{'processor s':>12s}{'clock s':>10s}")
    with tempfile.TemporaryDirectory() as work:
        for name, step in steps(files, config, Path(work)):
            processor, clock = time.process_time(), time.perf_counter()
            step()
            spent = time.process_time() - processor, time.perf_counter() - clock
            total = [before + now for before, now in zip(total, spent, strict=True)]
            print(f"{name:34s}{spent[0]:12.1f}{spent[1]:10.1f}", flush=True)
    print(f"{'all':34s}{total[0]:12.1f}{total[1]:10.1f}")


if __name__ == "__main__":
    main()
