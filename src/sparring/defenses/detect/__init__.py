"""Detectors of attacks: a score for each image, higher = more suspicious, and what a threshold on it is worth."""
