"""Defenses: ways to train (`training`) that make a classifier harder to fool."""
