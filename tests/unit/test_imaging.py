"""ADC, registration, brain mask, labels, normalisation and reperfusion ratio, each against a closed form or a known truth."""

import json
import os
import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from finalinfarct.dataset.images import read_image, read_sidecar, voxel_volume_ml, write_image
from finalinfarct.errors import InputError
from finalinfarct.imaging.brain import brain_mask
from finalinfarct.imaging.diffusion import adc_map, compute_adc, trace_weighted
from finalinfarct.imaging.grids import upsampled_grid
from finalinfarct.imaging.lesions import diffusion_lesion, make_labels
from finalinfarct.imaging.normalisation import normalise, normalise_array
from finalinfarct.imaging.registration import register, resample, resample_array, write_native
from finalinfarct.imaging.reperfusion import reperfusion_ratio, write_reperfusion_ratio
from project import ROOT

AFFINE = np.array([[-4.0, 0, 0, 90], [0, 4.0, 0, -80], [0, 0, 5.0, -30], [0, 0, 0, 1]])


def head(shape=(40, 40, 16), shift=(0.0, 0.0, 0.0)):
    """A head with scalp, skull, brain, ventricles and a few landmarks, smooth enough to be registered."""
    x, y, z = (
        np.linspace(-1, 1, n).reshape([-1 if a == axis else 1 for a in range(3)]) - 2 * shift[axis] / shape[axis] for axis, n in enumerate(shape)
    )
    r = np.sqrt((x / 0.75) ** 2 + (y / 0.9) ** 2 + (z / 1.3) ** 2)
    image = np.where(r < 0.8, 100.0, np.where(r < 0.88, 10.0, np.where(r < 1.0, 40.0, 0.0)))
    for centre, size, value in (
        ((-0.2, 0.2, 0), 0.16, 220),
        ((0.25, 0.1, 0.1), 0.2, 60),
        ((0.1, -0.45, -0.2), 0.15, 180),
        ((-0.3, -0.3, 0.3), 0.14, 40),
    ):
        near = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 + (z - centre[2]) ** 2 < size**2
        image = np.where(near & (r < 0.8), value, image)
    return ndimage.gaussian_filter(image, 0.7)


def test_adc_of_two_weightings():
    b0 = np.array([1000.0, 1000.0, 0.0, 10.0])
    expected = np.array([800.0, 3000.0, 0.0, 0.0])
    dwi = b0 * np.exp(-1000 * expected * 1e-6)
    dwi[3] = 0
    assert adc_map(b0, dwi, 1000) == pytest.approx(expected, abs=0.01)


def diffusion_series(folder, bvals, adc=900.0):
    signal = np.stack([1000 * np.exp(-b * adc * 1e-6) * np.ones((6, 6, 5)) for b in bvals], axis=3)
    path = folder / "dwi.nii.gz"
    write_image(path, signal if len(bvals) > 1 else signal[..., 0], AFFINE)
    (folder / "dwi.bval").write_text(" ".join(map(str, bvals)), encoding="utf-8")
    return path


def outputs(folder):
    return [folder / f"{name}_out.nii.gz" for name in ("b0", "dwi", "adc")]


@pytest.mark.parametrize("bvals", [(0, 1000, 0, 1000), (40, 500, 1000), (0, 2000, 1000, 500), (5, 3000, 1000, 2000)])
def test_adc_from_a_series(tmp_path, bvals):
    out = outputs(tmp_path)
    compute_adc(diffusion_series(tmp_path, bvals), None, *out)
    assert read_image(out[2]).get_fdata() == pytest.approx(np.full((6, 6, 5), 900.0), abs=0.1)
    for path, b in ((out[0], bvals[0]), (out[1], 1000)):
        assert read_image(path).get_fdata()[0, 0, 0] == pytest.approx(1000 * np.exp(-900e-6 * b), rel=1e-5)
    assert read_sidecar(out[2])["Units"] == "um2/s" and read_sidecar(out[1])["DiffusionBValue"] == 1000


