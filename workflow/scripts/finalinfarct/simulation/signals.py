"""Signal models: spin-echo EPI with diffusion weighting, FLAIR, gradient-echo EPI with a bolus of contrast agent, and noise."""

import numpy as np

# Relative proton density, T1 s, T2 s, T2* s and ADC 1e-6 mm2/s at 3 T. T1 and T2 of grey and white matter lie near those of Stanisz 2005;
# all else is chosen within usual ranges. Scalp is fat-suppressed, bone almost signal-free.
TISSUES = {
    "gm": {"density": 0.83, "t1_s": 1.45, "t2_s": 0.099, "t2star_s": 0.052, "adc": 830.0},
    "wm": {"density": 0.70, "t1_s": 0.90, "t2_s": 0.078, "t2star_s": 0.050, "adc": 715.0},
    "csf": {"density": 1.00, "t1_s": 4.20, "t2_s": 1.200, "t2star_s": 0.300, "adc": 3000.0},
    "scalp": {"density": 0.16, "t1_s": 0.80, "t2_s": 0.080, "t2star_s": 0.025, "adc": 900.0},
    "soft": {"density": 0.55, "t1_s": 1.30, "t2_s": 0.045, "t2star_s": 0.028, "adc": 1500.0},
    "bone": {"density": 0.05, "t1_s": 0.60, "t2_s": 0.060, "t2star_s": 0.010, "adc": 600.0},
    "eye": {"density": 0.98, "t1_s": 4.00, "t2_s": 0.700, "t2star_s": 0.200, "adc": 2800.0},
}
DIFFUSION_ECHO_TIME_S, B_VALUE = 0.090, 1000.0
FLAIR_BRIGHTNESS = {"gm": 1.0, "wm": 0.76, "csf": 0.10, "scalp": 0.95, "soft": 0.5, "bone": 0.10, "eye": 0.12}
DSC_FLIP_ANGLE_DEG = 75.0
CORE_ADC = (350.0, 620.0)  # of the core, um2/s: up to the bound of Debs et al. 2021, section 2.1.2; the lower end is chosen
KH, RHO = 0.73, 1.04  # haematocrit factor and density of brain tissue, g/ml
# Peak of TE * delta R2* in a voxel full of artery, at this echo time; and how much stronger the same concentration acts on tissue than on
# blood (the two relaxivities differ: Kjolby 2006), so that absolute CBF and CBV from DSC come out too high by this factor.
ARTERIAL_PEAK, ARTERIAL_ECHO_TIME_S, TISSUE_TO_BLOOD_RELAXIVITY = 1.9, 0.040, 3.6


def diffusion_signals(anatomy, adc_tissue, t2_gain):
    """Noise-free b0 and b1000, float32: sums over the tissues of a voxel, so that partial volume is that of signals.

    Parameters
    ----------
    anatomy : dict
        Tissue fractions.
    adc_tissue : numpy.ndarray
        Factor on the ADC of grey and white matter (1 normal).
    t2_gain : numpy.ndarray
        Factor on the signal of grey and white matter (oedema lengthens T2: shine-through).
    """
    b0, b1000 = 0.0, 0.0
    for name, tissue in TISSUES.items():
        signal = anatomy[name] * (tissue["density"] * np.exp(-DIFFUSION_ECHO_TIME_S / tissue["t2_s"]))
        adc = tissue["adc"]
        if name in ("gm", "wm"):
            signal, adc = signal * t2_gain, adc * adc_tissue
        b0 = b0 + signal
        b1000 = b1000 + signal * np.exp(-B_VALUE * adc * 1e-6)
    return b0.astype(np.float32), b1000.astype(np.float32)


def adc_from_signals(b0, b1000):
    """ADC in 1e-6 mm2/s of a mono-exponential decay; 0 where there is no signal."""
    with np.errstate(divide="ignore", invalid="ignore"):
        adc = np.log(b0 / b1000) / B_VALUE * 1e6
    return np.where((b0 > 1e-3) & (b1000 > 0), adc, 0.0).astype(np.float32)


def core_adc_factor(core, deficit, texture, anatomy):
    """Factor on the tissue's ADC that puts the core between 350 and 620e-6 mm2/s, the lower the deeper the flow deficit.

    Parameters
    ----------
    core : numpy.ndarray
        0 to 1, smooth at its border.
    deficit : numpy.ndarray
        -ln of the relative flow.
    texture : numpy.ndarray
        Unit-variance field.
    anatomy : dict
        Tissue fractions.
    """
    low, high = CORE_ADC
    target = np.clip(high - 90.0 - 120.0 * np.clip(deficit - 1.2, 0, 2) - 35.0 * texture, low, high - 20.0)
    normal = (TISSUES["gm"]["adc"] * anatomy["gm"] + TISSUES["wm"]["adc"] * anatomy["wm"]) / np.maximum(anatomy["gm"] + anatomy["wm"], 1e-3)
    return 1.0 + core * (target / np.maximum(normal, 600.0) - 1.0)


