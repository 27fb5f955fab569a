"""Exact: the smallest perturbation, proven."""