def test_adc_of_three_directions_is_the_mean_diffusivity(tmp_path):
    """A dense tract along x: the mean of the signals would give 589, which passes for ischaemia."""
    directions = np.exp(-np.array([1.7, 0.3, 0.3]))
    signal = np.broadcast_to(1000 * np.array([1, *directions]), (6, 6, 5, 4)).copy()
    signal[0, 0, 0, 2] = 0
    write_image(tmp_path / "dwi.nii.gz", signal, AFFINE)
    (tmp_path / "dwi.bval").write_text("0 1000 1000 1000", encoding="utf-8")
    out = outputs(tmp_path)
    compute_adc(tmp_path / "dwi.nii.gz", None, *out)
    adc, weighted = (read_image(path).get_fdata() for path in (out[2], out[1]))
    assert adc[1:] == pytest.approx(np.full((5, 6, 5), 2300 / 3), abs=0.1)
    assert weighted[1:] == pytest.approx(np.full((5, 6, 5), 1000 * np.exp(-2.3 / 3)), rel=1e-5)
    assert adc[0, 0, 0] == weighted[0, 0, 0] == 0


def test_one_weighted_volume_is_left_as_it_is():
    volume = np.random.default_rng(0).normal(100, 80, (4, 4, 4, 1)).astype(np.float32)
    assert np.array_equal(trace_weighted(volume), volume[..., 0])


@pytest.mark.parametrize(("units", "factor"), [("um2/s", 1.0), ("1e-6 mm2/s", 1.0), ("1e-3 mm2/s", 1e-3), ("mm2/s", 1e-6)])
def test_adc_of_the_scanner_in_any_unit(tmp_path, units, factor):
    out = outputs(tmp_path)
    given, expected = np.full((6, 6, 5), 900.0), np.full((6, 6, 5), 900.0)
    given[5, 5, :2], expected[5, 5, :2] = (9000, -50), (4000, 0)
    write_image(tmp_path / "adc.nii.gz", given * factor, AFFINE, {"Units": units})
    compute_adc(diffusion_series(tmp_path, (1000,)), tmp_path / "adc.nii.gz", *out)
    assert read_image(out[2]).get_fdata() == pytest.approx(expected, rel=1e-4)
    assert read_image(out[0]).get_fdata()[0, 0, 0] == pytest.approx(1000, rel=1e-4)


def test_adc_in_a_wrong_unit_is_refused(tmp_path):
    write_image(tmp_path / "adc.nii.gz", np.full((6, 6, 5), 0.9), AFFINE, {"Units": "um2/s"})
    with pytest.raises(InputError, match="unit"):
        compute_adc(diffusion_series(tmp_path, (1000,)), tmp_path / "adc.nii.gz", *outputs(tmp_path))


def test_upsampled_grid_keeps_the_edges_of_the_field_of_view():
    # stored from right to left
    shape, affine = upsampled_grid(nib.Nifti1Image(np.zeros((40, 40, 7), np.float32), AFFINE), 96)
    assert shape == (96, 96, 7) and nib.aff2axcodes(affine) == ("R", "A", "S")
    for old, new in (((-0.5, -0.5, 0), (95.5, -0.5, 0)), ((39.5, 39.5, 6), (-0.5, 95.5, 6))):
        assert nib.affines.apply_affine(affine, new) == pytest.approx(nib.affines.apply_affine(AFFINE, old))


def test_upsampled_grid_is_square_around_an_oblong_field_of_view():
    shape, affine = upsampled_grid(nib.Nifti1Image(np.zeros((40, 48, 7), np.float32), AFFINE), 64)
    assert shape == (64, 64, 7) and nib.affines.voxel_sizes(affine) == pytest.approx([3, 3, 5])
    centres = [nib.affines.apply_affine(*middle) for middle in ((affine, [31.5, 31.5, 3]), (AFFINE, [19.5, 23.5, 3]))]
    assert centres[0] == pytest.approx(centres[1])


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, 1, 1), (1, -1, 1), (-1, -1, -1)])
def test_upsampled_grid_does_not_depend_on_how_the_scan_is_stored(order, flips):
    turned = np.eye(4)
    turned[:3, :3] = nib.eulerangles.euler2mat(0.1, 0.05, -0.08) @ np.diag([4.0, 4.0, 5.0])
    image = nib.Nifti1Image(np.zeros((40, 48, 7), np.float32), turned)
    stored = image.as_reoriented(np.array([[order[0], flips[0]], [order[1], flips[1]], [2, flips[2]]]))
    (shape, affine), (other_shape, other) = upsampled_grid(image, 64), upsampled_grid(stored, 64)
    assert shape == other_shape and other == pytest.approx(affine, abs=1e-9)


