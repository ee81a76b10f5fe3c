"""Images in, images out: ADC, perfusion maps, registration, brain mask, resampling, normalisation."""
