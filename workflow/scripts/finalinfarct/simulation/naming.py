"""Names of the simulated participants; imports nothing, so that the plan of the workflow can read it."""


def participant_ids(settings):
    """Identifiers of all simulated participants.

    Parameters
    ----------
    settings : dict
        The section ``simulation`` of the configuration.

    Returns
    -------
    dict of str to list of str
        Cohort name to identifiers such as ``sub-hibiscus001``, in the order of the cohorts.
    """
    return {name: [f"sub-{name}{k:03d}" for k in range(1, cohort["patients"] + 1)] for name, cohort in settings["cohorts"].items()}
