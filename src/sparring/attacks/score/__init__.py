"""Attacks that see scores (logits), no gradients."""
