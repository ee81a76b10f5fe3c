"""Prediction of the final infarct of acute ischaemic stroke from baseline MRI.

The package holds pure functions, room by room (see ``docs/design.md``); none of them imports snakemake.
"""
