"""Suites: which attacks an audit runs, in which order."""
