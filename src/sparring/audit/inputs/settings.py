"""The settings of an audit: all that its result depends on beside model, data and threat. Each is said here, once.

`sp.audit` takes the fields of `AuditSettings` as keywords, `sparring audit` has an option for each, and the folder of
a run keeps them. A new setting is a field here, and a line where it is used. Nothing heavy is imported at the top:
the command line reads the fields for its help.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from dataclasses import Field, dataclass, field, fields
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Concatenate, ParamSpec, TypeVar, cast

if TYPE_CHECKING:
    from sparring.audit.inputs.certificates import Radii
    from sparring.audit.inputs.claims import Claim
    from sparring.audit.inputs.requirements import Requirement
    from sparring.audit.suites.stage import Suite

P = ParamSpec("P")
M = TypeVar("M")
D = TypeVar("D")
T = TypeVar("T")
S = TypeVar("S", bound="AuditSettings")
R = TypeVar("R")

KEY = "setting"
"under which a field's metadata holds its `Setting`"


@dataclass(frozen=True)
class Setting:
    """What is to be known of a setting but its name, type and default.

    Attributes:
        help: what it does, for the documentation of `sp.audit` and for the help of the command.
        text: its type on the command line; None = the command has no such option.
        flags: of the option, where it is not --the-name. metavar, panel: how the help shows it.
        least, most: the smallest and largest number allowed. python: what only callers of `sp.audit` need to know.
    """

    help: str
    text: Any = None
    flags: tuple[str, ...] = ()
    metavar: str | None = None
    panel: str | None = None
    least: float | None = None
    most: float | None = None
    python: str = ""


def setting(default: Any, help: str, text: Any = None, *flags: str, **more: Any) -> Any:
    """A field of `AuditSettings`. Arguments: see `Setting`."""
    return field(default=default, metadata={KEY: Setting(help, text, flags, **more)})


def setting_of(one: Field[Any]) -> Setting:
    """What is known of a field."""
    return cast("Setting", one.metadata[KEY])


@dataclass(frozen=True, kw_only=True)
class AuditSettings:
    """What an audit's result depends on, beside model, data and threat. Frozen and validated.

    Raises:
        InputError: a value does not fit; one line says which, and what would.

    >>> AuditSettings(suite="quick", seed=3).batch_size
    256
    >>> AuditSettings(batch_size=0)
    Traceback (most recent call last):
    sparring.errors.InputError: batch_size is 0; expected a whole number, at least 1
    """

    suite: str | Suite | Sequence[str] = setting(
        "standard",
        "Choose the attacks: quick (about a minute for 200 digits), standard (at least AutoAttack's strength), full "
        "(brute force), rand (for models with random outputs), black-box (no gradients), or a YAML file of your own "
        "(docs/audit_speed.md).",
        str,
        metavar="NAME",
        panel="Judgement",
        python=" Or a `Suite`, or a list of attack specs.",
    )
    claims: Iterable[str | float | Claim] = setting(
        (),
        "Check a published claim about the model: fgsm:0.3=0.88, 0.3=88%, 0.88, clean=0.99. May be repeated.",
        list[str],
        "--claim",
        metavar="CLAIM",
        panel="Judgement",
    )
    require: Iterable[str | Requirement] = setting(
        (),
        'Require a robustness beyond chance: "robust@0.3 >= 85%", "clean >= 97%". It is met if a 95 % '
        "interval, valid at any time, lies above the limit; else the exit code is 1. May be repeated.",
        list[str],
        "--require",
        metavar="LIMIT",
        panel="Judgement",
    )
    clean_floor: float | None = setting(
        None,
        "Refuse a model below this clean accuracy. Default: near chance; 0 = never.",
        float,
        metavar="SHARE",
        panel="Judgement",
        least=0,
        most=1,
    )
    replay: str | Path | None = setting(
        None,
        "First try the adversarial examples in the folder of another audit.",
        Path,
        metavar="RUN",
        panel="Judgement",
    )
    certified: Radii | None = setting(
        None,
        "Give certified radii, one per image (.npy, or one number per line). They give a lower bound, and the attacks "
        "test them.",
        Path,
        metavar="FILE",
        panel="Judgement",
    )
    certify: str | None = setting(
        None,
        "Prove what the attacks have left: ibp, crown, alpha-crown or complete, with options as in complete:seconds=30 "
        "(docs/certify.md). The robust accuracy then has a lower bound too.",
        str,
        metavar="METHOD",
        panel="Judgement",
    )
    order_from: str | Path | None = setting(
        None,
        "Run the suite's attacks in the order that would have been cheapest in another audit, for instance of an "
        "earlier checkpoint.",
        Path,
        metavar="RUN",
        panel="Judgement",
    )
    precision: str = setting(
        "float32",
        "Search in this type: float32 (the model's own), bfloat16, or auto (bfloat16 if the processor supports it). "
        "Success is always judged in the model's own type.",
        str,
        metavar="TYPE",
        panel="Judgement",
    )
    receipt: str = setting(
        "auto",
        "Attack random images again without any shortcut, to test the shortcuts: auto (if the suite says so, for at "
        "most a third of what the attacks cost, the controls included) or off.",
        str,
        metavar="WHEN",
        panel="Judgement",
    )
    shard_size: int = setting(
        250, "Put this many images into one shard.", int, metavar="IMAGES", panel="Long runs",
        least=1,
    )  # fmt: skip
    seed: int = setting(0, "Choose the random numbers: the same seed gives the same result.", int, metavar="S",
        panel="Run",
    )  # fmt: skip
    batch_size: int = setting(
        256, "Use this batch size; it does not change the result.", int, metavar="B",
        panel="Run", least=1,
    )  # fmt: skip
    n: int | None = setting(None, "Audit only the first n images; None = all.", least=1)

    def __post_init__(self) -> None:
        """Validate; what is an iterator is read once and kept."""
        from sparring.audit.inputs.certificates import prover
        from sparring.audit.inputs.claims import parse_claim
        from sparring.audit.inputs.requirements import parse_requirement
        from sparring.audit.suites.find import suite
        from sparring.errors import InputError

        for name in ("claims", "require"):
            object.__setattr__(self, name, tuple(_listed(getattr(self, name))))
        for one in fields(self):
            object.__setattr__(self, one.name, _checked_number(one, getattr(self, one.name)))
        if self.receipt not in ("auto", "off"):
            raise InputError(f"receipt is {self.receipt!r}; write auto or off")
        suite(self.suite)
        if self.certify is not None:
            prover(self.certify)
        for claim in self.claims:
            parse_claim(claim)
        for requirement in self.require:
            parse_requirement(requirement)


def keywords_of(
    settings: Callable[P, S],
) -> Callable[[Callable[[M, D, T, S], R]], Callable[Concatenate[M, D, T, P], R]]:
    """Let f(model, data, threat, settings) take the fields of a settings class as keywords.

    Type checkers see the keywords by the class's constructor; `help`, notebooks and `inspect.signature` by the
    signature, and the documentation of each field is in the docstring.
    """
    kind = cast("type[AuditSettings]", settings)

    def decorate(function: Callable[[M, D, T, S], R]) -> Callable[Concatenate[M, D, T, P], R]:
        @wraps(function)
        def call(model: M, data: D, threat: T, *none: P.args, **keywords: P.kwargs) -> R:
            return function(model, data, threat, settings(*none, **keywords))

        own = inspect.signature(function)
        first = list(own.parameters.values())[:3]
        rest = [
            inspect.Parameter(one.name, inspect.Parameter.KEYWORD_ONLY, default=one.default, annotation=one.type)
            for one in fields(kind)
        ]
        call.__dict__["__signature__"] = own.replace(parameters=[*first, *rest])
        lines = [f"        {one.name}: {setting_of(one).help}{setting_of(one).python}" for one in fields(kind)]
        call.__doc__ = (inspect.getdoc(function) or "").replace("SETTINGS", "\n".join(lines).strip())
        del call.__dict__["__wrapped__"]  # its signature is not the one to show
        return cast("Callable[Concatenate[M, D, T, P], R]", call)

    return decorate


def _listed(values: Any) -> Iterable[Any]:
    """The values; a single text, which is a list of letters to Python, as one value."""
    return (values,) if isinstance(values, str | float | int) else values


def _checked_number(one: Field[Any], value: Any) -> Any:
    """The value of a setting; a number of numpy's as Python's. Refuse one of the wrong type or outside its limits."""
    import numpy as np
    from pydantic import Field as Limits
    from pydantic import TypeAdapter, ValidationError

    from sparring.errors import InputError

    known = setting_of(one)
    named = one.type if isinstance(one.type, str) else getattr(one.type, "__name__", str(one.type))
    kind = named.removesuffix(" | None")
    if kind not in ("int", "float", "bool") or (value is None and "None" in named):
        return value
    value = value.item() if isinstance(value, np.generic) else value
    types: dict[str, Any] = {"int": int, "float": float, "bool": bool}
    try:
        kinds = TypeAdapter(_limited(types[kind], Limits(ge=known.least, le=known.most)))
        return kinds.validate_python(value, strict=True)
    except ValidationError:
        raise InputError(f"{one.name} is {value!r}; expected {_expected(kind, known)}") from None


def _expected(kind: str, known: Setting) -> str:
    """What a setting takes, in words."""
    words = {"int": "a whole number", "float": "a number", "bool": "true or false"}[kind]
    if known.least is not None and known.most is not None:
        return f"{words} from {known.least:g} to {known.most:g}"
    return words if known.least is None else f"{words}, at least {known.least:g}"


def _limited(kind: Any, limits: Any) -> Any:
    return Annotated[kind, limits]
