"""What a run was started with: kept in its folder, and read by the commands that work on it later."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from sparring.audit.run.plan import Plan
    from sparring.data import ImageData
    from sparring.model import Model

FILE = "options.json"
ELSEWHERE = (
    "fail_under", "resume", "workers", "shard", "worker", "out", "force", "json", "markdown", "junit", "sarif", "hf",
    "quiet", "plan_only",
)  # fmt: skip
"options of `sparring audit` about the work and its files, not about the result"

RunModel = Annotated[
    str,
    typer.Option("--model", "-m", metavar="SPEC", help="Instead of the run's.", rich_help_panel="Model and data"),
]
RunData = Annotated[
    str,
    typer.Option("--data", "-d", metavar="SPEC", help="Instead of the run's.", rich_help_panel="Model and data"),
]


def keep_options(folder: Path, options: dict[str, Any]) -> None:
    """Write the options of the command into the folder of its run."""
    from sparring.scale.files import write_json

    write_json(
        folder / FILE, {name: str(value) if isinstance(value, Path) else value for name, value in options.items()}
    )


def words_of(options: Mapping[str, Any]) -> list[str]:
    """The options as words of a command line.

    >>> words_of({"n": 5, "trust": True, "claim": ["0.9", "clean=1"], "replay": None})
    ['--n=5', '--trust', '--claim=0.9', '--claim=clean=1']
    """
    words = []
    for name, value in options.items():
        flag = f"--{name.replace('_', '-')}"
        for item in value if isinstance(value, list) else [value]:
            if item is not None and item is not False:
                words.append(flag if item is True else f"{flag}={item}")
    return words


def recorded(folder: Path) -> dict[str, Any]:
    """The options as they lie in the folder of a run.

    Raises:
        InputError: there are none.
    """
    import json

    from sparring.errors import InputError

    path = folder / FILE
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{folder} holds no run of sparring audit: there is no {FILE} in it") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}); give the folder of a run") from None
    if not isinstance(known, dict) or not isinstance(known.get("model"), str):
        raise InputError(f"{path} does not say which model was audited; give the folder of a run")
    return known


def kept_options(folder: Path, trust: bool, **instead: Any) -> dict[str, Any]:
    """The options that a run was started with.

    Args:
        trust: also for the run's own word on which code to run: a folder from somebody else is not believed.
        instead: of some options, where they are not None or empty.

    Raises:
        InputError: there are none, or they name code that would be run unasked.
    """
    from sparring.errors import InputError

    known = recorded(folder)
    if not instead.get("model") and not trust and _runs_code(known["model"]):
        raise InputError(
            f"the run in {folder} is about {known['model']}, which is code: to run it, name it (--model "
            f"{known['model']}) or say --trust"
        )
    chosen = {name: value for name, value in instead.items() if value}
    options = {name: known.get(name, default) for name, default in settings().items()}
    paths = {
        name: Path(options[name])
        for name in ("weights", "replay", "certified", "order_from")
        if options[name] is not None
    }
    return {**options, **paths, **chosen, "trust": trust}


def settings() -> dict[str, Any]:
    """The options of `sparring audit` that its result depends on, in its order, and what they are unless said."""
    from inspect import signature

    from sparring.cli.audit.audit import audit

    known = signature(audit).parameters.items()
    return {name: one.default for name, one in known if name not in ELSEWHERE}


def _runs_code(spec: str) -> bool:
    from sparring.zoo.loaders import SCHEMES

    scheme, colon, _ = spec.partition(":")
    return bool(colon) and scheme not in SCHEMES


def subject_of(options: Mapping[str, Any]) -> tuple[Model, ImageData]:
    """The model and the images that these options name."""
    from sparring.cli.loading import load_subject

    names = ("weights", "trust", "device", "data", "split", "n", "mean", "std", "defense")
    named: dict[str, Any] = {name: options.get(name) for name in names}
    return load_subject(options["model"], **named)


def plan_of(options: Mapping[str, Any]) -> Plan:
    """The plan of the audit that these options, of `sparring audit`, name."""
    from sparring.audit.api import plan_audit
    from sparring.threat import Threat

    model, images = subject_of(options)
    return plan_audit(
        model,
        images,
        Threat(options["norm"], options["eps"]),
        suite=options["suite"],
        claims=options["claim"] or (),
        **{
            name: options[name]
            for name in (
                "seed",
                "batch_size",
                "clean_floor",
                "shard_size",
                "replay",
                "certified",
                "order_from",
                "precision",
            )
        },
    )
