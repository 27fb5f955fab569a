"""The report: its values, its parts, and the comparison of two."""
