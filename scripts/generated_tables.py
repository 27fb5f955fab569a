"""Put the tables that are made from the register and the cards into the pages that show them.

python scripts/generated_tables.py            write them
python scripts/generated_tables.py --check    exit code 1 if one is not up to date
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import sparring.audit.checks.run  # noqa: F401  (fills the register)
from sparring.attacks import attacks
from sparring.audit.checks.registry import CHECKS, Check
from sparring.cli import models as model_tables
from sparring.cli.attack import attacks as attack_tables
from sparring.zoo.shipped import list_models

ROOT = Path(__file__).parents[1]


def checks_table(checks: Sequence[Check]) -> str:
    """Markdown: a check a line, with its criterion."""
    lines = ["| check | criterion | severe |", "|---|---|---|"]
    lines += [f"| `{one.code}` | {one.criterion} | {'yes' if one.severe else ''} |" for one in checks]
    return "\n".join(lines)


PAGES: Mapping[str, Mapping[str, Callable[[], str]]] = {
    "README.md": {"models": lambda: model_tables.markdown_table(list_models())},
    "docs/attacks.md": {"attacks": lambda: attack_tables.markdown_table(attacks())},
    "docs/audit_checks.md": {"checks": lambda: checks_table(list(CHECKS.values()))},
}
"""Page -> the tables in it, by the name in their markers."""


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


def page(root: Path, name: str) -> tuple[str, str]:
    """The text of a page as it is, and as it should be."""
    text = wanted = (root / name).read_text(encoding="utf-8")
    for marker, make in PAGES[name].items():
        wanted = updated(wanted, marker, make())
    return text, wanted


def main(arguments: list[str], root: Path = ROOT) -> int:
    late = 0
    for name in PAGES:
        text, wanted = page(root, name)
        if wanted == text:
            continue
        late = 1
        if "--check" in arguments:
            print(f"{name} is out of date; run python scripts/generated_tables.py", file=sys.stderr)
        else:
            (root / name).write_text(wanted, encoding="utf-8")
    return late if "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
