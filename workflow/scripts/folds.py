"""Door: the one file of folds."""

from finalinfarct.dataset.inclusion import read_inclusion
from finalinfarct.door import door
from finalinfarct.learning.folds import make_folds, write_folds

with door(snakemake):
    write_folds(make_folds(read_inclusion(snakemake.input.inclusion), **snakemake.params.settings), snakemake.output.folds)
