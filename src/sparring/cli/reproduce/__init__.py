"""`sparring reproduce ...`."""
