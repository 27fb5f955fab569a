"""The gallery in parts: rows that were kept are read again, and make the page with those made now."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from sparring.cli import main
from sparring.reproduce.gallery_members import GALLERY
from sparring.reproduce.gallery_page import keep, kept


def test_kept_rows_are_not_made_again_and_make_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page, rows = tmp_path / "page.md", tmp_path / "rows"
    asked = ["softmax output", "--n", "20", "--rows", rows, "--cache", tmp_path / "shop", "--page", page]
    monkeypatch.setattr(sys, "argv", ["sparring", "reproduce", "gallery", *map(str, asked)])
    for verdict in ("the model returns probabilities", "seen earlier"):
        with pytest.raises(SystemExit) as left:
            main()
        assert not left.value.code
        assert verdict in page.read_text()
        (file,) = rows.iterdir()
        file.write_text(json.dumps(json.loads(file.read_text()) | {"verdict": "seen earlier"}))


def test_every_member_has_a_row_of_its_own(tmp_path: Path) -> None:
    for member in GALLERY:
        assert kept(tmp_path, member.name, 60, 0) is None, "two members, one file"
        keep(tmp_path, {"model": member.name}, 60, 0)
        assert kept(tmp_path, member.name, 60, 0) == {"model": member.name}
        assert kept(tmp_path, member.name, 60, 1) is None
