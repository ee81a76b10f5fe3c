"""Figure 2: the network's architecture, drawn from the layers of the network itself (paper, figure 2)."""

import math
from typing import NamedTuple

from matplotlib.patches import Rectangle

from finalinfarct.errors import InputError
from finalinfarct.reporting.canvas import BLUE, GREEN, GREY, INK, ORANGE, PAGE_MM, PURPLE, SKY, SMALL, YELLOW, drawing_area, save

BRANCH_COLOURS = (SKY, BLUE, GREEN, YELLOW, ORANGE)
LEFT_MM, BLOCK_STEP_MM, BRANCH_MM, HEAD_MM = 16.0, 16.2, 22.0, 12.0
TALLEST_MM, SHORTEST_MM = 15.0, 4.0
RAIL_MM, FOOT_MM, LOWEST_MM = 5.0, 5.0, 96.0
BUS_MM, DROPOUT_MM, KEY_ROW_MM = 9.3, 1.3, 4.6


class Stage(NamedTuple):
    """Layers at one size: height and width in voxels, channels, counts of convolutions and normalisations, dropout rate, the decoder's skips."""

    size: tuple
    channels: int
    convolutions: int
    kernel: tuple
    activation: str
    normalisations: int = 0
    dropout: float = 0.0
    skips: tuple = ()


class Architecture(NamedTuple):
    """What a network's layers say of it: branches of encoder stages, shape at the bottleneck, decoder stages, head, trainable parameters."""

    branches: tuple
    joined: tuple
    decoder: tuple
    classes: int
    head_kernel: tuple
    head_activation: str
    pool: tuple
    up: tuple
    parameters: int


def read_architecture(network):
    """Read the architecture off a network by walking its layers from the inputs to the output.

    Parameters
    ----------
    network : keras.Model
        A U-Net of Conv2D, BatchNormalization, Dropout, MaxPooling2D, Conv2DTranspose and Concatenate layers with any number of encoder branches, as
        ``learning.network.build_network`` builds it.

    Returns
    -------
    Architecture
        Branches in the order of the inputs. ``skips`` of a decoder stage are the channels that each branch gives, with the number of its stage.

    Raises
    ------
    InputError
        A network without a decoder.
    """
    producers = {id(tensor): operation for operation in network.operations for tensor in _tensors(operation.output)}
    output = producers[id(_tensors(network.outputs)[0])]
    # A stage is a dict while its layers are gathered; place holds the stages that each layer's output belongs to.
    branches, decoder, place, level = [], [], {}, {}
    joined, head, pool, up = (), None, (), ()
    for operation in network.operations:
        kind = type(operation).__name__
        sources = [producers[id(tensor)] for tensor in _tensors(operation.input) if producers[id(tensor)] is not operation]
        came = next((place[source] for source in sources if source in place), None)
        shape = tuple(_tensors(operation.output)[0].shape)[1:]
        if operation is output:
            head = operation
            continue
        if kind == "Conv2DTranspose":
            joined, up = joined or tuple(_tensors(operation.input)[0].shape)[1:], tuple(operation.kernel_size)
            decoder.append({"convolutions": 0, "normalisations": 0})
            came = decoder
        elif kind == "Concatenate" and came is not None and any(place[source] is decoder for source in sources):
            gives = [source for source in sources if place[source] is not decoder]
            decoder[-1]["skips"] = tuple((level[source], tuple(source.output.shape)[-1]) for source in gives)
            came = decoder
        elif kind == "Conv2D":
            if came is None:
                came = []
                branches.append(came)
            if came is not decoder and type(sources[0]).__name__ not in ("Conv2D", "BatchNormalization"):
                came.append({"convolutions": 0, "normalisations": 0})
            came[-1].update(size=shape[:2], channels=shape[2], kernel=tuple(operation.kernel_size), activation=operation.activation.__name__)
            came[-1]["convolutions"] += 1
        elif kind == "BatchNormalization":
            came[-1]["normalisations"] += 1
        elif kind == "Dropout":
            came[-1]["dropout"] = operation.rate
        elif kind == "MaxPooling2D":
            pool = tuple(operation.pool_size)
        if came is not None:
            place[operation], level[operation] = came, len(came)
    if not decoder or head is None:
        raise InputError(network.name, "no transposed convolution, so no decoder to draw", "give a network of build_network")
    return Architecture(
        tuple(tuple(Stage(**stage) for stage in branch) for branch in branches),
        joined,
        tuple(Stage(**stage) for stage in decoder),
        tuple(head.output.shape)[-1],
        tuple(head.kernel_size),
        head.activation.__name__,
        pool,
        up,
        sum(math.prod(variable.shape) for variable in network.trainable_variables),
    )


