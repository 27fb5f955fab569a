"""Crosscheck: the same attacks from other toolkits on the user's model, under watch, against one envelope.

`check.py` runs and judges them, `watch.py` counts and looks on, one file a peer says how it is called. No peer is
required: what can be imported is tried.
"""
