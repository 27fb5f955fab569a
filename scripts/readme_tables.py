"""Put the tables of attacks and of shipped models, made from the register and the cards, into README.md.

python scripts/readme_tables.py            write them
python scripts/readme_tables.py --check    exit code 1 if they are not up to date
"""

from __future__ import annotations

import sys
from pathlib import Path

from sparring.attack import attacks
from sparring.cli import models as model_tables
from sparring.cli.attack import attacks as attack_tables
from sparring.zoo.shipped import list_models

README = Path(__file__).parents[1] / "README.md"


def tables() -> dict[str, str]:
    """The tables, by the name in their markers."""
    return {
        "attacks": attack_tables.markdown_table(attacks()),
        "models": model_tables.markdown_table(list_models()),
    }


def updated(text: str, name: str, table: str) -> str:
    """`text` with `table` between the markers of this name.

    Raises:
        ValueError: the markers are not there once each, in order.
    """
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    head, first, rest = text.partition(begin)
    _, last, tail = rest.partition(end)
    if not (first and last) or begin in rest or end in head + tail:
        raise ValueError(f"the text needs {begin} and then {end}, once each")
    return f"{head}{begin}\n{table}\n{end}{tail}"


def main(arguments: list[str]) -> int:
    text = wanted = README.read_text(encoding="utf-8")
    for name, table in tables().items():
        wanted = updated(wanted, name, table)
    if wanted == text:
        return 0
    if "--check" in arguments:
        print(f"{README.name} is out of date; run python scripts/readme_tables.py", file=sys.stderr)
        return 1
    README.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
