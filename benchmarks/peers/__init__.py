"""Peers side by side with sparring: their isolated environment (`install.py`) and what they need to import (`shims.py`)."""