def test_resampling_a_ramp_is_exact(tmp_path):
    x, y, z = np.meshgrid(*(np.arange(n) for n in (20, 20, 6)), indexing="ij")
    points = nib.affines.apply_affine(AFFINE, np.stack([x, y, z], axis=-1))
    write_image(tmp_path / "ramp.nii.gz", points @ [1.0, 2.0, 0.5], AFFINE)
    resample([(tmp_path / "ramp.nii.gz", tmp_path / "out.nii.gz")], tmp_path / "ramp.nii.gz", 80)
    out = read_image(tmp_path / "out.nii.gz")
    inner = np.stack(np.meshgrid(*(np.arange(2, n - 2) for n in (80, 80, 6)), indexing="ij"), axis=-1)
    expected = nib.affines.apply_affine(out.affine, inner) @ [1.0, 2.0, 0.5]
    assert out.get_fdata()[2:-2, 2:-2, 2:-2] == pytest.approx(expected, abs=1e-2)


@pytest.mark.parametrize("matrix", [32, 40, 64, 90])
def test_a_map_is_interpolated_only_among_measured_voxels(tmp_path, matrix):
    """0 is no value: mixed with it, the rim of a stripped ADC map would be ischaemic, and late tissue beside a hole healthy."""
    random = np.random.default_rng(0)
    flow = np.where((head() > 30) & (random.random((40, 40, 16)) > 0.1), 50.0, 0.0)
    paths = {name: tmp_path / f"{name}.nii.gz" for name in ("CBF", "Tmax")}
    write_image(paths["CBF"], flow, AFFINE)
    # as a scanner's map that was not masked
    write_image(paths["Tmax"], np.where(flow > 0, 8.0, 99.0), AFFINE)
    out = {name: tmp_path / f"up_{name}.nii.gz" for name in paths}
    resample([(paths[name], out[name]) for name in paths], paths["CBF"], matrix, measured=dict.fromkeys(out.values(), paths["CBF"]))
    up = {name: read_image(path).get_fdata() for name, path in out.items()}
    known = up["CBF"] > 0
    assert up["CBF"][known] == pytest.approx(50, rel=1e-5) and up["Tmax"][known] == pytest.approx(8, rel=1e-5)
    assert not up["Tmax"][~known].any()
    volume = [voxel_volume_ml(read_image(path).affine) * (read_image(path).get_fdata() > 0).sum() for path in (paths["CBF"], out["CBF"])]
    assert volume[1] == pytest.approx(volume[0], rel=0.1)


def test_what_was_measured_must_lie_on_the_grid_of_the_map(tmp_path):
    write_image(tmp_path / "Tmax.nii.gz", head(), AFFINE)
    write_image(tmp_path / "CBF.nii.gz", head()[:-1], AFFINE)
    with pytest.raises(InputError, match=r"CBF\.nii\.gz"):
        measured = {tmp_path / "out.nii.gz": tmp_path / "CBF.nii.gz"}
        resample([(tmp_path / "Tmax.nii.gz", tmp_path / "out.nii.gz")], tmp_path / "Tmax.nii.gz", 80, measured=measured)


def test_up_sampled_image_names_the_reference_on_its_own_grid(tmp_path):
    native = tmp_path / "sub-1_ses-baseline_b0.nii.gz"
    write_image(native, head(), AFFINE)
    resample([(native, tmp_path / "out.nii.gz")], native, 80)
    assert read_sidecar(tmp_path / "out.nii.gz")["SpatialReference"] == "sub-1_ses-baseline_space-reference_b0.nii.gz"


