"""Dice of the mismatch model over the 92 tested patients of the paper, simulated and processed from raw images by the default configuration.

``PYTHONPATH=workflow/scripts python benchmarks/mismatch.py`` prints mean and standard deviation by status beside the printed ones. It calls the
functions behind the rules, one process per core, which spares a thousand starts of Python. The rules do the same with these cohorts as an overlay of
the configuration and the target results/metrics/mismatch.tsv.
"""

import argparse
import json
import multiprocessing
import os
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from settings import paper_cohorts

os.environ.setdefault("ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", "1")
PRINTED = {"reperfused": "0.41 ± 0.23", "nonreperfused": "0.26 ± 0.17"}


def mismatch_dice(name, config, reperfused):
    """Simulate one patient, process the images, predict by the mismatch model; return status and Dice."""
    from finalinfarct.dataset.contract import patient_files
    from finalinfarct.dataset.images import read_image
    from finalinfarct.evaluation.metrics import overlap_metrics
    from finalinfarct.evaluation.mismatch import mismatch_prediction
    from finalinfarct.imaging.brain import brain_mask
    from finalinfarct.imaging.diffusion import compute_adc
    from finalinfarct.imaging.lesions import make_labels
    from finalinfarct.imaging.perfusion import compute_perfusion
    from finalinfarct.imaging.registration import register, resample
    from finalinfarct.simulation.cohort import simulate_patient

    matrix = config["images"]["matrix"]
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        simulate_patient(name, config["simulation"], work / "dataset")
        files = patient_files(work / "dataset", name)
        made = {key: work / f"{key}.nii.gz" for key in ("b0", "DWI", "ADC", "perfref", "Tmax", "CBF", "CBV", "MTT", "TTP", "aif_mask")}
        compute_adc(files["dwi"], None, made["b0"], made["DWI"], made["ADC"])
        compute_perfusion(files["dsc"], config["perfusion"], made | {"aif": work / "aif.tsv", "report": work / "perfusion.json"})
        for image, moving, kind in (("dsc", made["perfref"], "epi"), ("followup", files["followup_flair"], "nonlinear")):
            register(made["b0"], moving, kind, work / f"{image}.h5", work / f"from_{image}.h5")
        up = {key: work / f"up_{key}.nii.gz" for key in ("b0", "ADC", "Tmax", "brain", "diffusion", "final", "classes")}
        measured = {up["ADC"]: made["ADC"], up["Tmax"]: made["CBF"]}
        resample([(made["b0"], up["b0"]), (made["ADC"], up["ADC"])], made["b0"], matrix, measured=measured)
        resample([(made["Tmax"], up["Tmax"])], made["b0"], matrix, work / "dsc.h5", measured=measured)
        brain_mask(up["b0"], up["brain"], config["images"]["brain_mask"])
        outputs = (up["diffusion"], up["final"], up["classes"])
        lesions = (files["final_lesion"], work / "followup.h5", files["dwi_lesion"], None)
        make_labels(*lesions, made["b0"], matrix, up["ADC"], up["brain"], config["mismatch"], *outputs)
        lesion, tmax, brain, final = (read_image(up[key]).get_fdata() for key in ("diffusion", "Tmax", "brain", "final"))
        predicted = mismatch_prediction(lesion > 0.5, tmax, brain > 0.5, reperfused[name], config["mismatch"]["tmax_threshold_s"])
        return "reperfused" if reperfused[name] else "nonreperfused", overlap_metrics(predicted, final > 0.5)["dsc"]


def main():
    """Print the table."""
    from finalinfarct.simulation.clinical import draw_participants

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=92)
    parser.add_argument("--reperfused", type=int, default=74)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    asked = parser.parse_args()
    config = paper_cohorts(asked.patients, asked.reperfused)
    known = {row["participant_id"]: row["reperfused"] for row in draw_participants(config["simulation"]) if row["cohort"] == "hibiscus"}
    with ProcessPoolExecutor(asked.processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        found = list(pool.map(partial(mismatch_dice, config=config, reperfused=known), known))
    print(json.dumps({name: round(value, 4) for name, (_, value) in zip(known, found, strict=True)}))
    for status, printed in PRINTED.items():
        values = np.array([value for group, value in found if group == status])
        print(f"{status:14s} n = {values.size:3d}   {values.mean():.3f} ± {values.std(ddof=1):.3f}   printed {printed}")


if __name__ == "__main__":
    main()
