"""The options that several commands share, each said once, and groups of them as values.

A command writes `model: ModelOption` for one option. Options that belong together are the fields of a dataclass, a
group; a command that is marked `@takes_options` takes the whole value, `options: AuditOptions`, and has an option for
each of its fields. The same fields are kept in the folder of a run, and make the command that repeats it.

Nothing heavy is imported here: what the texts mean (a model, a radius) is found out inside the commands.
"""

from __future__ import annotations

import inspect
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast, get_args, get_origin, get_type_hints

import typer

from sparring.cli.bills import billed

G = TypeVar("G")


class Always:
    """Marks an option that the printed command names even where it has its default."""


_WHAT = "Model and data"
_HOW = "Threat"
_RUN = "Run"
_OUT = "Output"

ModelOption = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        metavar="SPEC",
        help="Load this classifier: a shipped name (see [bold]sparring models[/bold]), file.py:factory, "
        "pkg.mod:factory, a folder made by sparring train, net:NAME, imagenet:NAME, hf:NAME_OR_DIR, timm:NAME, "
        "torchvision:NAME, torchscript:FILE, onnx:FILE, tflite:FILE, sklearn:FILE, http:URL.",
        rich_help_panel=_WHAT,
    ),
]
WeightsOption = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        metavar="FILE",
        help="Load these weights into it: .safetensors, .pt or .pth.",
        rich_help_panel=_WHAT,
    ),
]
MeanOption = Annotated[
    str | None,
    typer.Option(
        "--mean",
        metavar="M,...",
        help="Subtract this mean before the net, one number or one per channel, if the model has none of its own.",
        rich_help_panel=_WHAT,
    ),
]
StdOption = Annotated[
    str | None,
    typer.Option(
        "--std", metavar="S,...", help="Divide by this standard deviation, as with --mean.", rich_help_panel=_WHAT
    ),
]
TrustOption = Annotated[
    bool,
    typer.Option(
        "--trust",
        help="Allow weights files and hub models to run their own code.",
        rich_help_panel=_WHAT,
    ),
]
TwinOption = Annotated[
    str | None,
    typer.Option(
        "--twin",
        metavar="SPEC",
        help="Take gradients from this net, nearly the same as --model, which has none: its verdicts alone count.",
        rich_help_panel=_WHAT,
    ),
]
PluginOption = Annotated[
    list[str] | None,
    typer.Option(
        "--plugin",
        metavar="FILE.py",
        help="Run this file, or the installed plugin of this name: its attacks, checks, suites, defenses and nets can "
        "then be named like any other. May be repeated.",
        rich_help_panel=_WHAT,
    ),
]
DefenseOption = Annotated[
    str | None,
    typer.Option(
        "--defense",
        metavar="STAGES",
        help="Put these stages before the model: jpeg:quality=75|bits:4, median:3, tv, nlm, quilting, "
        "resize-pad, defense-gan:steps=200,restarts=10, ...",
        rich_help_panel=_WHAT,
    ),
]
DataOption = Annotated[
    str,
    typer.Option(
        "--data",
        "-d",
        metavar="SPEC",
        help="Use these images: mnist5k, mnist, fashion_mnist, cifar10, folder:PATH, npz:FILE, ... (see [bold]sparring "
        "data[/bold]). Options follow a question mark, as in folder:PATH?size=224&gray=1: size, resize, crop, gray, "
        "classes, labels. By default, pictures are read in the size and colours that the model takes.",
        rich_help_panel=_WHAT,
    ),
    Always(),
]
SplitOption = Annotated[
    str,
    typer.Option("--split", metavar="NAME", help="Take this part of the data.", rich_help_panel=_WHAT),
]
CountOption = Annotated[
    int | None,
    typer.Option("--n", "-n", min=1, metavar="N", help="Take only the first N images.", rich_help_panel=_WHAT),
]
NormOption = Annotated[
    str,
    typer.Option(
        "--norm",
        metavar="NORM",
        help="Measure perturbations in Linf, L2, L1 or L0.",
        rich_help_panel=_HOW,
    ),
]
EpsOption = Annotated[
    str,
    typer.Option(
        "--eps",
        metavar="EPS",
        help="Allow perturbations up to this size, in pixels of the model's box: 0.3 or 8/255.",
        rich_help_panel=_HOW,
    ),
]
OptionalEpsOption = Annotated[
    str | None,
    typer.Option(
        "--eps",
        metavar="EPS",
        help="Allow perturbations up to this size: 0.3 or 8/255. Without it, attacks that search the "
        "smallest perturbation have no limit.",
        rich_help_panel=_HOW,
    ),
]
SeedOption = Annotated[
    int,
    typer.Option(
        "--seed",
        metavar="S",
        help="Choose the random numbers: the same seed gives the same result.",
        rich_help_panel=_RUN,
    ),
]
BatchSizeOption = Annotated[
    int,
    typer.Option(
        "--batch-size",
        min=1,
        metavar="B",
        help="Use this batch size; it does not change the result.",
        rich_help_panel=_RUN,
    ),
]
DeviceOption = Annotated[
    str | None,
    typer.Option("--device", metavar="DEVICE", help="Compute there: cpu, cuda, cuda:1, mps.", rich_help_panel=_RUN),
]
ThreadsOption = Annotated[
    int | None,
    typer.Option(
        "--threads",
        min=1,
        metavar="N",
        help="Compute with so many threads. Without it: one or all, whichever is faster on this model.",
        rich_help_panel=_RUN,
    ),
]
OutOption = Annotated[
    Path | None,
    typer.Option("--out", "-o", metavar="DIR", help="Write everything into this folder.", rich_help_panel=_OUT),
]
JsonOption = Annotated[
    Path | None,
    typer.Option("--json", metavar="FILE", help="Write the figures as JSON.", rich_help_panel=_OUT),
]
MarkdownOption = Annotated[
    Path | None,
    typer.Option("--markdown", metavar="FILE", help="Write a summary for a pull request.", rich_help_panel=_OUT),
]
JunitOption = Annotated[
    Path | None,
    typer.Option(
        "--junit",
        metavar="FILE",
        help="Write JUnit XML: a test case for each requirement and each attack.",
        rich_help_panel=_OUT,
    ),
]
SarifOption = Annotated[
    Path | None,
    typer.Option(
        "--sarif",
        metavar="FILE",
        help="Write SARIF 2.1.0: verdict, doubts and requirements, for code hosts.",
        rich_help_panel=_OUT,
    ),
]
HubOption = Annotated[
    Path | None,
    typer.Option(
        "--hf",
        metavar="DIR",
        help="Write .eval_results/sparring.yaml and model-index.yaml for the Hugging Face Hub into this folder.",
        rich_help_panel=_OUT,
    ),
]
RequireOption = Annotated[
    list[str] | None,
    typer.Option(
        "--require",
        metavar="LIMIT",
        help='Require a robustness beyond chance: "robust@0.3 >= 85%", "clean >= 97%". It is met if a 95 % '
        "interval, valid at any time, lies above the limit; else the exit code is 1. May be repeated.",
        rich_help_panel="Judgement",
    ),
]
WorkersOption = Annotated[
    int | None,
    typer.Option(
        "--workers",
        min=1,
        metavar="N",
        help="Share the work among N processes, with one thread each.",
        rich_help_panel="Long runs",
    ),
]
QuietOption = Annotated[
    bool,
    typer.Option(
        "--quiet", "-q", help="Print no table and no progress: only files and the exit code.", rich_help_panel=_OUT
    ),
]
ForceOption = Annotated[
    bool,
    typer.Option("--force", help="Write into the folder even if it holds other files.", rich_help_panel=_OUT),
]


