"""`sparring audit` and the commands that work on its runs."""
