"""`sparring attack` and `sparring attacks`."""