@pytest.mark.parametrize("kind", ["rigid", "affine", "nonlinear", "epi"])
def test_registration_recovers_a_shift(tmp_path, kind):
    shift = (2.0, -1.5, 0.6)
    write_image(tmp_path / "fixed.nii.gz", head(), AFFINE)
    write_image(tmp_path / "moving.nii.gz", 300 - 2 * head(shift=shift), AFFINE)
    register(tmp_path / "fixed.nii.gz", tmp_path / "moving.nii.gz", kind, tmp_path / "xfm.h5", tmp_path / "back.h5")
    resample([(tmp_path / "moving.nii.gz", tmp_path / "out.nii.gz")], tmp_path / "fixed.nii.gz", 40, transform=tmp_path / "xfm.h5")
    brain = ndimage.binary_erosion(head() > 30, iterations=2)
    # AFFINE runs from right to left, what is written from left to right
    back = (300 - read_image(tmp_path / "out.nii.gz").get_fdata()[::-1]) / 2
    before = np.corrcoef(head(shift=shift)[brain], head()[brain])[0, 1]
    after = np.corrcoef(back[brain], head()[brain])[0, 1]
    # the most that one linear interpolation by the true shift can reach
    reachable = np.corrcoef(ndimage.shift(head(shift=shift), -np.array(shift), order=1)[brain], head()[brain])[0, 1]
    assert before < 0.85
    assert after > reachable - 0.01


def carry_label(label, reference, transform, output):
    """Write a label on the reference's grid of 80x80, and return its voxels."""
    shape, affine = upsampled_grid(read_image(reference), 80)
    values = resample_array(read_image(label), shape, affine, transform, label=True)
    write_image(output, values, affine, dtype=np.uint8)
    return values


@pytest.mark.parametrize("kind", ["rigid", "affine", "nonlinear", "epi"])
def test_a_lesion_returns_to_native_space(tmp_path, kind):
    dwi, reference = head(shift=(2.0, -1.5, 0.6)), head()
    lesion = np.zeros(dwi.shape)
    lesion[12:20, 22:30, 5:11] = 1
    for name, data in (("dwi", dwi), ("reference", reference), ("lesion", lesion)):
        write_image(tmp_path / f"{name}.nii.gz", data, AFFINE)
    register(tmp_path / "reference.nii.gz", tmp_path / "dwi.nii.gz", kind, tmp_path / "there.h5", tmp_path / "back.h5")
    carry_label(tmp_path / "lesion.nii.gz", tmp_path / "reference.nii.gz", tmp_path / "there.h5", tmp_path / "there.nii.gz")
    predicted, native = tmp_path / "there.nii.gz", [tmp_path / f"{name}.nii.gz" for name in ("mask", "probability")]
    write_native(predicted, predicted, tmp_path / "dwi.nii.gz", tmp_path / "back.h5", *native)
    for path in native:
        back = read_image(path)
        found = back.get_fdata() > 0.5
        assert back.shape == dwi.shape and np.allclose(back.affine, AFFINE)
        assert 2 * (found & (lesion > 0)).sum() / (found.sum() + lesion.sum()) > 0.9


def test_a_lesion_in_the_reference_s_own_space_only_changes_its_grid(tmp_path):
    lesion = np.zeros((40, 40, 16))
    lesion[12:20, 22:30, 5:11] = 1
    write_image(tmp_path / "lesion.nii.gz", lesion, AFFINE)
    carry_label(tmp_path / "lesion.nii.gz", tmp_path / "lesion.nii.gz", None, tmp_path / "there.nii.gz")
    predicted, native = tmp_path / "there.nii.gz", [tmp_path / f"{name}.nii.gz" for name in ("mask", "probability")]
    write_native(predicted, predicted, tmp_path / "lesion.nii.gz", None, *native)
    assert np.array_equal(read_image(native[0]).get_fdata(), lesion)
    assert read_sidecar(native[0])["VolumeMl"] == pytest.approx(8 * 8 * 6 * 0.08)


def test_registration_is_repeatable_and_labels_stay_labels(tmp_path):
    write_image(tmp_path / "fixed.nii.gz", head(), AFFINE)
    write_image(tmp_path / "moving.nii.gz", head(shift=(2, 1, 0)), AFFINE)
    write_image(tmp_path / "label.nii.gz", head(shift=(2, 1, 0)) > 150, AFFINE, dtype=np.uint8)
    results = []
    for name in ("a", "b"):
        register(tmp_path / "fixed.nii.gz", tmp_path / "moving.nii.gz", "nonlinear", tmp_path / f"{name}.h5", tmp_path / "back.h5")
        results.append(carry_label(tmp_path / "label.nii.gz", tmp_path / "fixed.nii.gz", tmp_path / f"{name}.h5", tmp_path / f"{name}.nii.gz"))
    assert np.array_equal(*results)
    assert set(np.unique(results[0])) == {0, 1}


