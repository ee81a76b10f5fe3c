"""Flow, volume, transit time and delay of every voxel after an arterial occlusion, and the core where flow fell below viability."""

import numpy as np

from finalinfarct.simulation.fields import sigmoid, smooth_field
from finalinfarct.simulation.vessels import territory_depth

# Normal values, ml/100 g/min and ml/100 g: grey and white matter, large-vessel-free CSF space (pial vessels).
CBF_NORMAL = {"gm": 60.0, "wm": 23.0, "csf": 6.0}
CBV_NORMAL = {"gm": 4.5, "wm": 2.3, "csf": 0.8}
# Flow below 30 % of normal marks the core (the rCBF < 30 % rule of perfusion imaging).
VIABLE_RELATIVE_FLOW = 0.30
# Deconvolution by truncated SVD adds about 2.5 s at TR 1.5 s: a physical delay above 3.5 s reads as Tmax > 6 s.
HYPOPERFUSED_DELAY_S = 3.5
# Volume of the tissue delayed by more than 3.5 s: lognormal, calibrated to the 80 to 120 ml that anterior large-vessel occlusions show.
HYPOPERFUSED_MEDIAN_ML = {"ICA+M1": 115.0, "M1": 95.0, "ICA+M2": 70.0, "M2": 55.0}
HYPOPERFUSED_LOG_SD = 0.35
LONGEST_DELAY_S = (7.0, 13.0)
LONGEST_MTT_S = 18.0
LATER_DELAY_S = 1.2  # collaterals tire in hours of occlusion: chosen, so that noise alone does not feign reperfusion


