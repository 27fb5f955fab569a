"""Gradients from scores alone: finite differences, random directions and the bases that they live in."""
