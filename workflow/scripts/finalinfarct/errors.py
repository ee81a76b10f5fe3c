"""The one error that users are meant to see: what was found, where, and how to mend it."""


class InputError(Exception):
    """Something that the user gave (an image, a table, a setting) cannot be used.

    Parameters
    ----------
    where : str or Path
        File, or file and row, in which the fault was found.
    found : str
        What was found there; a list of several things ends with a line break.
    mend : str
        What the user can do about it.
    """

    def __init__(self, where, found, mend):
        self.where, self.found, self.mend = str(where), found, mend
        super().__init__(f"{where}: {found}{'' if found.endswith(chr(10)) else '. '}Mend: {mend}.")
