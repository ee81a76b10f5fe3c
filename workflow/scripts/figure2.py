"""Door: figure 2, the architecture, from the network itself."""

from finalinfarct.door import door
from finalinfarct.learning.network import network_from_settings
from finalinfarct.reporting.figure_network import draw_network

with door(snakemake):
    params = snakemake.params
    network = network_from_settings("late", params.inputs, params.matrix, params.settings)
    draw_network(network, params.inputs, snakemake.output.svg, snakemake.output.png)
