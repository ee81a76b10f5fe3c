"""Reading and writing of NIfTI images with their units and JSON side files."""

import json
import os
from pathlib import Path

import nibabel as nib
import numpy as np

from finalinfarct.errors import InputError


def read_image(path, ndim=None):
    """Read a NIfTI image and refuse one that cannot be trusted.

    Parameters
    ----------
    path : str or Path
        ``.nii`` or ``.nii.gz`` file.
    ndim : int, optional
        Number of dimensions that the image must have.

    Returns
    -------
    nibabel.Nifti1Image
        Image with float32 data in memory, its affine in mm and no header text of the original.

    Raises
    ------
    InputError
        The file is absent, unreadable or truncated, has another number of dimensions, or holds NaN or infinite voxels.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(path, "the file does not exist", "add it, or correct its name")
    try:
        image = nib.load(path)
        data = np.asarray(image.dataobj, dtype=np.float32)
    except Exception as fault:  # nibabel, gzip and zlib raise a dozen types for damaged files
        raise InputError(path, f"unreadable or truncated image ({fault})", "replace it by an intact NIfTI file") from None
    if ndim is not None and data.ndim != ndim:
        raise InputError(path, f"{data.ndim} dimensions (shape {data.shape}) where {ndim} are needed", "check that this is the right series")
    if not np.isfinite(data).all():
        bad = int(np.size(data) - np.isfinite(data).sum())
        raise InputError(path, f"{bad} voxels are NaN or infinite", "replace them by a finite value, or export the image again")
    return nib.Nifti1Image(data, image.affine)


def write_image(path, data, affine, sidecar=None, dtype=np.float32):
    """Write an array as NIfTI, whole or not at all, with an optional JSON side file of the same name.

    Parameters
    ----------
    path : str or Path
        Target, ``.nii.gz``.
    data : numpy.ndarray
        Voxels, (X, Y, Z) or (X, Y, Z, T).
    affine : numpy.ndarray
        (4, 4), voxel indices to mm (RAS+).
    sidecar : dict, optional
        Content of the JSON side file, such as ``{"Units": "um2/s"}``.
    dtype : numpy dtype
        Type on disk: float32 for maps, uint8 for masks and labels, int16 for raw signals.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    data = np.asarray(data)
    if np.issubdtype(dtype, np.integer) and not np.issubdtype(data.dtype, np.integer):
        data = np.rint(data)
    image = nib.Nifti1Image(data.astype(dtype), affine)
    image.header.set_xyzt_units("mm", "sec" if data.ndim == 4 else None)
    image.set_qform(affine, code=1)
    image.set_sform(affine, code=1)
    repetition_time_s = (sidecar or {}).get("RepetitionTime")
    if data.ndim == 4 and repetition_time_s:
        image.header["pixdim"][4] = repetition_time_s
    partial = path.with_name(f".{os.getpid()}.{path.name}")
    nib.save(image, partial)
    os.replace(partial, path)
    if sidecar is not None:
        write_json(sidecar_path(path), sidecar)


def sidecar_path(path):
    """Path of the JSON side file of an image."""
    path = Path(path)
    return path.with_name(path.name.removesuffix(".gz").removesuffix(".nii") + ".json")


def read_sidecar(path):
    """Content of the JSON side file of the image ``path`` (empty when there is none).

    Raises
    ------
    InputError
        The side file is not valid JSON, or not an object.
    """
    side = sidecar_path(path)
    if not side.exists():
        return {}
    try:
        content = json.loads(side.read_text(encoding="utf-8"))
    except (ValueError, OSError) as fault:
        raise InputError(side, f"not valid JSON ({fault})", "correct the file") from None
    if not isinstance(content, dict):
        raise InputError(side, "the JSON is not an object", 'write it as {"Key": value}')
    return content


def write_json(path, content):
    """Write a dictionary as sorted, indented JSON."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def voxel_sizes(affine):
    """Edge lengths in mm, (3,), of the voxels of an image with this affine."""
    return nib.affines.voxel_sizes(np.asarray(affine))


def voxel_volume_ml(affine):
    """Volume of a voxel in ml."""
    return float(abs(np.linalg.det(np.asarray(affine)[:3, :3]))) / 1000.0


def same_grid(first, second, tolerance_mm=0.01):
    """Whether two images have the same spatial shape and, to ``tolerance_mm``, the same affine."""
    return first.shape[:3] == second.shape[:3] and np.allclose(first.affine, second.affine, atol=tolerance_mm)
