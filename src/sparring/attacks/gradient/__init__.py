"""Attacks that see gradients."""
