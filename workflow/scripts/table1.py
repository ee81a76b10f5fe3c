"""Door: table 1, layers and shapes, from the network itself."""

from finalinfarct.door import door
from finalinfarct.learning.network import build_network, count_parameters, encoder_table
from finalinfarct.reporting.encoder import write_table1

with door(snakemake):
    matrix = snakemake.params.matrix
    networks = {(fusion, n): build_network(fusion, n, matrix) for fusion, n in (("late", 5), ("late", 3), ("late", 1), ("early", 5))}
    counts = {f"{fusion} fusion, {n} inputs": count_parameters(network) for (fusion, n), network in networks.items()}
    write_table1(encoder_table(networks["late", 5]), counts, snakemake.output.csv, snakemake.output.md)