def build_haemodynamics(rng, grid, anatomy, site, side, core_ml):
    """Haemodynamics of one patient on the simulation grid, before treatment.

    Two linked severities, each the depth in the territory (leptomeningeal collaterals feed it from its borders) plus random fields at
    several scales, give the delay and the flow. How far the collaterals reach is solved for, so that the tissue with a flow below
    viability has the volume ``core_ml``.

    Parameters
    ----------
    rng : numpy.random.Generator
        The patient's stream for this step.
    grid : Grid
        Simulation grid.
    anatomy : dict
        From ``build_anatomy``.
    site : str
        Occlusion site.
    side : int
        1 right, -1 left.
    core_ml : float
        Volume in ml of the core.

    Returns
    -------
    dict
        Volumes float32: ``delay_s``, ``relative_flow`` (1 normal), ``cbf``, ``cbv``, ``mtt_s``, ``deficit`` (-ln relative flow); bool:
        ``core``, ``hypoperfused``, ``tissue`` (grey or white matter of the territory or within 5 mm of it); floats ``core_ml``,
        ``hypoperfused_ml`` as reached.
    """
    axes, voxel_ml = grid.axes(), grid.voxel_ml()
    depth, deep = territory_depth(rng, anatomy["mni"], axes, site, side)
    parenchyma = anatomy["gm"] + anatomy["wm"]
    inside = parenchyma > 0.5
    scale = [smooth_field(rng, axes, length) for length in (30.0, 18.0, 10.0, 6.0)]
    patchy = [smooth_field(rng, axes, length) for length in (24.0, 13.0, 7.0)]
    share = np.tanh(depth / 16.0)

    extent = share + 0.3 * scale[0] + 0.2 * scale[1] + 0.08 * scale[2]
    wanted_ml = HYPOPERFUSED_MEDIAN_ML[site] * np.exp(HYPOPERFUSED_LOG_SD * rng.standard_normal())
    longest_s = rng.uniform(*LONGEST_DELAY_S)
    reach = inside & (depth > -8.0)
    whole_ml = reach.sum() * voxel_ml
    wanted_ml = min(max(wanted_ml, 1.15 * core_ml), 0.8 * whole_ml)
    extent_border = _upper_volume_threshold(extent[reach], wanted_ml / voxel_ml)
    beyond = extent - extent_border
    span = max(float(np.quantile(beyond[reach], 0.995)), 0.2)
    delay = np.where(
        beyond > 0,
        HYPOPERFUSED_DELAY_S + (longest_s - HYPOPERFUSED_DELAY_S) * np.clip(beyond / span, 0, 1.1) ** 0.8,
        HYPOPERFUSED_DELAY_S * np.exp(np.minimum(beyond, 0) / 0.28),
    )
    delay *= sigmoid((depth + 8.0) / 2.0)
    normal_delay = 0.5 + 0.25 * np.abs(scale[1]) + 0.4 * anatomy["wm"]  # later in white matter and in border zones
    delay = np.maximum(delay, normal_delay)

    severity = 0.55 * extent + 0.45 * deep + 0.3 * patchy[0] + 0.25 * patchy[1] + 0.12 * patchy[2]
    severity -= 0.12 * np.clip(-depth, 0, 20)  # fades outside the territory
    collateral_flow = 1.0 - 0.5 * np.clip((delay - 1.5) / 8.0, 0, 1)
    core_ml = min(core_ml, 0.75 * reach.sum() * voxel_ml)
    border = _solve_border(severity[reach], collateral_flow[reach], core_ml / voxel_ml)
    relative_flow = collateral_flow * _flow_loss(severity - border)
    core = reach & (relative_flow < VIABLE_RELATIVE_FLOW)
    deficit = -np.log(relative_flow)

    rest_flow = sum(CBF_NORMAL[name] * anatomy[name] for name in CBF_NORMAL) * (1.0 + 0.12 * scale[3])
    rest_volume = sum(CBV_NORMAL[name] * anatomy[name] for name in CBV_NORMAL) * (1.0 + 0.1 * scale[3])
    cbf = rest_flow * relative_flow
    # vessels dilate while flow falls, and collapse in the core
    dilation = 1.0 + 0.3 * (1.0 - relative_flow) * np.clip((relative_flow - 0.1) / 0.4, 0, 1)
    cbv = rest_volume * dilation * np.clip(relative_flow / 0.25, 0.4, 1.0)
    cbv = np.minimum(cbv, cbf * LONGEST_MTT_S / 60.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        mtt = np.where(cbf > 0, 60.0 * cbv / cbf, 0.0)
    maps = {"delay_s": delay * (anatomy["brain"] > 0), "relative_flow": relative_flow, "cbf": cbf, "cbv": cbv, "mtt_s": mtt, "deficit": deficit}
    hypoperfused = inside & (delay > HYPOPERFUSED_DELAY_S)
    return {name: volume.astype(np.float32) for name, volume in maps.items()} | {
        "core": core,
        "hypoperfused": hypoperfused,
        "tissue": inside & (depth > -5.0),
        "core_ml": float(core.sum() * voxel_ml),
        "hypoperfused_ml": float(hypoperfused.sum() * voxel_ml),
    }


def three_hours_later(rng, grid, haemodynamics, occluded):
    """Haemodynamics three hours later, when a share of the hypoperfused tissue is still occluded.

    Of that share 2 to 12 % has recovered all the same, and as much of the rest has not. What has not is reached a little later than before.

    Parameters
    ----------
    rng : numpy.random.Generator
        The patient's stream for this scan.
    grid : Grid
        Simulation grid.
    haemodynamics : dict
        From ``build_haemodynamics``.
    occluded : float
        0..1, from ``outcome.STILL_OCCLUDED``.

    Returns
    -------
    dict
        As ``build_haemodynamics`` gives, with ``delay_s``, ``cbf``, ``cbv``, ``mtt_s`` and ``hypoperfused`` of the later scan.
    """
    hypoperfused = haemodynamics["hypoperfused"]
    field = smooth_field(rng, grid.axes(), 25.0) - 0.15 * haemodynamics["delay_s"]
    against = rng.uniform(0.02, 0.12)
    share = occluded * against + (1 - occluded) * (1 - against)
    border = np.quantile(field[hypoperfused], 1 - share)
    recovered = sigmoid((field - border) / 0.1)
    later = dict(haemodynamics)
    behind = np.clip(haemodynamics["delay_s"] - 2.0, 0, 1)  # only where an artery is occluded
    later["delay_s"] = (haemodynamics["delay_s"] * (1 - 0.75 * recovered) + LATER_DELAY_S * behind * (1 - recovered)).astype(np.float32)
    gain = 1 + recovered * (np.minimum(0.9 / haemodynamics["relative_flow"], 3.0) - 1) * (haemodynamics["relative_flow"] < 0.9)
    later["cbf"] = (haemodynamics["cbf"] * gain).astype(np.float32)
    later["mtt_s"] = np.where(later["cbf"] > 0, 60 * later["cbv"] / np.maximum(later["cbf"], 1e-6), 0).astype(np.float32)
    later["hypoperfused"] = hypoperfused & (later["delay_s"] > HYPOPERFUSED_DELAY_S)
    return later


def _flow_loss(beyond):
    """Share of the collateral flow that is left, by severity beyond the border of the core: from 1 to about 0.2."""
    return 1.0 - 0.82 * sigmoid(beyond / 0.12 + 0.3)


def _upper_volume_threshold(values, count):
    """Threshold above which about ``count`` of ``values`` lie."""
    return float(np.quantile(values, 1.0 - min(max(count / values.size, 0.0), 1.0)))


def _solve_border(severity, flow, count):
    """Border of severity for which ``count`` voxels have a flow below viability (bisection: the count falls as the border rises)."""
    low, high = float(severity.min()) - 1.0, float(severity.max()) + 1.0
    for _ in range(22):
        middle = 0.5 * (low + high)
        if np.count_nonzero(flow * _flow_loss(severity - middle) < VIABLE_RELATIVE_FLOW) > count:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)
