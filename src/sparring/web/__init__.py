"""A page to play on, in a browser of this machine: attack one picture, run a quick audit, read and compare reports.

Needs the extra `sparring[web]` (Gradio). The server listens on this machine only, sends nothing out, and loads no code
from models unless it was started with trust.
"""
