"""A secret planted in all header text of a dataset, and the search for it in files."""

import gzip

import nibabel as nib
import numpy as np

from finalinfarct.dataset.images import read_sidecar, sidecar_path, write_json

SECRET = "DOE^JANE 19530214"
TEXT_FIELDS = {"descrip": 80, "aux_file": 24, "intent_name": 16, "db_name": 18}
# DICOM data set of one element: the patient's name.
DICOM = b"\x10\x00\x10\x00PN" + len(SECRET + " ").to_bytes(2, "little") + SECRET.encode() + b" "
KEYS = ("PatientName", "AcquisitionDate", "Description", "InstitutionName", "ProtocolName")


def plant(folder):
    """Write the secret into every text field, an extension and the side file of every image below a folder; voxels and units stay."""
    for path in sorted(folder.rglob("*.nii.gz")):
        old = nib.load(path)
        image = type(old)(np.asarray(old.dataobj), old.affine, old.header)
        for field, width in TEXT_FIELDS.items():
            image.header[field] = SECRET[: width - 1].encode()
        image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", SECRET.encode()))
        image.header.extensions.append(nib.nifti1.Nifti1Extension("dicom", DICOM))
        content = image.to_bytes()
        path.write_bytes(gzip.compress(content, compresslevel=1))
        write_json(sidecar_path(path), read_sidecar(path) | dict.fromkeys(KEYS, SECRET))


def said_in(folder):
    """Files below a folder, relative, in which a piece of the secret stands, also compressed."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            content = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
            if any(word.encode() in content for word in SECRET.split()):
                found.append(path.relative_to(folder).as_posix())
    return found
