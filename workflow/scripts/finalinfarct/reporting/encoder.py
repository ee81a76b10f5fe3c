"""Table 1: layers and shapes of the encoder, read off the network itself, with the numbers of trainable parameters."""

import pandas as pd

from finalinfarct.dataset.files import write_text
from finalinfarct.dataset.tables import write_table
from finalinfarct.reporting.markdown import document, pipe_table

PRINTED_MATRIX = 192
# Paper, table 1: layer and output shape at 192x192.
PRINTED_LAYERS = (
    ("Conv Block 1", (192, 192, 8)),
    ("2D MaxPooling", (96, 96, 8)),
    ("Conv Block 2", (96, 96, 16)),
    ("2D MaxPooling", (48, 48, 16)),
    ("Conv Block 3", (48, 48, 32)),
    ("2D MaxPooling", (24, 24, 32)),
    ("Conv Block 4", (24, 24, 64)),
    ("Dropout + 2D MaxPooling", (12, 12, 64)),
    ("Conv Block 5 + Dropout", (12, 12, 128)),
    ("Concatenation", (12, 12, 640)),
)
# Paper, appendix B.
PRINTED_PARAMETERS = {"late fusion, 5 inputs": 1997851, "late fusion, 3 inputs": 1242603, "late fusion, 1 inputs": 487355}


def write_table1(encoder_rows, parameter_counts, out_csv, out_md):
    """Write table 1.

    Parameters
    ----------
    encoder_rows : list of (str, tuple of int)
        Layer and output shape (height, width, channels), as ``learning.network.encoder_table`` returns them.
    parameter_counts : dict of str to int
        Trainable parameters by architecture, such as ``late fusion, 5 inputs``.
    out_csv, out_md : str or Path
        Columns part (encoder or parameters), row, value, printed_value; and the printed layout.
    """
    printed = dict(enumerate(PRINTED_LAYERS))
    layers = []
    for number, (name, shape) in enumerate(encoder_rows):
        # Layers are compared by position, because the printed names repeat.
        same = number in printed and printed[number][0] == name
        layers.append(("encoder", name, _shape(shape), _shape(printed[number][1]) if same else None))
    counts = [("parameters", name, str(count), _number(PRINTED_PARAMETERS.get(name))) for name, count in parameter_counts.items()]
    frame = pd.DataFrame(layers + counts, columns=["part", "row", "value", "printed_value"])
    write_table(frame, out_csv)
    # Asterisks would be read as emphasis.
    shown = frame.fillna("not printed").map(lambda cell: cell.replace("*", "\\*"))
    caption = (
        "Encoding layers of the late-fusion U-Net, one branch per input, read off the network. A Conv Block is twice: 2D convolution (3x3), ReLU, "
        "batch normalisation."
    )
    parts = []
    for part, heading, columns in (
        ("encoder", "Encoder", ("Layer (type)", "Output shape", "Output shape in the paper")),
        ("parameters", "Trainable parameters", ("Network", "Trainable parameters", "In the paper (appendix B)")),
    ):
        parts.append((heading, pipe_table(columns, shown.loc[shown["part"] == part, ["row", "value", "printed_value"]].to_numpy())))
    matrix = encoder_rows[0][1][0]
    remark = [
        f"The paper's matrix is {PRINTED_MATRIX}x{PRINTED_MATRIX}, this run's {matrix}x{matrix}: heights and widths scale with it, channels do not."
    ]
    page = document("Table 1. Encoder of the late-fusion U-Net", caption, parts, remark if matrix != PRINTED_MATRIX else [], simulated=False)
    write_text(out_md, page)


def _shape(shape):
    """``192*192*8``, as printed."""
    return "*".join(map(str, shape))


def _number(value):
    return None if value is None else str(value)
