"""The scans of one patient: DWI, FLAIR at baseline and follow-up, and the bolus series, as arrays with their truth."""

import numpy as np
from scipy import ndimage

from finalinfarct.simulation import geometry, signals
from finalinfarct.simulation.fields import random_stream, smooth_field
from finalinfarct.simulation.haemodynamics import three_hours_later
from finalinfarct.simulation.outcome import STILL_OCCLUDED
from finalinfarct.simulation.vessels import vessel_fractions

# Standard deviation of the noise in each channel, and the factor to stored integers.
DIFFUSION_NOISE, DIFFUSION_SCALE = (0.0055, 0.0040), 2500.0
FLAIR_NOISE, FLAIR_SCALE = 0.022, 900.0
DSC_NOISE, DSC_SCALE = 0.0026, 2500.0
RATER_WANDER = 0.12  # of the fraction 0.5 at which a rater draws the border


def acquire_diffusion(patient, settings):
    """DWI and expert DWI lesion, with the truth on its grid.

    Parameters
    ----------
    patient : dict
        From ``build_patient``.
    settings : dict
        The section ``simulation`` of the configuration.

    Returns
    -------
    dict
        ``grid``; ``series`` int16 (X, Y, Z, 2), b0 and b1000; ``expert`` bool; ``truth``: name to float32 map or uint8 mask.
    """
    anatomy, flow, fine = patient["anatomy"], patient["haemodynamics"], patient["grid"]
    rng = _stream(patient, settings, "diffusion")
    hours = patient["clinical"]["onset_to_mri_min"] / 60.0
    core = _soft(flow["core"], fine)
    texture = smooth_field(rng, fine.axes(), 7.0)
    old = _white_matter_disease(patient, settings)
    adc_factor = signals.core_adc_factor(core, flow["deficit"], texture, anatomy) * (1 + 0.25 * old)
    b0, b1000 = signals.diffusion_signals(anatomy, adc_factor, 1 + core * min(0.1 + 0.08 * hours, 0.45) + 0.3 * old)
    # coil sensitivity, and pile-up of signal above the petrous bones and the frontal sinus
    gain = _coil(rng, fine) * (1 + 0.35 * _sinus_neighbourhood(anatomy))
    grid = geometry.scan_grid(settings["cohorts"][patient["clinical"]["cohort"]]["dwi_matrix"], settings["field_of_view_mm"], settings)
    delay = flow["delay_s"] * anatomy["brain"]
    sources = [b0 * gain, b1000 * gain, flow["core"], flow["hypoperfused"], patient["lesion"], anatomy["brain"], delay, flow["cbf"], flow["cbv"]]
    maps = geometry.sample([np.asarray(source, np.float32) for source in sources], fine, grid)
    clean = np.stack(maps[:2], axis=-1)
    noisy = np.stack([signals.rician(rng, clean[..., k], DIFFUSION_NOISE[k]) for k in range(2)], axis=-1)
    brain = maps[5]
    cbf, cbv = maps[7], maps[8]
    inside = brain > 0.5
    truth = {
        "label-core_mask": (maps[2] > 0.5) & inside,
        "label-hypoperfused_mask": (maps[3] > 0.5) & inside,
        "label-finallesion_mask": (maps[4] > 0.5) & inside,
        "label-brain_mask": inside,
        "delay": np.where(inside, maps[6] / np.maximum(brain, 0.5), 0),
        "CBF": np.where(inside, cbf, 0),
        "CBV": np.where(inside, cbv, 0),
        "MTT": np.where(inside & (cbf > 0), 60 * cbv / np.maximum(cbf, 1e-6), 0),
        "ADC": np.where(inside, signals.adc_from_signals(clean[..., 0], clean[..., 1]), 0),
    }
    return {
        "grid": grid,
        "clean": clean * DIFFUSION_SCALE,
        "series": np.rint(noisy * DIFFUSION_SCALE).astype(np.int16),
        "expert": _rated(rng, maps[2], grid),
        "truth": truth,
    }


