"""The exam that every attack takes: those of this package, and anybody's own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sparring.attack import Attack
from sparring.attacks import attack
from sparring.norms import Norm, norm
from sparring.spec import unknown
from sparring.testing import accounting, edges, independence, serialization, side_effects, truth  # noqa: F401  (they fill the list)
from sparring.testing.case import CHECKS, FACTORS, Examinee

WEAKER = (1.1, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0)
"factors that are tried for an attack that is weaker than was granted"
Factor = float | Mapping[str, float] | None


def check_attack(
    examined: Attack | type[Attack] | str,
    *,
    norms: Sequence[Norm | str] | None = None,
    checks: Iterable[str] | None = None,
    factor: Factor = None,
) -> None:
    """Put an attack through the exam.

    Args:
        examined: an attack, a class of attacks (its defaults are used) or a spec. Cheap settings do: the nets are tiny
            (20 pixels), but there are some hundred runs.
        norms: only under these; None = under all that it is registered for.
        checks: only these of `CHECKS`; None = all that apply, judged by its `AttackInfo`.
        factor: at this multiple of the known optimum it must succeed; a number, or a dict by name of the norm.
            None = the class attribute `exam_factor`, else 1.05 for attacks that see gradients and 1.5 for others.

    Raises:
        AssertionError: with one line for each check that failed, by name, and what was found.
        InputError: no such check.

    >>> import sparring as sp
    >>> check_attack(sp.FGSM(), norms=["Linf"], checks=["known-optimum", "inside-threat"])
    """
    it = attack(examined) if isinstance(examined, str) else examined() if isinstance(examined, type) else examined
    wanted = list(CHECKS) if checks is None else list(checks)
    under = it.info.norms if norms is None else [norm(value) for value in norms]
    failures: list[tuple[str, Exception]] = []
    failed: list[tuple[str, Norm]] = []
    for name in wanted:
        if name not in CHECKS:
            raise unknown("check", name, CHECKS)
        question = CHECKS[name]
        asked = [each for each in under if question.applies(it.info)]
        for each in asked if question.every_norm else asked[:1]:
            try:
                sit(it, name, each, factor)
            except Exception as error:  # whatever the attack under test raises is a failure of its own
                failures.append((f"{name} under {each}: {_words(error)}", error))
                failed.append((name, each))
    if failures:
        lines = "\n".join(f"  {line}" for line in (*(line for line, _ in failures), *_advice(it, failed, factor)))
        raise AssertionError(f"{it.spec} fails {len(failures)} of the exam's checks:\n{lines}") from failures[0][1]


def sit(it: Attack, check: str, under: Norm, factor: Factor = None) -> None:
    """Ask one question of the exam: raises AssertionError if the answer is wrong."""
    CHECKS[check].ask(Examinee(it, under, _granted(it, under, factor)))


def _granted(it: Attack, under: Norm, factor: Factor) -> float:
    """The multiple of the known optimum that an attack may need under a norm."""
    granted: Factor = factor if factor is not None else getattr(it, "exam_factor", None)
    if isinstance(granted, Mapping):
        granted = granted.get(str(under))
    return granted or FACTORS[it.info.sees]


def _advice(it: Attack, failed: Sequence[tuple[str, Norm]], factor: Factor) -> list[str]:
    """For an attack that is only weaker than was granted: by how much, and how it may say so."""
    needed: dict[str, float] = {}
    for under in dict.fromkeys(each for _, each in failed):
        names = [name for name, each in failed if each is under]
        larger = [each for each in WEAKER if each > _granted(it, under, factor)]
        enough = next((each for each in larger if all(_passes(it, name, under, each) for name in names)), None)
        if enough is not None:
            needed[str(under)] = enough
    if not needed:
        return []
    declared = ", ".join(f'"{under}": {each:g}' for under, each in needed.items())
    return [
        f"it is too weak rather than wrong under {', '.join(needed)}: if it is meant to be so weak, let it say so: "
        f"exam_factor: ClassVar = {{{declared}}} in its class (times the optimum that it may need), and why in its "
        "docstring"
    ]


def _passes(it: Attack, check: str, under: Norm, factor: float) -> bool:
    try:
        sit(it, check, under, factor)
    except Exception:  # as in the exam
        return False
    return True


def _words(error: Exception) -> str:
    return str(error) if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