@dataclass(frozen=True, kw_only=True)
class ThreatOptions:
    """What an attacker may do to an image."""

    norm: NormOption = "Linf"
    eps: EpsOption = ""

    def check(self) -> None:
        """Refuse to go on without a radius.

        Raises:
            InputError: it is missing.
        """
        from sparring.errors import InputError

        if not self.eps:
            raise InputError("say how large a perturbation may be: --eps 0.3 (digits, Linf) or --eps 8/255")


# --- groups of options ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Leaf:
    """One option in a group.

    Attributes:
        name: of the option, with underscores. field: of the attribute in its group. hint: what typer reads.
        default: where the option is not given. always: the printed command names it all the same.
    """

    name: str
    field: str
    hint: Any
    default: Any
    always: bool = False

    def value(self, given: Any) -> Any:
        """What the group holds: a path where text was written down, a tuple of several."""
        if isinstance(given, list | tuple) or self.default == ():
            return tuple(given or ())
        base = get_args(self.hint)[0]
        paths = base is Path or Path in get_args(base)
        return Path(given) if paths and isinstance(given, str) else given

    def fits(self, kept: Any) -> bool:
        """A plain value from a file is of the type that the option has."""
        import json

        from pydantic import TypeAdapter, ValidationError

        base = get_args(self.hint)[0]
        try:
            TypeAdapter(base).validate_json(json.dumps(kept), strict=True)
        except (ValidationError, ValueError):
            return False
        return True


def takes_options(function: Callable[..., None]) -> Callable[..., None]:
    """Let a command take groups: each parameter that is a dataclass becomes options, one for each of its fields."""
    hints = get_type_hints(function, include_extras=True)
    own = inspect.signature(function).parameters
    groups = {name: hints[name] for name in own if is_dataclass(hints[name])}
    leaves = {name: list(leaves_of(kind)) for name, kind in groups.items()}

    @wraps(function)
    def command(**given: Any) -> None:
        run_plugins(given.get("plugin"))  # first: other options may name what they add
        made = {name: built(kind, given) for name, kind in groups.items()}
        worker = given.get("worker") is not None  # whose queries are in the account of the process that started it
        with threads_kept(), nullcontext() if worker else billed(bool(given.get("quiet"))):
            return function(**made, **{name: given[name] for name in own if name not in groups})

    parameters = []
    for name, one in own.items():
        if name in groups:
            parameters += [_parameter(leaf.name, leaf.hint, _none(leaf.default)) for leaf in leaves[name]]
        else:
            parameters.append(_parameter(name, hints[name], one.default))
    command.__dict__["__signature__"] = inspect.Signature(parameters)
    command.__annotations__ = {one.name: one.annotation for one in parameters}
    return command