def test_constant_image_cannot_be_registered(tmp_path):
    write_image(tmp_path / "a.nii.gz", head(), AFFINE)
    write_image(tmp_path / "b.nii.gz", np.ones((40, 40, 16)), AFFINE)
    with pytest.raises(InputError, match=r"b\.nii\.gz.*constant"):
        register(tmp_path / "a.nii.gz", tmp_path / "b.nii.gz", "affine", tmp_path / "x.h5", tmp_path / "back.h5")


def test_median_otsu_finds_the_brain(tmp_path):
    shape = (48, 48, 16)
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    r = np.sqrt((x / 0.75) ** 2 + (y / 0.9) ** 2 + (z / 1.3) ** 2)
    image = np.where(r < 0.8, 100.0, np.where((r > 0.9) & (r < 1.0), 12.0, 2.0)) + np.random.default_rng(0).normal(0, 2, shape)
    write_image(tmp_path / "b0.nii.gz", image, AFFINE)
    brain_mask(tmp_path / "b0.nii.gz", tmp_path / "mask.nii.gz", "median_otsu")
    mask, truth = read_image(tmp_path / "mask.nii.gz").get_fdata() > 0, r < 0.8
    assert 2 * (mask & truth).sum() / (mask.sum() + truth.sum()) > 0.95


STUB = """#!{python}
import os, sys
import nibabel as nib
image, brain = nib.load(sys.argv[1]), sys.argv[2]
ending = {{"NIFTI_GZ": ".nii.gz", "NIFTI": ".nii"}}[os.environ["FSLOUTPUTTYPE"]]
nib.save(nib.Nifti1Image((image.get_fdata() > 50).astype("uint8"), image.affine), brain + "_mask" + ending)
"""


def test_bet_of_fsl_whatever_type_its_user_prefers(tmp_path):
    """FSL is found when it is first imported: a process of its own."""
    program = tmp_path / "fsl" / "bin" / "bet"
    program.parent.mkdir(parents=True)
    program.write_text(STUB.format(python=sys.executable), encoding="utf-8")
    program.chmod(0o755)
    write_image(tmp_path / "b0.nii.gz", head(), AFFINE)
    code = "import sys; from finalinfarct.imaging.brain import brain_mask; brain_mask(sys.argv[1], sys.argv[2], 'bet')"
    environment = os.environ | {"FSLDIR": str(tmp_path / "fsl"), "FSLOUTPUTTYPE": "NIFTI", "PYTHONPATH": str(ROOT / "workflow" / "scripts")}
    command = [sys.executable, "-c", code, tmp_path / "b0.nii.gz", tmp_path / "mask.nii.gz"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert np.array_equal(read_image(tmp_path / "mask.nii.gz").get_fdata() > 0, read_image(tmp_path / "b0.nii.gz").get_fdata() > 50)
    assert read_sidecar(tmp_path / "mask.nii.gz")["Method"] == "bet"


def test_unneeded_packages_stay_out_of_a_registration_and_can_be_imported_later():
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT / 'workflow/scripts')!r})\n"
        "from finalinfarct.imaging.registration import UNNEEDED, resample_array\n"
        "import nibabel as nib, numpy as np\n"
        "resample_array(nib.Nifti1Image(np.ones((4, 4, 4), np.float32), np.eye(4)), (8, 8, 8), np.eye(4)); print({*UNNEEDED} & {*sys.modules})\n"
        "import ants, matplotlib.pyplot, mpl_toolkits.axes_grid1, requests, sklearn.linear_model, statsmodels.api\n"
        "print({*UNNEEDED} <= {*sys.modules}, hasattr(requests, 'nothing'), matplotlib.pyplot.figure().axes)"
    )
    made = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert made.stdout == "set()\nTrue False []\n", made.stderr


