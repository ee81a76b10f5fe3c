"""Head anatomy: the MNI152 tissue maps that nilearn ships, deformed for each patient, with CSF, skull, scalp and eyes."""

import gzip
from functools import lru_cache
from importlib import resources

import nibabel as nib
import numpy as np
from scipy import ndimage

from finalinfarct.simulation.fields import Grid, smooth_field

# Centre of the slab in MNI152 coordinates (mm): the slices cover the supratentorial brain.
SLAB_CENTRE_MNI_MM = (0.0, -18.0, 24.0)
MARGIN_MM = 12.5  # the grid reaches beyond the slab, for scans that lie askew
CSF_LAYER_MM, SKULL_OUTER_MM, SCALP_OUTER_MM = 2.0, 8.5, 14.5
EYES_MNI_MM, EYE_RADIUS_MM = ((-33.0, 60.0, -38.0), (33.0, 60.0, -38.0)), 12.5
SIZE_SD, ROTATION_SD_DEG, SHIFT_SD_MM = 0.03, 2.5, 3.0  # between patients
WARP_MM = ((50.0, 2.4), (20.0, 1.3), (8.0, 0.6))  # correlation length and amplitude of the deformation


def simulation_grid(settings):
    """Grid in head space on which a patient is built: finer than every acquisition, at most 2 mm and at least 1 mm in plane, 2.5 mm in z.

    Parameters
    ----------
    settings : dict
        The section ``simulation`` of the configuration.
    """
    finest = min(
        settings["flair"]["field_of_view_mm"] / settings["flair"]["matrix"],
        *(settings["field_of_view_mm"] / cohort["dwi_matrix"] for cohort in settings["cohorts"].values()),
    )
    in_plane = float(np.clip(0.8 * finest, 1.0, 2.0))
    columns = int(np.ceil(settings["field_of_view_mm"] / in_plane))
    depth = int(np.ceil((settings["slices"] * settings["slice_thickness_mm"] + 2 * MARGIN_MM) / 2.5))
    return Grid((columns, columns, depth), (in_plane, in_plane, 2.5))


def build_anatomy(rng, grid, age):
    """Tissue fractions of one patient on the simulation grid.

    Parameters
    ----------
    rng : numpy.random.Generator
        The patient's stream for this step.
    grid : Grid
        Simulation grid.
    age : float
        Years; widens ventricles and sulci.

    Returns
    -------
    dict of str to numpy.ndarray
        float32 volumes: fractions ``gm``, ``wm``, ``csf``, ``bone``, ``scalp``, ``soft``, ``eye`` (what is left is air), ``brain`` (the
        intracranial space, subarachnoid CSF included, 0 to 1), ``inside_mm`` (depth below the inner table of the skull), and ``mni``
        (3, X, Y, Z), the MNI152 coordinates in mm.
    """
    axes = grid.axes()
    mni = _patient_coordinates(rng, axes)
    template = _template(2 if grid.spacing[0] > 1.3 else 1)
    index = [(mni[k] - template["origin"][k]) / template["step"] for k in range(3)]
    gm, wm = (np.clip(ndimage.map_coordinates(template[name], index, order=1, prefilter=False), 0, 1) for name in ("gm", "wm"))
    coarse = [(mni[k] - template["coarse_origin"][k]) / 2.0 for k in range(3)]
    outside_mm = ndimage.map_coordinates(template["outside_mm"], coarse, order=1, mode="nearest", prefilter=False)
    head_mm = ndimage.map_coordinates(template["head_mm"], coarse, order=1, mode="nearest", prefilter=False)

    intracranial = np.clip(CSF_LAYER_MM - outside_mm + 0.5, 0, 1)
    csf = np.clip(intracranial - gm - wm, 0, 1)
    # The template is a mean of many brains: raising the fractions to a power gives back the crisp borders of one brain.
    atrophy = np.clip((age - 60.0) / 30.0 + 0.4 * rng.standard_normal(), -1.0, 1.5)
    gm, wm, csf = gm**1.7, wm**1.7, csf ** (1.15 - 0.3 * atrophy)
    total = np.maximum(gm + wm + csf, 1e-6)
    gm, wm, csf = (part / total * intracranial for part in (gm, wm, csf))

    thickness = 1.0 + 0.12 * rng.standard_normal()
    texture = smooth_field(rng, axes, 7.0)
    head = np.clip((SCALP_OUTER_MM * thickness - head_mm) / 2.0 + 0.5, 0, 1)
    outer = np.clip((head_mm - SKULL_OUTER_MM * thickness) / 2.0 + 0.5, 0, 1)
    base = np.clip((outside_mm - 9.0) / 3.0, 0, 1) * (1 - outer)  # below the skull base: muscle, fat, sinuses
    rest = np.clip(head - intracranial, 0, 1)
    scalp = rest * outer
    eye = np.zeros_like(rest)
    for centre in EYES_MNI_MM:
        distance = np.sqrt(sum((mni[k] - centre[k]) ** 2 for k in range(3)))
        eye = np.maximum(eye, np.clip(EYE_RADIUS_MM - distance, 0, 1))
    eye *= rest
    soft = (rest - scalp) * base * np.clip(0.6 + 0.5 * texture, 0, 1)
    soft, scalp = soft * (1 - eye), scalp * (1 - eye)
    bone = np.clip(rest - scalp - soft - eye, 0, 1) * (base < 0.5)  # where the base holds neither: air of the sinuses
    parts = {"gm": gm, "wm": wm, "csf": csf, "bone": bone, "scalp": scalp, "soft": soft, "eye": eye, "brain": intracranial}
    return {name: part.astype(np.float32) for name, part in parts.items()} | {"inside_mm": CSF_LAYER_MM - outside_mm, "mni": mni}


