"""One perturbation, or one patch, for all images."""
