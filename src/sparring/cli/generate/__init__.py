"""`sparring generate ...`."""
