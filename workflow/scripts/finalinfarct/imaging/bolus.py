"""When the bolus of contrast agent arrives in a DSC series, and the concentration that its signal drop stands for."""

import numpy as np

# Below 1 % of the pre-bolus signal the voxel is at the noise floor: the logarithm is held there.
SMALLEST_RELATIVE_SIGNAL = 0.01
FEWEST_PRE_BOLUS_FRAMES = 3
LARGEST_UNSTEADY_SHARE = 0.5
# Arrival: the mean curve of the head leaves the baseline by three standard deviations and by 5 % of its peak.
ARRIVAL_DEVIATIONS, ARRIVAL_SHARE_OF_PEAK = 3.0, 0.05
SMALLEST_BOLUS_DEVIATIONS, SMALLEST_BOLUS_DEPTH = 6.0, 0.01
# A frame before the arrival is unsteady when it lies off the later ones by 1 % of the signal and by four standard deviations.
UNSTEADY_SHARE, UNSTEADY_DEVIATIONS = 0.01, 4.0
# Contrast never takes two thirds of the mean signal of a head: such a frame is empty or broken.
DARK_SHARE = 1 / 3
# A frame stands alone when it lies off both neighbours twice as far as these lie off theirs: the mean of a head does so in no bolus, even with frames
# 5 s apart. Alone by 10 % it is broken, and alone and lowest it must not pass for the bolus.
LONE_RATIO, LONE_SHARE = 2.0, 0.1
# A curve that keeps much more of its peak to the end than the head's mean does is drift (motion at an edge), not the passage of a bolus.
LARGEST_EXTRA_TAIL, TAIL_FRAMES = 0.55, 5
# The large arteries fill before the head's mean shows it.
ARTERIAL_LEAD_FRAMES = 1


class NoBolusError(ValueError):
    """The series shows no passage of a bolus; the text says what it shows instead."""


class BrokenFrameError(ValueError):
    """Frames that cannot be of this series; the text names them."""


def concentration(signal, echo_time_s, baseline_frames):
    """Change of the transverse relaxation rate, C = -ln(S/S0)/TE (Ostergaard 1996).

    Parameters
    ----------
    signal : numpy.ndarray
        (..., T), T frames.
    echo_time_s : float
        Echo time, s.
    baseline_frames : slice
        Pre-bolus frames in the steady state; S0 is their mean.

    Returns
    -------
    numpy.ndarray
        float32, (..., T), 1/s, proportional to the concentration of contrast agent; 0 where S0 is not positive. Signals below
        1 % of S0 are held at 1 %.
    """
    signal = np.asarray(signal, np.float32)
    s0 = signal[..., baseline_frames].mean(axis=-1, keepdims=True)
    usable = s0 > 0
    relative = np.maximum(signal / np.where(usable, s0, 1), np.float32(SMALLEST_RELATIVE_SIGNAL))
    return np.where(usable, np.log(relative) * np.float32(-1.0 / echo_time_s), np.float32(0))


def find_bolus(mean_signal):
    """Find the frames before the bolus from the mean signal of the head.

    The peak is the smallest mean signal. Going back from it, the arrival is the first frame that still stands out of the frames before
    it; one more frame is left out, since arteries fill earlier than the head's mean. First frames that have not reached the steady
    state, or are empty, are dropped.

    Parameters
    ----------
    mean_signal : numpy.ndarray
        (T,), mean over the voxels of the head.

    Returns
    -------
    dict
        ``first`` and ``arrival``: frames ``first`` to ``arrival`` - 1 are pre-bolus and steady; ``peak``: frame of the smallest
        signal; ``depth``: relative drop at the peak; ``tail``: drop left in the last five frames, as a share of that at the peak.

    Raises
    ------
    NoBolusError
        No drop stands out of the noise, or it comes before enough frames are acquired.
    BrokenFrameError
        A frame is dark, or lies far off both its neighbours.
    """
    signal = np.asarray(mean_signal, float)
    empty = int(np.argmax(signal >= DARK_SHARE * np.median(signal)))
    signal, after = signal[empty:], f" after {empty} dark frames" if empty else ""
    broken = _broken_frames(signal)
    if broken.size:
        frame, share = broken[0], signal[broken[0]] / np.median(signal)
        raise BrokenFrameError(f"frame {empty + frame + 1} of {empty + signal.size} is broken: its mean is {100 * share:.0f} % of that of the series")
    # the first frames left may be brighter, never darker, so they do not disturb the minimum
    peak = int(np.argmin(signal))
    if peak <= FEWEST_PRE_BOLUS_FRAMES:
        raise NoBolusError(f"the signal is lowest in frame {empty + peak + 1}, with no frames before a bolus{after}")
    arrival = _arrival(signal, peak)
    if arrival < FEWEST_PRE_BOLUS_FRAMES:
        raise NoBolusError(f"fewer than {FEWEST_PRE_BOLUS_FRAMES} frames before the signal falls{after}")
    first = _first_steady_frame(signal[:arrival])
    arrival = max(arrival - ARTERIAL_LEAD_FRAMES, first + FEWEST_PRE_BOLUS_FRAMES)
    if arrival >= peak:
        raise NoBolusError(f"fewer than {FEWEST_PRE_BOLUS_FRAMES} steady frames before the signal falls{after}")
    baseline = signal[first:arrival]
    level, noise = baseline.mean(), _noise(signal)
    depth = (level - signal[peak]) / level if level > 0 else 0.0
    if depth < SMALLEST_BOLUS_DEPTH or level - signal[peak] < SMALLEST_BOLUS_DEVIATIONS * noise:
        raise NoBolusError(f"no bolus: the mean signal of the head falls by {100 * max(depth, 0):.2g} % at most")
    tail = (level - np.median(signal[-TAIL_FRAMES:])) / (level - signal[peak])
    return {"first": empty + first, "arrival": empty + arrival, "peak": empty + peak, "depth": float(depth), "tail": float(tail)}


