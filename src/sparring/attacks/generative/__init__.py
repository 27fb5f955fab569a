"""Networks that make perturbations."""
