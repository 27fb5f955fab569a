"""`sparring train`."""