def passes(curves, bolus, baseline_frames):
    """Which curves show the passage of a bolus: they rise after the baseline, and fall again as the head's mean does.

    Parameters
    ----------
    curves : numpy.ndarray
        (V, T) concentration.
    bolus : dict
        From ``find_bolus``.
    baseline_frames : slice
        Pre-bolus frames of ``curves``.

    Returns
    -------
    numpy.ndarray
        bool, (V,).
    """
    top = curves[:, baseline_frames.stop :].max(axis=1)
    tail = curves[:, -TAIL_FRAMES:].mean(axis=1)
    return (top > 0) & (tail <= (bolus["tail"] + LARGEST_EXTRA_TAIL) * top)


def _broken_frames(signal):
    """Frames that are dark, that stand alone by much, or that stand alone and would pass for the bolus."""
    level, alone = np.median(signal), _standing_alone(signal)
    false_bolus = (signal == signal.min()) & (alone > max(SMALLEST_BOLUS_DEPTH * level, SMALLEST_BOLUS_DEVIATIONS * _noise(signal)))
    return np.flatnonzero((signal < DARK_SHARE * level) | (alone > LONE_SHARE * level) | false_bolus)


def _standing_alone(signal):
    """How far each frame lies off the nearer of its neighbours, (T,); 0 where it does not stand alone, and for the first, which may be unsteady."""
    padded = np.pad(signal, 2, mode="edge")
    before2, before, here, after, after2 = (padded[start : start + signal.size].copy() for start in range(5))
    after[-1] = after2[-1] = before[-1]  # the last frame has one neighbour
    off = np.where((here - before) * (here - after) > 0, np.minimum(np.abs(here - before), np.abs(here - after)), 0)
    around = np.max(np.abs([before - before2, after - after2, after - before]), axis=0)
    return np.where(off > LONE_RATIO * around, off, 0)


def _arrival(signal, peak):
    """First frame of the fall to the peak: walks back while the signal stands out of the median of all frames before."""
    noise = _noise(signal)
    for frame in range(peak, 0, -1):
        before = np.median(signal[:frame])
        border = max(ARRIVAL_DEVIATIONS * noise, ARRIVAL_SHARE_OF_PEAK * (before - signal[peak]))
        if before - signal[frame] < border:
            return frame + 1
    return 1


def _noise(signal):
    """Standard deviation of the frame-to-frame noise, from second differences of the quieter half of the frames."""
    bend = np.abs(np.diff(signal, n=2))
    return float(np.median(np.sort(bend)[: max(bend.size // 2, 1)])) / (0.3186 * np.sqrt(6.0))


def _first_steady_frame(before):
    """Number of leading frames to drop: those off the median of the later half of the pre-bolus frames."""
    later = before[len(before) // 2 :]
    level = np.median(later)
    spread = 1.4826 * np.median(np.abs(later - level))
    border = max(UNSTEADY_SHARE * level, UNSTEADY_DEVIATIONS * spread)
    most = min(int(LARGEST_UNSTEADY_SHARE * len(before)), len(before) - FEWEST_PRE_BOLUS_FRAMES)
    first = 0
    while first < most and abs(before[first] - level) > border:
        first += 1
    return first
