"""Attacks that learn: the shared part of all of them, the nets they train, and what they leave on disk."""