def acquire_flair(patient, settings, session):
    """FLAIR of ``baseline`` or ``followup``; the follow-up has the final lesion, swelling (first weeks) or shrinkage, and the expert's mask.

    Returns
    -------
    dict
        ``grid``; ``image`` int16; ``pose`` (4, 4) scan mm to head mm; ``swelling`` (3, X, Y, Z) mm on the simulation grid, or None;
        ``expert`` bool, or None at baseline.
    """
    anatomy, flow, fine = patient["anatomy"], patient["haemodynamics"], patient["grid"]
    rng = _stream(patient, settings, f"flair-{session}")
    grid = geometry.scan_grid(settings["flair"]["matrix"], settings["flair"]["field_of_view_mm"], settings)
    pose, old = geometry.random_pose(rng), _white_matter_disease(patient, settings)
    coil = _coil(rng, fine)
    texture = smooth_field(rng, fine.axes(), 6.0)
    if session == "baseline":
        hours = patient["clinical"]["onset_to_mri_min"] / 60.0
        gain = 1 + _soft(flow["core"], fine) * min(0.05 * hours, 0.25) * (1 + 0.3 * texture)
        swelling, lesion = None, None
    else:
        day = settings["cohorts"][patient["clinical"]["cohort"]]["followup_day"]
        lesion = np.asarray(patient["lesion"], np.float32)
        soft = _soft(lesion, fine)
        gain = 1 + soft * (0.55 + 0.10 * texture)
        if day < 14:
            halo = ndimage.gaussian_filter(soft, [4.0 / d for d in fine.spacing])
            gain += 0.15 * np.clip(halo - 0.2, 0, 1) * (1 - soft)
            gain -= 0.45 * soft * np.clip(texture - 1.3, 0, 1) * (rng.random() < 0.5)  # petechial bleeding
            amount = float(np.clip(0.035 * patient["events"]["final_ml"], 0.3, 4.0))
        else:
            gain -= 0.9 * np.clip(soft - 0.5, 0, 1) * np.clip(texture - 0.5, 0, 1.2)  # cavities
            amount = -float(np.clip(0.02 * patient["events"]["final_ml"], 0.2, 2.5))
        swelling = geometry.mass_effect(fine, anatomy, patient["lesion"], amount)
    image = signals.flair_signal(anatomy, np.maximum(gain + 0.3 * old, 0.1)) * coil
    sources = [image] if lesion is None else [image, lesion, anatomy["brain"]]
    maps = geometry.sample(sources, fine, grid, pose, swelling)
    noisy = signals.rician(rng, maps[0], FLAIR_NOISE) * FLAIR_SCALE
    expert = None if lesion is None else _rated(rng, maps[1], grid) & (maps[2] > 0.5)
    return {"grid": grid, "image": np.rint(noisy).astype(np.int16), "pose": pose, "swelling": swelling, "expert": expert}


