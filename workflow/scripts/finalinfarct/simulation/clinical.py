"""Clinical variables and status of the simulated participants, distributed as in table A.5 of Debs et al. (2021)."""

import numpy as np
from scipy.special import ndtri

from finalinfarct.simulation.fields import random_stream
from finalinfarct.simulation.naming import participant_ids

# Quartiles 1, 2, 3 printed in table A.5, and the range to which draws are clipped.
AGE_YEARS = (57, 70, 79), (20, 96)
NIHSS = (10, 15, 19), (1, 34)
ONSET_TO_MRI_MIN = (78, 105, 154), (35, 360)
DWI_LESION_ML = (7.4, 24.9, 50.9), (1.0, 220.0)
WOMEN, IV_TPA, CERVICAL_ICA = 45 / 109, 59 / 109, 19 / 109
SITES = {"ICA+M1": 27 / 109, "M1": 54 / 109, "ICA+M2": 23 / 109, "M2": 5 / 109}
# Shares of the grades within each outcome: assumed, the paper prints none.
MTICI_REPERFUSED = {"2b": 0.45, "2c": 0.2, "3": 0.35}
MTICI_NOT_REPERFUSED = {"0": 0.5, "1": 0.15, "2a": 0.35}
NO_THROMBECTOMY = "0"  # nothing recanalises by itself: chosen
# Correlation of the size of the lesion with the NIHSS, within the range that cohorts of large-vessel occlusion show: assumed.
LESION_NIHSS_CORRELATION = 0.45


def draw_participants(settings):
    """Draw the clinical variables of every participant.

    Within a cohort each variable is drawn by stratified sampling (one draw per quantile bin), so that small cohorts follow table A.5 too.

    Parameters
    ----------
    settings : dict
        The section ``simulation`` of the configuration.

    Returns
    -------
    list of dict
        One per participant, in order: the columns of participants.tsv, and what is hidden truth: ``reperfused`` (bool), ``grade`` (how far, as an
        mTICI grade, whatever the table knows of it) and ``core_ml`` (float, the volume in ml of tissue whose flow fell below viability).
    """
    rows = []
    for cohort, ids in participant_ids(settings).items():
        rng = random_stream(settings["seed"], "participants", cohort)
        n = len(ids)
        described = settings["cohorts"][cohort]
        reperfused = np.zeros(n, bool)
        reperfused[rng.permutation(n)[: described["reperfused"]]] = True
        core_z = np.empty(n)
        for status in (True, False):  # each status has the whole range of lesions
            core_z[reperfused == status] = ndtri(_stratified(rng, np.count_nonzero(reperfused == status)))
        nihss_z = LESION_NIHSS_CORRELATION * core_z + np.sqrt(1 - LESION_NIHSS_CORRELATION**2) * ndtri(_stratified(rng, n))
        core_ml = _by_quartiles(core_z, *DWI_LESION_ML, logarithmic=True)
        age = _by_quartiles(ndtri(_stratified(rng, n)), *AGE_YEARS)
        nihss = _by_quartiles(nihss_z, *NIHSS)
        onset = _by_quartiles(ndtri(_stratified(rng, n)), *ONSET_TO_MRI_MIN, logarithmic=True)
        women = _stratified(rng, n) < WOMEN
        tpa = _stratified(rng, n) < IV_TPA
        site = _choose(_stratified(rng, n), SITES)
        # an extracranial occlusion accompanies an intracranial one of the same carotid
        cervical_given_ica = CERVICAL_ICA / (SITES["ICA+M1"] + SITES["ICA+M2"])
        cervical = np.array([s.startswith("ICA") for s in site], bool) & (rng.random(n) < cervical_given_ica)
        good, bad = _choose(_stratified(rng, n), MTICI_REPERFUSED), _choose(_stratified(rng, n), MTICI_NOT_REPERFUSED)
        for k, participant_id in enumerate(ids):
            graded = not described["h3_perfusion"] and described["followup_day"] is not None
            failed = bad[k] if graded else NO_THROMBECTOMY
            grade = good[k] if reperfused[k] else failed
            rows.append(
                {
                    "participant_id": participant_id,
                    "cohort": cohort,
                    "mtici": grade if graded else "n/a",
                    "age": round(float(age[k])),
                    "sex": "F" if women[k] else "M",
                    "nihss": round(float(nihss[k])),
                    "onset_to_mri_min": round(float(onset[k])),
                    "iv_tpa": "yes" if tpa[k] else "no",
                    "occlusion_site": site[k],
                    "cervical_ica": "yes" if cervical[k] else "no",
                    "reperfused": bool(reperfused[k]),
                    "grade": grade,
                    "core_ml": float(core_ml[k]),
                }
            )
    return rows


def _stratified(rng, n):
    """``n`` uniform draws, one in each of ``n`` equal bins, in random order."""
    return (rng.permutation(n) + rng.random(n)) / max(n, 1)


def _choose(uniform, shares):
    names = list(shares)
    edges = np.cumsum([shares[name] for name in names])[:-1]
    return [names[k] for k in np.searchsorted(edges, uniform, side="right")]


def _by_quartiles(z, quartiles, limits, logarithmic=False):
    """Split-normal (or split-lognormal) variable with the three quartiles given: each half has its own spread."""
    low, middle, high = np.log(quartiles) if logarithmic else np.asarray(quartiles, float)
    spread = np.where(z < 0, middle - low, high - middle) / ndtri(0.75)
    value = middle + spread * z
    return np.clip(np.exp(value) if logarithmic else value, *limits)
