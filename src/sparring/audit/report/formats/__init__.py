"""The report in the formats of other tools."""