def _tensors(value):
    return list(value) if isinstance(value, (list, tuple)) else [value]


def draw_network(network, inputs, svg, png):
    """Draw a network: its branches stacked at the left, skips as rails below, the decoder at the right with the key above it.

    Parameters
    ----------
    network : keras.Model
        As ``read_architecture`` takes it.
    inputs : sequence of str
        Names of the input images; early fusion draws them as one branch.
    svg, png : str or Path
        The figure, 190 mm wide.
    """
    design = read_architecture(network)
    names = inputs if len(design.branches) == len(inputs) else [" + ".join(inputs)]
    stages = len(design.branches[0])
    floor = FOOT_MM + RAIL_MM * (stages - 1)
    height = floor + max(BRANCH_MM * len(design.branches), LOWEST_MM) + HEAD_MM
    figure, axis = drawing_area(PAGE_MM, height)
    sizes = [stage.size[0] for stage in design.branches[0]]
    rows = [height - HEAD_MM - (number + 0.5) * (height - HEAD_MM - floor) / len(design.branches) for number in range(len(design.branches))]
    for name, branch, row, colour in zip(names, design.branches, rows, BRANCH_COLOURS * len(rows), strict=False):
        _draw_branch(axis, name, branch, row, colour, sizes)
    _draw_decoder(axis, design, rows, sizes, floor)
    title = network.name.replace("_", " ").replace("fusion ", "fusion, ").capitalize()
    axis.text(4, height - 4.5, f"{title}: {design.parameters:,} trainable parameters", fontweight="bold", va="center")
    _draw_key(axis, design, height - HEAD_MM)
    save(figure, svg, png)


def _tall(size, sizes):
    """Height in mm of a block at one of the encoder's sizes, on a logarithmic scale."""
    span = math.log(max(sizes) / min(sizes)) or 1.0
    return SHORTEST_MM + (TALLEST_MM - SHORTEST_MM) * math.log(size / min(sizes)) / span


def _wide(channels):
    """Width in mm of a block."""
    return 0.6 + 0.75 * math.log2(channels)


def _block(axis, left, row, size, channels, sizes, colour, dropout=0.0):
    """Draw a block and its dropout; return its right edge."""
    width, tall = _wide(channels), _tall(size[0], sizes)
    axis.add_patch(Rectangle((left, row - tall / 2), width, tall, facecolor=colour, edgecolor=INK, linewidth=0.5))
    if dropout:
        axis.add_patch(Rectangle((left + width, row - tall / 2), DROPOUT_MM, tall, facecolor="white", edgecolor=INK, linewidth=0.5, hatch="//////"))
        width += DROPOUT_MM
    return left + width


def _arrow(axis, start, end, colour=INK, style="-|>"):
    axis.annotate("", end, start, arrowprops={"arrowstyle": style, "lw": 0.7, "color": colour, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 5})


def _shape(size, channels):
    return f"{_size(size)}\n{channels} ch."


def _left(number):
    """Left edge in mm of an encoder's stage, from 0."""
    return LEFT_MM + BLOCK_STEP_MM * number


def _draw_branch(axis, name, branch, row, colour, sizes):
    """Draw one encoder at a height, with the shape of each stage below it."""
    axis.text(LEFT_MM - 3.5, row, name.replace(" + ", "\n+ "), ha="right", va="center", fontweight="bold")
    _arrow(axis, (LEFT_MM - 3, row), (LEFT_MM, row))
    for number, stage in enumerate(branch):
        right = _block(axis, _left(number), row, stage.size, stage.channels, sizes, colour, stage.dropout)
        below = row - _tall(stage.size[0], sizes) / 2 - 0.6
        axis.text(
            _left(number) + _wide(stage.channels) / 2, below, _shape(stage.size, stage.channels), ha="center", va="top", fontsize=SMALL, color=INK
        )
        if number < len(branch) - 1:
            _arrow(axis, (right, row), (_left(number + 1), row), ORANGE)


