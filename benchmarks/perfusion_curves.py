"""Deconvolution of single curves: OSIPI's synthetic curves within its tolerances, and Tmax against the physical delay by delay and noise.

``PYTHONPATH=workflow/scripts python benchmarks/perfusion_curves.py [dsc_data.csv]`` prints the tables; the file is test data of OSIPI's
DCE-DSC-MRI_CodeCollection (github.com/OSIPI/DCE-DSC-MRI_CodeCollection). The curves by delay are the simulation's, before noise.
"""

import argparse

import numpy as np
import pandas as pd
from settings import read_config

from finalinfarct.imaging.perfusion import perfusion_maps
from finalinfarct.simulation import signals

FRAMES, REPETITION_TIME_S, BASELINE_FRAMES, CURVES = 60, 1.5, 9, 2000
DELAYS_S, CONTRASTS = (0, 1, 2, 3, 4, 6, 8, 10), (5, 10, 20, 40, np.inf)
BOLUS = {"arrival_s": 15.0, "shape": 2.5, "scale_s": 1.2, "recirculation": 0.09, "plateau": 0.055}


def osipi(path, settings):
    """CBF and CBV of OSIPI's curves and whether they lie within its tolerances: 10 % + 15 ml/100 ml/min and 10 % + 1 ml/100 ml."""
    rows = []
    for row in pd.read_csv(path).to_dict("records"):
        tissue, arterial = (np.array(str(row[name]).split(), float) for name in ("C_tis", "C_aif"))
        maps = perfusion_maps(tissue[None], arterial, float(row["tr"]), settings | {"hematocrit_factor": 1.0, "density_g_per_ml": 1.0})
        cbf, cbv = float(maps["CBF"][0]), float(maps["CBV"][0])
        within = abs(cbf - row["cbf"]) <= 0.1 * row["cbf"] + 15, abs(cbv - row["cbv"]) <= 0.1 * row["cbv"] + 1
        rows.append((row["label"], row["cbf"], cbf, within[0], row["cbv"], cbv, within[1], float(maps["Tmax"][0])))
    return pd.DataFrame(rows, columns=["curve", "true_cbf", "cbf", "cbf_within", "true_cbv", "cbv", "cbv_within", "tmax_s"])


def tmax_by_delay(settings, seed=1):
    """Median and spread (interquartile range / 1.349), in s, of Tmax minus the delay, by delay and contrast-to-noise ratio of the tissue curve."""
    random = np.random.default_rng(seed)
    time_s = REPETITION_TIME_S * np.arange(FRAMES)
    arterial = signals.arterial_input(time_s, BOLUS)
    rows = []
    for delay_s in DELAYS_S:
        clean = signals.tissue_curves(BOLUS, FRAMES, REPETITION_TIME_S, *(np.array([value]) for value in (60.0, 4.5, delay_s, 0.2 + 0.06 * delay_s)))
        for contrast in CONTRASTS:
            curves = clean + random.normal(0, clean.max() / contrast, (CURVES, FRAMES)) if np.isfinite(contrast) else clean
            error = perfusion_maps(curves, arterial, REPETITION_TIME_S, settings)["Tmax"] - delay_s
            low, middle, high = np.percentile(error, [25, 50, 75])
            rows.append((delay_s, contrast, f"{middle:+.2f} ({(high - low) / 1.349:.2f})"))
    table = pd.DataFrame(rows, columns=["delay_s", "contrast_to_noise", "shift"])
    return table.pivot(index="delay_s", columns="contrast_to_noise", values="shift")


def main():
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("osipi", nargs="?")
    path = parser.parse_args().osipi
    settings = read_config()["perfusion"]
    for method in ("csvd", "osvd"):
        now = settings | {"deconvolution": method}
        print(f"\n{method}: Tmax minus delay in s, median (spread), by contrast-to-noise ratio of the curve\n{tmax_by_delay(now).to_string()}")
        if path:
            print(f"\n{method}: OSIPI's curves\n{osipi(path, now).round(2).to_string(index=False)}")


if __name__ == "__main__":
    main()
