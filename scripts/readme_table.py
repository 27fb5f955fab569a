"""Put the table of attacks, made from the register, between its markers in README.md.

python scripts/readme_table.py            write it
python scripts/readme_table.py --check    exit code 1 if it is not up to date
"""

from __future__ import annotations

import sys
from pathlib import Path

from sparring.attack import attacks
from sparring.cli.attacks import markdown_table

BEGIN, END = "<!-- attacks:begin -->", "<!-- attacks:end -->"
README = Path(__file__).parents[1] / "README.md"


def updated(text: str, table: str) -> str:
    """`text` with `table` between the markers.

    Raises:
        ValueError: the markers are not there once each, in order.
    """
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not (begin and end) or BEGIN in rest or END in head + tail:
        raise ValueError(f"the text needs {BEGIN} and then {END}, once each")
    return f"{head}{BEGIN}\n{table}\n{END}{tail}"


def main(arguments: list[str]) -> int:
    text = README.read_text(encoding="utf-8")
    wanted = updated(text, markdown_table(attacks()))
    if wanted == text:
        return 0
    if "--check" in arguments:
        print(f"{README.name} is out of date; run python scripts/readme_table.py", file=sys.stderr)
        return 1
    README.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