def flair_signal(anatomy, gain):
    """Noise-free FLAIR, float32; ``gain`` is the factor on grey and white matter (lesions, white-matter hyperintensities)."""
    signal = sum(FLAIR_BRIGHTNESS[name] * anatomy[name] for name in FLAIR_BRIGHTNESS if name not in ("gm", "wm"))
    return (signal + (FLAIR_BRIGHTNESS["gm"] * anatomy["gm"] + FLAIR_BRIGHTNESS["wm"] * anatomy["wm"]) * gain).astype(np.float32)


def gradient_echo_weights(frames, repetition_time_s, echo_time_s):
    """Signal of each tissue in each frame before contrast: spoiled gradient echo on its way to the steady state.

    Returns
    -------
    dict of str to numpy.ndarray
        (frames,), relative signal of a full voxel.
    """
    angle = np.radians(DSC_FLIP_ANGLE_DEG)
    weights = {}
    for name, tissue in TISSUES.items():
        recovery = np.exp(-repetition_time_s / tissue["t1_s"])
        steady = (1 - recovery) / (1 - recovery * np.cos(angle))
        longitudinal = steady + (1 - steady) * (recovery * np.cos(angle)) ** np.arange(frames)
        weights[name] = tissue["density"] * np.sin(angle) * np.exp(-echo_time_s / tissue["t2star_s"]) * longitudinal
    return weights


def arterial_input(time_s, bolus):
    """Concentration in the feeding artery, peak 1: gamma variate, a recirculated copy, and the slow wash-out.

    Parameters
    ----------
    time_s : numpy.ndarray
        Seconds from the first frame.
    bolus : dict
        ``arrival_s``, ``shape`` and ``scale_s`` of the gamma variate (Thompson 1964), ``recirculation`` (height of the second pass),
        ``plateau`` (share left after the first pass).
    """
    shape, scale = bolus["shape"], bolus["scale_s"]

    def pass_at(start, shape_now, scale_now):
        since = np.clip(np.asarray(time_s, float) - start, 0, None)
        peak = shape_now * scale_now
        return (since / peak) ** shape_now * np.exp(shape_now - since / scale_now)

    first = pass_at(bolus["arrival_s"], shape, scale)
    second = bolus["recirculation"] * pass_at(bolus["arrival_s"] + 12.0, shape, 2.2 * scale)
    since = np.clip(np.asarray(time_s, float) - bolus["arrival_s"] - shape * scale, 0, None)
    rest = bolus["plateau"] * (1 - np.exp(-since / 6.0)) * np.exp(-since / 90.0)
    # fades out long after the last frame, so that the periodic transform of tissue_curves does not wrap around
    fade = 0.5 * (1 + np.cos(np.pi * np.clip((np.asarray(time_s, float) - 120.0) / 50.0, 0, 1)))
    return (first + second + rest) * fade


def tissue_curves(bolus, frames, repetition_time_s, cbf, mtt_s, delay_s, dispersion_s):
    """TE * delta R2* of tissue: (rho/kH) CBF times the arterial input, delayed and dispersed, convolved with exp(-t/MTT).

    Delay, dispersion (exponential transport function) and the exponential residue function have closed Fourier transforms; they
    multiply the transform of the arterial input sampled six times per frame over 256 s or more.

    Parameters
    ----------
    bolus : dict
        For ``arterial_input``.
    frames : int
        Number of frames.
    repetition_time_s : float
        Time between frames, s.
    cbf : numpy.ndarray
        (N,) ml/100 g/min.
    mtt_s, delay_s, dispersion_s : numpy.ndarray
        (N,) s.

    Returns
    -------
    numpy.ndarray
        float32, (N, frames).
    """
    step = repetition_time_s / 6.0
    n = 6 * max(2 * frames, int(np.ceil(256.0 / repetition_time_s)))
    spectrum = np.fft.rfft(arterial_input(np.arange(n) * step, bolus))
    kept = n // 6 + 1  # twice the Nyquist frequency of the frames: a bolus holds nothing above
    omega = 2 * np.pi * np.fft.rfftfreq(n, step)[:kept]
    out = np.empty((len(cbf), frames), np.float32)
    flow = np.asarray(cbf, float) / 6000.0 * RHO / KH * ARTERIAL_PEAK * TISSUE_TO_BLOOD_RELAXIVITY
    for start in range(0, len(out), 8192):
        part = slice(start, start + 8192)
        mtt, delay, dispersion = (np.asarray(v[part], np.float32)[:, None] for v in (mtt_s, delay_s, dispersion_s))
        w = omega.astype(np.float32)[None, :]
        response = (flow[part, None].astype(np.float32) * mtt) / ((1 + 1j * w * mtt) * (1 + 1j * w * dispersion))
        response = response * np.exp(-1j * w * delay) * spectrum[None, :kept].astype(np.complex64)
        out[part] = np.fft.irfft(response, n // 3, axis=1)[:, : 2 * frames : 2] / 3.0
    return out


def rician(rng, signal, sigma):
    """Magnitude of ``signal`` with complex Gaussian noise of standard deviation ``sigma`` in each channel (Gudbjartsson 1995)."""
    noisy = signal + sigma * rng.standard_normal(signal.shape, dtype=np.float32)
    return np.sqrt(noisy**2 + (sigma * rng.standard_normal(signal.shape, dtype=np.float32)) ** 2)
