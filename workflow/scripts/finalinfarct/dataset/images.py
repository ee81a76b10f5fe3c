"""Reading and writing of NIfTI images with their units and JSON side files."""

import gzip
import json
import math
import os
from itertools import product
from pathlib import Path
from typing import NamedTuple

import nibabel as nib
import numpy as np
from nibabel.arrayproxy import ArrayProxy

from finalinfarct.dataset.files import require_file, whole, write_text
from finalinfarct.errors import InputError

GZIP_LARGEST_RATIO = 1100  # deflate cannot pack better than about 1032 to 1
LARGEST_IMAGE_VALUES = 2**29  # 2 GiB as float32; a series of 256 x 256 x 40 voxels and 100 frames has half of that
LARGEST_DATA_OFFSET = 2**24
VOXEL_SIZES_MM = (0.05, 50.0)
SMALLEST_RELATIVE_VOLUME = 1e-3  # of a voxel, against that of a box with its edges


class Header(NamedTuple):
    """What a NIfTI header says: shape, affine (voxel indices to mm), type on disk, where the voxels begin, and nibabel's header itself."""

    shape: tuple
    affine: np.ndarray
    dtype: np.dtype
    offset: int
    nifti: nib.Nifti1Header

    @property
    def bytes(self):
        """Length of the whole file, decompressed."""
        return self.offset + math.prod(self.shape) * self.dtype.itemsize


def read_header(path, ndim=None):
    """Read the header of a NIfTI image and refuse one that cannot be trusted, before anything of the size that it claims is allocated.

    Extensions of the header, which may hold names and dates, are never read.

    Parameters
    ----------
    path : str or Path
        ``.nii`` or ``.nii.gz`` file.
    ndim : int or tuple of int, optional
        Numbers of dimensions that the image may have.

    Returns
    -------
    Header

    Raises
    ------
    InputError
        The file is absent, no NIfTI file or of another length than its header says; it has another number of dimensions, no voxels or too
        many, values that are not real numbers, or an unusable affine.
    OSError
        The disk failed, which says nothing of the image.
    """
    path = Path(path)
    require_file(path)
    try:
        with _opened(path) as file:
            block = file.read(nib.Nifti2Header.sizeof_hdr)
        kind = nib.Nifti2Header if nib.Nifti2Header.may_contain_header(block) else nib.Nifti1Header
        nifti = kind(block[: kind.sizeof_hdr])
        if nifti["magic"].item() != kind.single_magic:
            raise ValueError("not a NIfTI file with header and voxels in one")
        shape = tuple(int(length) for length in nifti.get_data_shape())
        header = Header(shape, nifti.get_best_affine(), nifti.get_data_dtype(), int(nifti.get_data_offset()), nifti)
        nifti.get_slope_inter()
        oriented = bool(nifti["sform_code"] or nifti["qform_code"])
        # nibabel would make 1 mm of a size of 0; beside an sform the sizes are not used.
        sized = bool(nifti["sform_code"] or kind(block[: kind.sizeof_hdr], check=False)["pixdim"][1:4].all())
    except Exception as fault:  # nibabel, NumPy, gzip and zlib raise a dozen types for damaged files
        raise _unreadable(path, fault, "unreadable image") from None
    allowed = (ndim,) if isinstance(ndim, int) else ndim
    if allowed is not None and len(shape) not in allowed:
        wanted = " or ".join(map(str, allowed))
        raise InputError(path, f"{len(shape)} dimensions (shape {shape})", f"an image of {wanted} dimensions belongs here; check that this is it")
    if not shape or min(shape) < 1:
        raise InputError(path, f"no voxels (shape {shape})", "replace it by an intact NIfTI file")
    if header.dtype.kind not in "iuf":
        raise InputError(path, f"values of type {nifti.get_value_label('datatype')}", "export the image as one real number per voxel")
    mend = "export the image again with its orientation, in mm"
    if not oriented:
        raise InputError(path, "no orientation: the codes of sform and qform are 0", mend)
    if not sized:
        raise InputError(path, "voxel sizes of 0", mend)
    _check_affine(path, header.affine)
    _check_size(path, header)
    return header


def _opened(path):
    """The file, decompressed where it ends in ``.gz``."""
    return gzip.open(path) if path.suffix == ".gz" else open(path, "rb")


def _unreadable(path, fault, found):
    """The ``InputError`` of what reading an image raised; where memory ran short or the disk failed, a fault that says so."""
    if isinstance(fault, MemoryError):
        return fault
    # Damage that Python's readers find themselves has no number of the operating system.
    if isinstance(fault, OSError) and fault.errno is not None:
        return OSError(fault.errno, os.strerror(fault.errno), str(path))
    return InputError(path, f"{found} ({fault})", "replace it by an intact NIfTI file")