def acquire_perfusion(patient, settings, session):
    """Bolus series of ``baseline`` or ``h3``.

    Returns
    -------
    dict
        ``grid``; ``series`` int16 (X, Y, Z, frames) with motion and noise; ``clean`` float32, without either; ``pose`` (4, 4) scan mm to
        head mm; ``distortion`` (3, X, Y, Z) mm on the simulation grid; ``motion`` (frames, 4, 4); ``bolus`` parameters; ``haemodynamics``
        of that session; ``parameters``: the maps on the scan's grid from which ``clean`` follows.
    """
    anatomy, fine = patient["anatomy"], patient["grid"]
    rng = _stream(patient, settings, f"perfusion-{session}")
    flow = patient["haemodynamics"]
    if session == "h3":
        flow = three_hours_later(rng, fine, flow, STILL_OCCLUDED[patient["clinical"]["grade"]])
    dsc = settings["dsc"]
    frames, repetition_s = dsc["frames"], dsc["repetition_time_s"]
    grid = geometry.scan_grid(dsc["matrix"], settings["field_of_view_mm"], settings)
    pose = geometry.random_pose(rng)
    distortion = geometry.epi_distortion(rng, fine, anatomy)
    shape = _stream(patient, settings, "bolus")  # heart and vessels are the same in both sessions; only the injection starts at another time
    bolus = {
        "arrival_s": float(rng.uniform(14.5, 18.0)),
        "shape": float(shape.uniform(2.2, 2.8)),
        "scale_s": float(shape.uniform(1.05, 1.4)),
        "recirculation": float(shape.uniform(0.06, 0.12)),
        "plateau": float(shape.uniform(0.04, 0.07)),
    }
    artery, sinus = vessel_fractions(anatomy["mni"], fine.spacing[0])
    head = anatomy["brain"] > 0
    artery, sinus = artery * head, sinus * head
    names = [*signals.TISSUES, "brain", "cbf", "cbv", "delay", "artery", "sinus"]
    gain = _coil(rng, fine) * (1 - 0.75 * _sinus_neighbourhood(anatomy))
    sources = [anatomy[name] * gain for name in signals.TISSUES]
    sources += [anatomy["brain"], flow["cbf"], flow["cbv"], flow["delay_s"] * anatomy["brain"], artery, sinus]
    maps = dict(zip(names, geometry.sample(sources, fine, grid, pose, distortion), strict=True))
    maps["delay"] = maps["delay"] / np.maximum(maps["brain"], 0.05)
    maps["mtt"] = np.where(maps["cbf"] > 0.05, 60 * maps["cbv"] / np.maximum(maps["cbf"], 0.05), 4.0)
    maps["dispersion"] = 0.2 + 0.06 * maps["delay"]  # slower routes disperse the bolus more
    clean = bolus_signal(maps, bolus, frames, repetition_s, dsc["echo_time_ms"] / 1000.0)
    motion = geometry.motion_poses(rng, frames)
    series = signals.rician(rng, geometry.move_frames(clean, grid, motion), DSC_NOISE) * DSC_SCALE
    return {
        "grid": grid,
        "series": np.rint(np.minimum(series, 32767)).astype(np.int16),
        "clean": clean * np.float32(DSC_SCALE),
        "pose": pose,
        "distortion": distortion,
        "motion": motion,
        "bolus": bolus,
        "haemodynamics": flow,
        "parameters": maps,
    }


def bolus_signal(maps, bolus, frames, repetition_time_s, echo_time_s):
    """Noise-free gradient-echo series of the bolus.

    S = S_static + S_brain [(1 - a - v) exp(-TE dR2*_tissue) + a exp(-TE dR2*_artery) + v exp(-TE dR2*_sinus)], with a and v the fractions
    of artery and sinus, and S the steady-state gradient-echo signal of each tissue.

    Parameters
    ----------
    maps : dict
        Volumes on the scan's grid: tissue fractions, ``cbf``, ``mtt``, ``delay``, ``dispersion``, ``artery``, ``sinus``.
    bolus : dict
        For ``signals.arterial_input``.
    frames : int
        Number of frames.
    repetition_time_s : float
        Time between frames, s.
    echo_time_s : float
        Echo time, s.

    Returns
    -------
    numpy.ndarray
        float32, (X, Y, Z, frames).
    """
    weights = {name: np.float32(value) for name, value in signals.gradient_echo_weights(frames, repetition_time_s, echo_time_s).items()}
    brain_part = sum(maps[name][..., None] * weights[name] for name in ("gm", "wm", "csf"))
    static = sum(maps[name][..., None] * weights[name] for name in ("scalp", "soft", "bone", "eye"))
    perfused = (maps["cbf"] > 0.05) & (maps["brain"] > 0.02)
    left = np.ones(brain_part.shape, np.float32)
    voxels = [maps[name][perfused] for name in ("cbf", "mtt", "delay", "dispersion")]
    echoes = echo_time_s / signals.ARTERIAL_ECHO_TIME_S
    left[perfused] = np.exp(-echoes * signals.tissue_curves(bolus, frames, repetition_time_s, *voxels))
    left *= 1 - (maps["artery"] + maps["sinus"])[..., None]
    for name in ("artery", "sinus"):
        where = maps[name] > 0.01
        cbf, transit_s, late = vessel_flow(name, maps["delay"][where])
        curve = signals.tissue_curves(bolus, frames, repetition_time_s, cbf, transit_s, late, np.zeros(late.size))
        left[where] += maps[name][where][:, None] * np.exp(-echoes * curve)
    return static + brain_part * left


