"""Intervals and tests for shares."""