def _check_affine(path, affine):
    """Refuse an affine that is not finite, flat, or not in mm."""
    mend = "export the image again with its orientation, in mm"
    if not np.isfinite(affine).all():
        raise InputError(path, "the affine is not finite", mend)
    sizes = voxel_sizes(affine)
    if not (sizes.min() >= VOXEL_SIZES_MM[0] and sizes.max() <= VOXEL_SIZES_MM[1]):
        raise InputError(path, f"voxels of {' x '.join(f'{size:g}' for size in sizes)} mm by the affine", mend)
    if abs(np.linalg.det(affine[:3, :3])) < SMALLEST_RELATIVE_VOLUME * sizes.prod():
        raise InputError(path, "the affine is singular", mend)


def _check_size(path, header):
    """Refuse a file that cannot hold, or is not, what its header promises."""
    if math.prod(header.shape) > LARGEST_IMAGE_VALUES or not 0 <= header.offset <= LARGEST_DATA_OFFSET:
        found = f"the header promises {math.prod(header.shape)} values from byte {header.offset} on, more than the {LARGEST_IMAGE_VALUES} allowed"
        raise InputError(path, found, "replace it by an intact NIfTI file")
    size, packed = path.stat().st_size, path.suffix == ".gz"
    if size * (GZIP_LARGEST_RATIO if packed else 1) < header.bytes:
        raise InputError(path, f"truncated: the header promises {header.bytes} bytes", "copy the file again, whole")
    if not packed and size > header.bytes:
        raise _too_long(path, header)


def _too_long(path, header):
    return InputError(path, f"longer than the {header.bytes} bytes of its header: the header does not fit the voxels", "export the image again")


def read_image(path, ndim=None):
    """Read a NIfTI image and refuse one that cannot be trusted.

    Parameters
    ----------
    path, ndim
        As for ``read_header``.

    Returns
    -------
    nibabel.Nifti1Image
        Image with float32 data in memory, its affine in mm and no header text of the original.

    Raises
    ------
    InputError
        As ``read_header``; or the voxels are truncated, damaged, NaN or infinite.
    OSError, MemoryError
        The disk failed, or memory ran short, which says nothing of the image.
    """
    path = Path(path)
    header = read_header(path, ndim)
    try:
        with _opened(path) as file, np.errstate(over="ignore"):
            data = np.asarray(ArrayProxy(file, header.nifti, mmap=False), dtype=np.float32)
            # Reading past the last voxel also makes gzip compare its check sum: damaged voxels would pass unseen otherwise.
            ended = not file.read(1)
    except Exception as fault:  # nibabel, gzip and zlib raise a dozen types for damaged files
        raise _unreadable(path, fault, "unreadable or truncated image") from None
    if not ended:
        raise _too_long(path, header)
    if not np.isfinite(data).all():
        bad = int(np.size(data) - np.isfinite(data).sum())
        raise InputError(path, f"{bad} voxels are NaN or infinite", "replace them by a finite value, or export the image again")
    return nib.Nifti1Image(data, header.affine)


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
    with whole(path) as partial:
        nib.save(image, partial)
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
    if not os.path.lexists(side):
        return {}
    require_file(side)
    try:
        content = json.loads(side.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as fault:
        raise InputError(side, f"not valid JSON ({fault})", "correct the file") from None
    if not isinstance(content, dict):
        raise InputError(side, "the JSON is not an object", 'write it as {"Key": value}')
    return content


def spatial_reference(path):
    """``SpatialReference`` of an image, for the side file of another on its grid: BIDS wants it where a space is no standard one; else empty."""
    side = read_sidecar(path)
    return {"SpatialReference": side["SpatialReference"]} if "SpatialReference" in side else {}


def write_json(path, content):
    """Write a dictionary as sorted, indented JSON, whole or not at all."""
    write_text(path, json.dumps(content, indent=2, sort_keys=True) + "\n")


def voxel_sizes(affine):
    """Edge lengths in mm, (3,), of the voxels of an image with this affine."""
    return nib.affines.voxel_sizes(np.asarray(affine))


def voxel_volume_ml(affine):
    """Volume of a voxel in ml, to twelve digits: those beyond are of the determinant's rounding."""
    return float(f"{abs(np.linalg.det(np.asarray(affine)[:3, :3])) / 1000.0:.12g}")


def same_grid(first, second, tolerance_mm=0.1):
    """Whether two images have the same spatial shape, and no voxel of one lies further than ``tolerance_mm`` from its fellow in the other.

    The corners tell: between two affine grids the distance is largest at one of them, and what is little in an affine adds up over its voxels.
    """
    shape = first.shape[:3]
    if shape != second.shape[:3]:
        return False
    corners = np.array(list(product(*((0, length - 1) for length in shape))))
    apart = nib.affines.apply_affine(first.affine, corners) - nib.affines.apply_affine(second.affine, corners)
    return bool(np.linalg.norm(apart, axis=1).max() <= tolerance_mm)
