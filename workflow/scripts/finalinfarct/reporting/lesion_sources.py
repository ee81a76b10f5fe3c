"""Where the diffusion lesions come from, in words: an expert's are told from automatic ones wherever they are used."""

from finalinfarct.dataset.tables import read_table
from finalinfarct.errors import InputError

WORDS = {"expert": "by an expert", "automatic": "automatic (ADC threshold)", "unknown": "of unknown source"}


def count_sources(sources):
    """Count diffusion lesions by their source.

    Parameters
    ----------
    sources : pandas.Series
        Keys of ``WORDS``, one per patient, at least one.

    Returns
    -------
    str
        Such as ``diffusion lesion by an expert in 60 patients, automatic (ADC threshold) in 32``.
    """
    counts = {words: int((sources == source).sum()) for source, words in WORDS.items()}
    (first, number), *others = [(words, count) for words, count in counts.items() if count]
    every = "all " if not others and number > 1 else ""
    parts = [f"{first} in {every}{number} patient{'s' if number > 1 else ''}", *(f"{words} in {count}" for words, count in others)]
    return f"diffusion lesion {', '.join(parts)}"


def read_sources(volumes, participants):
    """Read the sources of the diffusion lesions of some patients.

    Parameters
    ----------
    volumes : str or Path
        results/lesion_volumes.tsv, with the columns participant_id and diffusion_lesion_source.
    participants : iterable of str
        The patients.

    Returns
    -------
    pandas.Series
        Keys of ``WORDS`` by participant_id.

    Raises
    ------
    InputError
        A patient is not in the table.
    """
    known, wanted = read_table(volumes).set_index("participant_id")["diffusion_lesion_source"], list(participants)
    absent = sorted(set(wanted) - set(known.index))
    if absent:
        raise InputError(volumes, f"no row for the patients {', '.join(absent)}", "make the table again")
    return known.loc[wanted]


def source_words(volumes, participants):
    """Words of ``count_sources``; parameters as in ``read_sources``."""
    return count_sources(read_sources(volumes, participants))


def source_note(volumes, participants):
    """Sentence for a table's notes; parameters as in ``read_sources``."""
    words = source_words(volumes, participants)
    return f"{words[0].upper()}{words[1:]}."
