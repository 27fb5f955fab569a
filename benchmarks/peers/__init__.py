"""The peers' isolated environment (`install.py`) and what they need to import (`shims.py`)."""
