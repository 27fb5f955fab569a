"""Writing results: tables, tensors, pictures that are still adversarial when they are read back, and a figure."""

from sparring.export.answers import Answers, ask
from sparring.export.files import check_writable, open_folder
from sparring.export.grid import Panel, picture_grid
from sparring.export.panels import choose, panels
from sparring.export.pngs import PngCheck, eight_bit, verify_pngs, write_pngs
from sparring.export.save import Recheck, Saved, save_result
from sparring.export.tables import sample_rows, write_csv
from sparring.export.tensors import read_adversarials, write_adversarials

__all__ = [
    "Answers",
    "Panel",
    "PngCheck",
    "Recheck",
    "Saved",
    "ask",
    "check_writable",
    "choose",
    "eight_bit",
    "open_folder",
    "panels",
    "picture_grid",
    "read_adversarials",
    "sample_rows",
    "save_result",
    "verify_pngs",
    "write_adversarials",
    "write_csv",
    "write_pngs",
]