def run_plugins(names: Sequence[str] | None) -> None:
    """Run the code of these plugins.

    Raises:
        InputError: one is not there, or fails.
    """
    if names:
        from sparring.plugins import load_plugins

        load_plugins(names)


@contextmanager
def threads_kept() -> Iterator[None]:
    """Afterwards torch uses as many threads as before; it is not loaded for this."""
    torch = sys.modules.get("torch")
    before = None if torch is None else torch.get_num_threads()
    try:
        yield
    finally:
        if torch is not None:
            torch.set_num_threads(before)


def leaves_of(kind: type[Any]) -> Iterator[Leaf]:
    """The options of a group, those of the groups in it included, in order."""
    hints: dict[str, Any] | None = None
    for one in fields(kind):
        setting = one.metadata.get("setting")
        if setting is not None:  # a field of `AuditSettings`, which says for itself what the command shows
            if setting.text is not None:
                yield _leaf_of_setting(one.name, one.default, setting)
            continue
        hints = hints or get_type_hints(kind, include_extras=True)
        hint = hints[one.name]
        if is_dataclass(hint):
            yield from leaves_of(cast("type[Any]", hint))
        elif get_origin(hint) is Annotated:
            default = inspect.Parameter.empty if one.default is MISSING else one.default
            marks = [mark for mark in get_args(hint) if isinstance(mark, Always)]
            yield Leaf(one.name, one.name, hint, default, bool(marks))


def built(kind: type[G], given: Mapping[str, Any]) -> G:
    """The group with these values, by the names of the options; what is missing has its default."""
    values = {leaf.field: leaf.value(given[leaf.name]) for leaf in _own_leaves(kind) if leaf.name in given}
    inner = {name: built(group, given) for name, group in _groups_in(kind).items()}
    return kind(**values, **inner)


def flat(group: Any) -> dict[str, Any]:
    """The options of a group as plain values, by name: as they are kept in options.json.

    >>> flat(ThreatOptions(eps="8/255"))
    {'norm': 'Linf', 'eps': '8/255'}
    """
    found = {}
    for leaf in _own_leaves(type(group)):
        value = getattr(group, leaf.field)
        value = [str(item) for item in value] if isinstance(value, list | tuple) else value
        found[leaf.name] = str(value) if isinstance(value, Path) else value
    for name in _groups_in(type(group)):
        found |= flat(getattr(group, name))
    return {leaf.name: found[leaf.name] for leaf in leaves_of(type(group))}


def words_of(options: Mapping[str, Any]) -> list[str]:
    """Options as words of a command line.

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


def printed(group: Any) -> str:
    """The options of a group as a person would type them: without those that have their default.

    >>> printed(ThreatOptions(norm="L2", eps="0.5"))
    '--norm L2 --eps 0.5'
    """
    words, known = [], flat(group)
    for leaf in leaves_of(type(group)):
        value = known[leaf.name]
        usual = [] if leaf.default == () else leaf.default
        if value is None or value is False or (value == usual and not leaf.always):
            continue
        for item in value if isinstance(value, list) else [value]:
            words += [f"--{leaf.name.replace('_', '-')}"] + ([] if item is True else [str(item)])
    return shlex.join(words)


def _leaf_of_setting(field: str, default: Any, setting: Any) -> Leaf:
    option = typer.Option(
        *setting.flags,
        metavar=setting.metavar,
        help=setting.help,
        rich_help_panel=setting.panel,
        min=setting.least,
        max=setting.most,
    )
    name = setting.flags[0].removeprefix("--").replace("-", "_") if setting.flags else field
    kind = setting.text | None if default is None or default == () else setting.text
    return Leaf(name, field, Annotated[kind, option], default)


def _own_leaves(kind: type[Any]) -> list[Leaf]:
    """The options of a group, without those of the groups in it."""
    own = {one.name for one in fields(kind)} - set(_groups_in(kind))
    inner = {leaf.name for group in _groups_in(kind).values() for leaf in leaves_of(group)}
    return [leaf for leaf in leaves_of(kind) if leaf.field in own and leaf.name not in inner]


def _groups_in(kind: type[Any]) -> dict[str, type[Any]]:
    """The fields of a group that are groups themselves."""
    if any("setting" in one.metadata for one in fields(kind)):
        return {}
    hints = get_type_hints(kind)
    return {one.name: hints[one.name] for one in fields(kind) if is_dataclass(hints[one.name])}


def _parameter(name: str, hint: Any, default: Any) -> inspect.Parameter:
    """A parameter as typer wants it: without its own marks in the annotation."""
    base, *marks = get_args(hint) if get_origin(hint) is Annotated else (hint,)
    kept = [mark for mark in marks if not isinstance(mark, Always)]
    plain = Annotated[(base, *kept)] if kept else base
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=plain)


def _none(default: Any) -> Any:
    """typer's word for "not given": None where several may be."""
    return None if default == () else default
