"""A classifier behind a small web service, for exercises against a black box on one machine: the extra `serve`."""