def _patient_coordinates(rng, axes):
    """MNI152 coordinates (3, X, Y, Z) in mm of the points of the grid: own size, pose and smooth deformation."""
    size = 1.0 + SIZE_SD * rng.standard_normal() + 0.5 * SIZE_SD * rng.standard_normal(3)
    rotation = rotation_matrix(ROTATION_SD_DEG * rng.standard_normal(3))
    matrix = (rotation / np.clip(size, 0.92, 1.07)[None, :]).astype(np.float32)
    offset = np.asarray(SLAB_CENTRE_MNI_MM) + SHIFT_SD_MM * rng.standard_normal(3)
    x, y, z = np.meshgrid(*axes, indexing="ij", sparse=True)
    mni = np.empty((3, *(axis.size for axis in axes)), np.float32)
    for k in range(3):
        mni[k] = matrix[k, 0] * x + matrix[k, 1] * y + matrix[k, 2] * z + offset[k]
        for length_mm, amplitude_mm in WARP_MM:
            mni[k] += amplitude_mm * smooth_field(rng, axes, length_mm)
    return mni


def rotation_matrix(angles_deg):
    """(3, 3) rotation about x, then y, then z, by the three angles in degrees."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(np.radians(angles_deg)), np.sin(np.radians(angles_deg))
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


@lru_cache(maxsize=2)
def _template(step_mm):
    """Template maps at 1 or 2 mm, and at 2 mm the distances in mm outside the brain and outside the head's inner outline."""
    maps, affine = {}, None
    for name in ("gm", "wm", "t1"):
        file = resources.files("nilearn") / "datasets" / "data" / f"mni_icbm152_{name}_tal_nlin_sym_09a_converted.nii.gz"
        image = nib.Nifti1Image.from_bytes(gzip.decompress(file.read_bytes()))
        maps[name], affine = np.asarray(image.dataobj), image.affine
    origin = affine[:3, 3]
    coarse = {name: _halve(volume) for name, volume in maps.items()}
    brain = ndimage.binary_fill_holes(ndimage.binary_closing(coarse["t1"] > 20, iterations=3))
    outside_mm = 2.0 * (ndimage.distance_transform_edt(~brain) - ndimage.distance_transform_edt(brain)).astype(np.float32)
    # Going down, the head is never narrower than above: the face and the neck below the brain fill that outline.
    head = np.maximum.accumulate(brain[:, :, ::-1], axis=2)[:, :, ::-1]
    head_mm = 2.0 * (ndimage.distance_transform_edt(~head) - ndimage.distance_transform_edt(head)).astype(np.float32)
    tissue = coarse if step_mm == 2 else {name: maps[name].astype(np.float32) for name in ("gm", "wm")}
    return {
        "gm": tissue["gm"] / 255.0,
        "wm": tissue["wm"] / 255.0,
        "step": float(step_mm),
        "origin": origin + (0.5 if step_mm == 2 else 0.0),
        "outside_mm": ndimage.gaussian_filter(outside_mm, 1.0),
        "head_mm": ndimage.gaussian_filter(head_mm, 2.0),
        "coarse_origin": origin + 0.5,
    }


def _halve(volume):
    """Mean over blocks of 2 x 2 x 2 voxels."""
    x, y, z = (2 * (n // 2) for n in volume.shape)
    return volume[:x, :y, :z].reshape(x // 2, 2, y // 2, 2, z // 2, 2).mean(axis=(1, 3, 5), dtype=np.float32)
