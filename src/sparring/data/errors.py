"""Errors about data sets: what was found where, what was expected, how to fix it."""

from sparring.errors import SparringError


class DataError(SparringError):
    """A data set is unknown, missing, truncated, corrupt or not laid out as expected."""