def vessel_flow(name, tissue_delay_s):
    """Flow of a voxel full of blood, in units in which ``signals.tissue_curves`` gives the curve of blood.

    A residue function exp(-t/transit) with a blood volume of 100 % is the delayed and dispersed arterial curve itself.

    Parameters
    ----------
    name : str
        ``artery``, which fills 0.6 s before the tissue that it feeds, or ``sinus``, 4 s after the feeding artery and 10 % diluted.
    tissue_delay_s : numpy.ndarray
        (V,) s.

    Returns
    -------
    cbf, transit_s, delay_s : numpy.ndarray
        (V,) ml/100 g/min, s, s; blood volume is cbf * transit_s / 60, ml/100 g.
    """
    if name == "artery":
        share, delay_s = 1.0, np.maximum(tissue_delay_s - 0.6, 0)
        transit_s = np.full(delay_s.shape, 0.3) + 0.06 * delay_s
    else:
        share, delay_s, transit_s = 0.9, np.full(tissue_delay_s.shape, 4.0), np.full(tissue_delay_s.shape, 3.0)
    cbf = share * 6000.0 * signals.KH / signals.RHO / signals.TISSUE_TO_BLOOD_RELAXIVITY / transit_s
    return cbf, transit_s, delay_s


def _stream(patient, settings, label):
    return random_stream(settings["seed"], patient["clinical"]["participant_id"], label)


def _soft(mask, grid):
    """Mask with a border about 1.5 mm wide."""
    return ndimage.gaussian_filter(np.asarray(mask, np.float32), [1.2 / d for d in grid.spacing])


def _coil(rng, grid):
    return 1 + 0.07 * smooth_field(rng, grid.axes(), 110.0)


def _sinus_neighbourhood(anatomy):
    """Weight, 0 to 1, of the places where air-filled bone disturbs the field: above the frontal sinus and the petrous bones."""
    x, y, z = np.abs(anatomy["mni"][0]), anatomy["mni"][1], anatomy["mni"][2]
    frontal = np.exp(-(x**2 / 300 + (y - 45) ** 2 / 350 + (z + 26) ** 2 / 150))
    petrous = np.exp(-((x - 48) ** 2 / 150 + (y + 22) ** 2 / 250 + (z + 34) ** 2 / 150))
    return np.maximum(frontal, petrous)


def _white_matter_disease(patient, settings):
    """Periventricular hyperintensities, 0 to 1, more with age."""
    anatomy, fine = patient["anatomy"], patient["grid"]
    rng = _stream(patient, settings, "white matter")
    ventricles = anatomy["csf"] * (anatomy["inside_mm"] > 24.0)
    near = ndimage.gaussian_filter(ventricles, [3.0 / d for d in fine.spacing])
    load = np.clip((patient["clinical"]["age"] - 45.0) / 40.0 + 0.3 * rng.standard_normal(), 0.05, 1.3)
    patches = 1 + 0.8 * smooth_field(rng, fine.axes(), 9.0)
    return np.clip(4.0 * load * near * patches, 0, 1) * anatomy["wm"]


def _rated(rng, fraction, grid):
    """What a rater outlines: the voxels of which about half is lesion, with a wandering hand; never nothing."""
    border = 0.5 + RATER_WANDER * smooth_field(rng, grid.axes(), 10.0)
    mask = fraction > np.clip(border, 0.2, 0.8)
    return mask if mask.any() else fraction >= fraction.max()