@pytest.mark.skipif(sys.platform != "linux" or os.cpu_count() < 2, reason="counts threads in /proc, and needs two cores")
def test_resampling_takes_one_core():
    code = """
import os
import nibabel as nib, numpy as np
from finalinfarct.imaging.registration import resample_array
image = nib.Nifti1Image(np.random.default_rng(0).random((64, 64, 24), np.float32), np.diag([3.0, 3, 5, 1]))
before = len(os.listdir("/proc/self/task"))
resample_array(image, (128, 128, 24), np.diag([1.5, 1.5, 5, 1]))
print(len(os.listdir("/proc/self/task")) - before)
"""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ITK_")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment | {"PYTHONPATH": str(ROOT / "workflow" / "scripts"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout.split() == ["1"], done


def test_given_mask_is_where_the_image_is_not_zero(tmp_path):
    image = np.zeros((20, 20, 8))
    image[4:16, 4:16, 1:7] = 5
    write_image(tmp_path / "a.nii.gz", image, AFFINE)
    brain_mask(tmp_path / "a.nii.gz", tmp_path / "mask.nii.gz", "given")
    assert np.array_equal(read_image(tmp_path / "mask.nii.gz").get_fdata() > 0, image > 0)


def test_automatic_diffusion_lesion_drops_small_components():
    adc = np.full((20, 20, 10), 800.0)
    adc[2:7, 2:7, 2:6] = 500
    adc[15, 15, 8] = 500
    adc[10, 10, 5] = 0
    brain = np.ones(adc.shape, bool)
    brain[2] = False
    lesion = diffusion_lesion(adc, brain, 620.0, 0.5, 0.08)
    assert lesion.sum() == 4 * 5 * 4 and lesion[3:7, 2:7, 2:6].all()


def labels(folder, dwi_lesion):
    grid = (20, 20, 8)
    final, drawn, adc, brain = np.zeros(grid), np.zeros(grid), np.full(grid, 800.0), np.zeros(grid)
    brain[2:18, 2:18] = 1
    final[16:20, 5:8, 3] = 1
    drawn[5:7, 5:7, 3] = 1
    # 5.1 ml; 0.4 ml, which is enough; 0.24 ml, which is not; and 1.9 ml without signal
    adc[10:14, 10:14, 2:6], adc[4, 4, 1:6], adc[7, 4, 1:4], adc[4:8, 13:16, 2:4] = 650, 650, 650, 0
    for name, data in (("final", final), ("drawn", drawn), ("adc", adc), ("brain", brain)):
        write_image(folder / f"{name}.nii.gz", data, AFFINE)
    out = [folder / f"{name}_out.nii.gz" for name in ("diffusion", "final", "dseg")]
    settings = {"adc_threshold_um2_s": 700.0, "minimum_component_ml": 0.3}
    source = folder / "drawn.nii.gz" if dwi_lesion else None
    make_labels(
        folder / "final.nii.gz", None, source, None, folder / "adc.nii.gz", 20, folder / "adc.nii.gz", folder / "brain.nii.gz", settings, *out
    )
    return out


def test_labels(tmp_path):
    diffusion, final, dseg = labels(tmp_path, dwi_lesion=True)
    assert read_image(diffusion).get_fdata().sum() == 4 and read_sidecar(diffusion)["LesionSource"] == "expert"
    assert np.bincount(read_image(dseg).get_fdata().astype(int).ravel()).tolist() == [20 * 20 * 8 - 16 * 16 * 8 - 6, 16 * 16 * 8 - 6, 12]
    assert read_image(final).get_fdata().sum() == 12


def test_automatic_label_where_no_expert_drew(tmp_path):
    diffusion, _, _ = labels(tmp_path, dwi_lesion=False)
    assert read_image(diffusion).get_fdata().sum() == 64 + 5 and read_sidecar(diffusion)["LesionSource"] == "automatic"


def test_normalisation_of_known_values():
    image = np.arange(24.0).reshape(2, 3, 4)
    brain = image >= 4
    result = normalise_array(image, brain)
    assert result[brain] == pytest.approx((image[brain] - 4) / 19)
    assert not result[~brain].any()
    by_slice = normalise_array(image, np.ones(image.shape, bool), scope="slice")
    assert by_slice.min(axis=(0, 1)) == pytest.approx(0) and by_slice.max(axis=(0, 1)) == pytest.approx(1)
    outlier = np.linspace(0, 1, 1000).reshape(10, 10, 10)
    outlier[0, 0, 0] = 1e6
    assert normalise_array(outlier, np.ones(outlier.shape, bool), method="robust")[5, 5, 5] == pytest.approx(outlier[5, 5, 5], abs=0.05)


