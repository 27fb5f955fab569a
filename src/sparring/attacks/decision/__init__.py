"""Attacks that see predicted classes, nothing else."""
