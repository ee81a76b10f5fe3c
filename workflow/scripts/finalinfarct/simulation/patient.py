"""The hidden truth of one patient on the simulation grid: anatomy, haemodynamics, tissue state and outcome, before any scan."""

from finalinfarct.errors import InputError
from finalinfarct.simulation.anatomy import build_anatomy, simulation_grid
from finalinfarct.simulation.clinical import draw_participants
from finalinfarct.simulation.fields import random_stream
from finalinfarct.simulation.haemodynamics import build_haemodynamics
from finalinfarct.simulation.outcome import draw_final_lesion


def build_patient(participant_id, settings):
    """Everything that is true of a patient, seeded by the configuration and the identifier alone.

    Parameters
    ----------
    participant_id : str
        One of ``naming.participant_ids(settings)``.
    settings : dict
        The section ``simulation`` of the configuration.

    Returns
    -------
    dict
        ``clinical`` (row of ``draw_participants``), ``grid``, ``side`` (1 right, -1 left), ``anatomy``, ``haemodynamics``, ``lesion``
        (bool), ``events``.

    Raises
    ------
    InputError
        The identifier is none of the configured cohorts.
    """
    rows = {row["participant_id"]: row for row in draw_participants(settings)}
    if participant_id not in rows:
        raise InputError(participant_id, "is no participant of the simulated cohorts", "use one of the names that simulation.cohorts gives")
    clinical = rows[participant_id]
    grid = simulation_grid(settings)
    seed = settings["seed"]
    side = 1 if random_stream(seed, participant_id, "side").random() < 0.5 else -1
    anatomy = build_anatomy(random_stream(seed, participant_id, "anatomy"), grid, clinical["age"])
    haemodynamics = build_haemodynamics(
        random_stream(seed, participant_id, "haemodynamics"), grid, anatomy, clinical["occlusion_site"], side, clinical["core_ml"]
    )
    lesion, events = draw_final_lesion(
        random_stream(seed, participant_id, "outcome"),
        grid,
        anatomy,
        haemodynamics,
        clinical["grade"],
        clinical["reperfused"],
        clinical["nihss"],
    )
    return {
        "clinical": clinical,
        "grid": grid,
        "side": side,
        "anatomy": anatomy,
        "haemodynamics": haemodynamics,
        "lesion": lesion,
        "events": events,
    }
