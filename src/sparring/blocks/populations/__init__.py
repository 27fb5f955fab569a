"""Searches that keep many points of each row alive at once: differential evolution and genetic algorithms."""
