"""`sparring attacks`: what there is, with the columns of the survey by Machado et al.; or all about one attack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from sparring.cli.app import LOOK_UP, app
from sparring.cli.options import PluginOption, run_plugins

if TYPE_CHECKING:
    from sparring.attack import AttackInfo


@app.command("attacks", rich_help_panel=LOOK_UP)
def attacks(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Show this attack in full.")] = None,
    sees: Annotated[
        str | None, typer.Option(metavar="ACCESS", help="List only attacks that see gradient, score or decision.")
    ] = None,
    norm: Annotated[
        str | None, typer.Option(metavar="NORM", help="List only attacks under Linf, L2, L1 or L0.")
    ] = None,
    plugin: PluginOption = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a Markdown table, as in the README.")] = False,
) -> None:
    """List the attacks, or show one in full: what it does, its fields, how to run it."""
    from sparring.attacks import attacks as registered
    from sparring.attacks import find
    from sparring.cli.attack.card import plain, print_card, print_table
    from sparring.cli.console import Stdout
    from sparring.errors import InputError
    from sparring.model import LEVELS

    run_plugins(plugin)
    if sees is not None and sees not in LEVELS:
        raise InputError(f"--sees {sees} is not known; it is one of {', '.join(LEVELS)}")
    if json and markdown:
        raise InputError("--json and --markdown exclude each other")
    infos = registered(sees=sees, norm=norm) if name is None else [find(name)]
    if json:
        from json import dumps

        content: Any = [plain(info) for info in infos]
        Stdout().out(dumps(content if name is None else content[0], indent=1, allow_nan=False), highlight=False)
    elif markdown:
        Stdout().out(markdown_table(infos), highlight=False)
    elif name is not None:
        print_card(infos[0])
    else:
        print_table(infos)


COLUMNS = (
    "Algorithm", "Name in sparring", "Perturbation scope", "Perturbation visibility", "Perturbation measurement",
    "Attacker's knowledge", "Attack specificity", "Attack approach", "Year", "Paper",
    "File", "Also in",
)  # fmt: skip
"those of the survey, and where to find the attack: on paper, here, and in other toolkits"


def markdown_table(infos: list[AttackInfo]) -> str:
    """The attacks as a Markdown table, without a line break at the end."""
    lines = [COLUMNS, ("---",) * len(COLUMNS), *(_cells(info) for info in infos)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cells(info: AttackInfo) -> tuple[str, ...]:
    cells = (
        info.title, ", ".join(info.scope), ", ".join(info.visibility), ", ".join(map(str, info.norms)),
        info.knowledge, ", ".join(info.specificity), info.approach, str(info.year),
    )  # fmt: skip
    title, *rest = (cell.replace("|", "\\|") for cell in cells)
    return (title, f"`{info.name}`", *rest, _paper(info.paper), f"`{_file(info)}`", ", ".join(info.peers) or "-")


def _file(info: AttackInfo) -> str:
    """The file of an attack inside the package; the module of one that a plug-in brings."""
    module = info.cls.__module__
    room, _, inside = module.partition("sparring.attacks.")
    return module if room else f"attacks/{inside.replace('.', '/')}.py"


def _paper(paper: str) -> str:
    scheme, _, number = paper.partition(":")
    homes = {
        "arxiv": "https://arxiv.org/abs/",
        "doi": "https://doi.org/",
        "openreview": "https://openreview.net/forum?id=",
    }
    home = homes.get(scheme.lower())
    if home is not None:
        return f"[{paper}]({home}{number})"
    return f"<{paper}>" if scheme in ("http", "https") else paper.replace("|", "\\|")
