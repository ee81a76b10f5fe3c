"""What the quality pages say: how to read each picture, and what numbers and flags mean."""

FLAGS = {
    "truncated bolus": "The series ends before the contrast agent has left: CBV and MTT are too low; Tmax beyond the end of the series cannot be "
    "seen.",
    "weak bolus": "Little contrast agent reached the brain, or it was injected slowly: all perfusion maps are noisy.",
    "low signal-to-noise": "In most voxels the bolus hardly stands out of the noise: Tmax is scattered, and its volumes are not to be trusted.",
    "arterial input from": "An arterial input of very few voxels is noisy and may come from a vessel at the edge: look where the voxels lie, and "
    "give a mask.",
    "late arterial input": "The arterial input comes from a vein or from late tissue: Tmax is too short everywhere, CBF and CBV are wrong. Look "
    "where the voxels lie, and give a mask of a large artery.",
    "short series": "The series ends so soon after the bolus that late tissue cannot be told from drift: such voxels have the longest Tmax that "
    "can be told, a lower bound, and some of them may be drift at the edge.",
    "implausible volume": "The brain mask has lost much of the brain or kept the skull: everything computed within it is wrong. Look at the "
    "section on the mask.",
    "implausible ADC": "Most often a wrong unit or wrong b-values, else a brain mask that is full of CSF.",
    "unusual b-value": "ADC falls with the b-value, so lesions by a threshold of ADC are too large here (too small, below 800 s/mm²): give an "
    "expert's masks, or choose another threshold.",
    "poor registration": "The image and the reference show the brain in different places: look at the section on registration before you use any "
    "of its values.",
    "incomplete coverage": "The images do not cover the whole brain, or their registration failed; the uncovered part counts as ADC or Tmax 0. After "
    "3 h it counts for nothing, and below 80 % of the lesion the reperfusion ratio is undefined.",
    "motion": "Motion makes late and early edges that pass for hypoperfusion: compare the edges of Tmax on both sides.",
    "zero baseline": "These voxels have no signal before the bolus, so the maps have holes there.",
    "saturated baseline": "The stored values reached their ceiling, so the bolus is cut off there.",
    "lesion outside the brain": "The final lesion was carried to a wrong place, or the brain mask has lost a part of the brain.",
}
OTHER_FLAG = "Raised when the maps were made. Look at the pictures of that session before you use its values."
MEANINGS = {
    "brain_ml": "Adults have about 1100 to 1800 ml, CSF included. Far less: tissue is lost; far more: skull or eyes are in.",
    "similarity": "Normalised mutual information, from 1 (nothing in common). Depends on the contrasts, so it can only be compared within a cohort.",
    "residual_shift": "How far, in plane, the image would have to move to match best. Near 0 is good; beyond 3 mm the registration has failed.",
    "median_adc_um2_s": "About 750 to 1100 is good. Far off: wrong unit, wrong b-values or wrong mask.",
    "without_adc_percent": "Good is below 3 %. More: the diffusion slices do not cover the brain, or they are misplaced.",
    "unperfused": "Good is below 3 %. More: the perfusion slices do not cover the brain, or they are misplaced.",
    "median_tmax_s": "About 1 to 4 s. More in the whole brain: the arterial input was taken too early or from the wrong vessel.",
    "hypoperfused_ml": "Volume with Tmax above the threshold. This is the disease and no fault: it does not count as suspicious.",
    "hypoperfused_in_rim_percent": "In a vascular territory not much above the rim's share of the brain (next row). Far above it: voxels at "
    "the edge are late from noise or motion.",
    "rim_percent": "The outermost two voxels of each slice: what an even spread would put there.",
    "aif_peak_per_s": "High is good. Low: partial volume, or a vein or tissue in place of an artery.",
    "aif_peak_s": "When the bolus reaches the brain arteries, from the first frame; depends on the time of injection.",
    "aif_width_s": "Full width at half maximum, about 4 to 12 s. Broader: slow injection, a weak heart, or a vein.",
    "aif_voxels": "More is smoother.",
    "largest_displacement_mm": "Good is below 1 mm. More makes false edges in Tmax, also where it was corrected.",
    "contrast_to_noise": "Median voxel at the head's bolus peak by the noise of its baseline. Above 10 is good, below 3 not usable.",
    "lesion_outside_brain_ml": "Good is 0.",
}
REGISTRATION = (
    "Each row is one image, resampled onto the reference; the first row is the reference itself. On all rows lie the same two outlines, drawn on "
    "the reference: its brain (yellow) and its CSF (blue).",
    "How to read it. Good: in every row the yellow line follows the edge of the brain and the blue line the ventricles and the sulci, within a "
    "voxel. Bad: a line that lies beside the edge on the same side all along (shifted), ventricles larger or smaller than their outline, a brain "
    "that is turned, or an image that ends inside the brain. New lesions may change the tissue, not the place of the ventricles far from them. "
    "Echo-planar images may be drawn out near the sinuses: that alone is no fault of the registration.",
)
BRAIN_MASK = (
    "The outline of the brain mask (yellow) on the slices of the reference, from the lowest to the highest.",
    "How to read it. Good: brain and the CSF around it inside, skull, eyes and skin outside; small steps of a voxel do no harm. Bad: a piece of "
    "the cortex or of the infarct outside (it is then lost to every step), eyes or skull inside (they then pass for tissue with odd values), or "
    "an empty slice in the middle.",
)
ARTERIAL_INPUT = (
    "Left: concentration of contrast agent over time, mean of the chosen voxels; below it how far the head had moved. The pale ground marks the "
    "frames before the bolus, the grey one the frames dropped because the signal was not yet steady. "
    "Right: the chosen voxels (magenta) on the mean pre-bolus image, in the slices that hold most of them.",
    "How to read it. Good: flat until the bolus, then one high and narrow peak, and a low second wave; voxels at the base of the brain or along "
    "the middle or anterior cerebral arteries, some of them beside each other. Bad: a broad or late peak (a vein, or tissue), a flat top "
    "(saturation), a curve that does not come down (truncated, or motion), voxels strewn over the edge of the brain or in the infarct, "
    "a jump of the head while the bolus passes.",
)
GIVEN_MAPS = "The perfusion maps were given, not computed from a raw series: there is no arterial input to look at."
NO_PERFUSION = "This patient has no perfusion images."
MAPS = {
    "Tmax": "Good: one or few connected areas of high Tmax that follow a vascular territory, and even, low values elsewhere. Bad: high values "
    "strewn over the edge of the brain or in CSF (noise or motion), both hemispheres high (wrong arterial input), stripes or one odd slice "
    "(motion). White outline: above {threshold:g} s.",
    "CBF": "Good: cortex and deep grey matter brighter than white matter, both sides alike outside the infarct. Bad: salt and pepper (noise), only "
    "vessels to be seen (the scale is stretched by an arterial input that is too small), an edge on one side alone (motion).",
    "ADC": "Good: even grey tissue, bright ventricles, and a dark area only where tissue is injured. Bad: dark patches near the skull base and the "
    "sinuses (distortion), stripes (motion between b0 and DWI), all too dark or too bright (b-value or unit).",
}
HISTOGRAMS = (
    "Distribution of the voxels within the brain mask. Lines: the thresholds of ADC and Tmax that the mismatch model uses. The last bin holds "
    "everything beyond the range.",
    "How to read it. Good: ADC with one peak near 800 and a tail of CSF to the right, with little below the threshold; Tmax with most voxels at a "
    "few seconds and a tail that reaches past the threshold where tissue is hypoperfused; CBF falling to the right. Bad: an ADC peak near the "
    "threshold (the unit or b-values, or noise: a plain threshold then marks normal tissue), a peak of Tmax at 0 (no perfusion there) or in the "
    "last bin (noise), a second peak of CBF (wrong mask).",
)


def flag_meaning(flag):
    """What a flag means for the use of the images, by its first words."""
    return next((meaning for words, meaning in FLAGS.items() if flag.startswith(words)), OTHER_FLAG)


def number_meaning(name):
    """How to read a number of the quality report."""
    return next(meaning for start, meaning in MEANINGS.items() if name.startswith(start))