def test_normalisation_of_files_is_of_the_method_and_scope_asked_for(tmp_path):
    ramp = np.arange(101.0).reshape(101, 1, 1)
    write_image(tmp_path / "a.nii.gz", ramp * [1, 2, 3], AFFINE)
    write_image(tmp_path / "m.nii.gz", np.ones((101, 1, 3)), AFFINE, dtype=np.uint8)
    normalise([(tmp_path / "a.nii.gz", tmp_path / "b.nii.gz")], tmp_path / "m.nii.gz", "robust", "slice")
    # the percentiles 1 and 99 of each slice are its values 1 and 99
    expected = np.broadcast_to(np.clip((ramp - 1) / 98, 0, 1), (101, 1, 3))
    assert read_image(tmp_path / "b.nii.gz").get_fdata() == pytest.approx(expected, abs=1e-6)


def test_normalisation_refuses_a_mask_on_another_grid(tmp_path):
    write_image(tmp_path / "a.nii.gz", np.ones((4, 4, 4)), AFFINE)
    write_image(tmp_path / "m.nii.gz", np.ones((5, 4, 4)), AFFINE, dtype=np.uint8)
    with pytest.raises(InputError, match="grid"):
        normalise([(tmp_path / "a.nii.gz", tmp_path / "b.nii.gz")], tmp_path / "m.nii.gz")


def test_reperfusion_ratio_counts_what_was_measured_twice():
    h0, h3 = np.array([6.0, 7.0, 8.0, 9.0, 5.9]), np.array([5.9, 6.0, 1.0, 9.0, 1.0])
    everywhere = np.ones(5, bool)
    assert reperfusion_ratio(h0, h3, everywhere, everywhere) == pytest.approx((2 / 4, 1))
    # without the third voxel at H3, where the map then holds 0; a Tmax of 0 that was measured counts
    measured = np.array([True, True, False, True, True])
    assert reperfusion_ratio(h0, np.where(measured, h3, 0), measured, everywhere) == pytest.approx((1 / 3, 3 / 4))
    assert reperfusion_ratio(h0, np.zeros(5), measured, everywhere) == pytest.approx((1, 3 / 4))
    assert np.isnan(reperfusion_ratio(h0, h3, ~everywhere, everywhere)[0])
    assert np.isnan(reperfusion_ratio(np.zeros(5), h3, everywhere, everywhere)).all()


@pytest.mark.parametrize(
    ("missing", "ratio", "coverage", "reason"),
    [
        (2, 0.0, 0.8, None),
        (3, None, 0.7, "only 70 % of the hypoperfused voxels at baseline were measured at H3"),
        (6, None, 0.4, "only 40 % of the hypoperfused voxels at baseline were measured at H3"),
    ],
)
def test_slices_missing_at_h3_are_not_reperfused(tmp_path, missing, ratio, coverage, reason):
    """A lesion through ten slices that is the same at H3, of which the first slices were not acquired again."""
    h0 = np.full((3, 3, 10), 9.0)
    h3 = np.where(np.arange(10) < missing, 0, h0)
    paths = [tmp_path / f"{name}.nii.gz" for name in ("h0", "h3", "flow", "brain")]
    for path, data in zip(paths, (h0, h3, 5 * h3, np.ones(h0.shape)), strict=True):
        write_image(path, data, AFFINE)
    write_reperfusion_ratio("sub-1", *paths, tmp_path / "r.json")
    found = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert found == {"participant_id": "sub-1", "reperfusion_ratio": ratio, "h3_coverage": pytest.approx(coverage), "reason": reason}


def test_reperfusion_ratio_without_a_lesion_is_undefined(tmp_path):
    write_image(tmp_path / "a.nii.gz", np.ones((3, 3, 3)), AFFINE)
    write_reperfusion_ratio("sub-1", *[tmp_path / "a.nii.gz"] * 4, tmp_path / "r.json")
    found = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert found["reperfusion_ratio"] is None and found["reason"] == "no hypoperfused voxel at baseline"
