"""Arrange ISLES'22 cases into the BIDS contract: ``python workflow/scripts/import_isles22.py SOURCE TARGET``."""

import argparse

from finalinfarct.dataset.isles22 import import_cases
from finalinfarct.errors import InputError

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", help="folder with sub-*_ses-*_{dwi,adc,flair,msk}.nii.gz")
    parser.add_argument("target", help="folder of the dataset to write, such as results/isles22")
    arguments = parser.parse_args()
    try:
        print("imported:", ", ".join(import_cases(arguments.source, arguments.target)))
    except InputError as fault:
        parser.exit(1, f"{fault}\n")
