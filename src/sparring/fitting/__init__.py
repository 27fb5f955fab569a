"""Fitting attacks that learn, and measuring them on images that they never saw."""