def _draw_decoder(axis, design, rows, sizes, floor):
    """Draw the concatenation, the rails of the skips, the decoder and the head."""
    stages = len(design.branches[0])
    middle, last = sum(rows) / len(rows), _left(stages - 1)
    join = last + BLOCK_STEP_MM * 0.95
    for branch, row in zip(design.branches, rows, strict=True):
        right = last + _wide(branch[-1].channels) + DROPOUT_MM * (branch[-1].dropout > 0)
        axis.plot([right, join], [row, row], color=INK, lw=0.7)
    tall = max(_tall(design.joined[0], sizes), rows[0] - rows[-1] + 6)
    axis.add_patch(Rectangle((join, middle - tall / 2), 2.4, tall, facecolor=PURPLE, edgecolor=INK, linewidth=0.5))
    words = "concatenated\n" if len(rows) > 1 else ""
    axis.text(join + 1.2, middle + tall / 2 + 0.8, words + _shape(design.joined[:2], design.joined[2]), ha="center", va="bottom", fontsize=SMALL)
    step = (PAGE_MM - 16 - join) / (len(design.decoder) + 0.6)
    edge = join + 2.4
    for number, stage in enumerate(design.decoder):
        left = join + step * (number + 0.75)
        _arrow(axis, (edge, middle), (left, middle), GREEN)
        edge = _block(axis, left, middle, stage.size, stage.channels, sizes, PURPLE, stage.dropout)
        tall = _tall(stage.size[0], sizes) / 2
        axis.text((left + edge) / 2, middle + tall + 0.6, _shape(stage.size, stage.channels), ha="center", va="bottom", fontsize=SMALL)
        _draw_skip(axis, stage, design, rows, (left + edge) / 2, middle - tall, floor)
    end = PAGE_MM - 14
    _arrow(axis, (edge, middle), (end, middle), BLUE)
    tall = _tall(design.decoder[-1].size[0], sizes)
    for number in range(design.classes):
        shade = str(0.35 + 0.25 * number)
        axis.add_patch(Rectangle((end + 1.6 * number, middle - tall / 2), 1.6, tall, facecolor=shade, edgecolor=INK, linewidth=0.5))
    axis.text(end + 0.8 * design.classes, middle - tall / 2 - 0.6, f"{design.classes} class\nprobabilities", ha="center", va="top", fontsize=SMALL)


def _draw_skip(axis, stage, design, rows, target, bottom, floor):
    """Draw the rail that joins the skips of all branches at one level and takes them to a stage of the decoder."""
    if not stage.skips:
        return
    level = stage.skips[0][0]
    bus = _left(level - 1) + BUS_MM
    rail = floor - RAIL_MM * (len(design.branches[0]) - level)
    axis.plot([bus, bus, target], [rows[0], rail, rail], color=GREY, lw=0.7, zorder=0)
    axis.plot([bus] * len(rows), rows, "o", color=GREY, ms=2.2, zorder=3)
    _arrow(axis, (target, rail), (target, bottom), GREY)
    given = sorted({channels for _, channels in stage.skips})
    text = f"skips of stage {level}: {len(stage.skips)} × {'/'.join(map(str, given))} channels"
    axis.text(bus + 1, rail + 0.5, text, va="bottom", fontsize=SMALL, color=INK)


def _draw_key(axis, design, top):
    """Explain blocks and arrows with what the layers say, at the right below the height ``top``."""
    stage, rates = design.branches[0][0], sorted({s.dropout for branch in design.branches for s in branch if s.dropout})
    parts = [f"{_size(stage.kernel)} convolution", stage.activation.replace("relu", "ReLU"), *["batch normalisation"] * (stage.normalisations > 0)]
    entries = [
        ("block", f"{stage.convolutions} × ({', '.join(parts)})"),
        ("dropout", f"dropout {', '.join(f'{rate:g}' for rate in rates)}" if rates else "dropout: none"),
        (ORANGE, f"{_size(design.pool)} max-pooling"),
        (GREEN, f"{_size(design.up)} transposed convolution"),
        (GREY, "skip, concatenated before the block"),
        (BLUE, f"{_size(design.head_kernel)} convolution, {design.head_activation}"),
    ]
    left = _left(len(design.branches[0])) + 14
    for number, (sign, text) in enumerate(entries):
        row = top - KEY_ROW_MM * (number + 0.5)
        if sign in ("block", "dropout"):
            hatch = "//////" if sign == "dropout" else None
            axis.add_patch(Rectangle((left + 1.7, row - 1.4), 2.6, 2.8, facecolor="white", edgecolor=INK, linewidth=0.5, hatch=hatch))
        else:
            _arrow(axis, (left, row), (left + 6, row), sign)
        axis.text(left + 8, row, text, va="center", fontsize=SMALL)
    words = "below or above a block: its height×width and channels (ch.)"
    axis.text(left + 8, top - KEY_ROW_MM * (len(entries) + 0.5), words, va="center", fontsize=SMALL)


def _size(lengths):
    return "×".join(map(str, lengths))
