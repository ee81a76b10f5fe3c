"""The simulated cohort: anatomy, perfusion and diffusion physics, outcome and acquisition. No analysis imports it."""
