"""The exam that every attack takes: those of this package, and anybody's own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from sparring.attack import Attack
from sparring.attacks import attack
from sparring.norms import Norm, norm
from sparring.spec import unknown
from sparring.testing import accounting, edges, independence, serialization, side_effects, truth  # noqa: F401  (they fill the list)
from sparring.testing.case import CHECKS, FACTORS, Examinee

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
    if failures:
        lines = "\n".join(f"  {line}" for line, _ in failures)
        raise AssertionError(f"{it.spec} fails {len(failures)} of the exam's checks:\n{lines}") from failures[0][1]


def sit(it: Attack, check: str, under: Norm, factor: Factor = None) -> None:
    """Ask one question of the exam: raises AssertionError if the answer is wrong."""
    granted: Factor = factor if factor is not None else getattr(it, "exam_factor", None)
    if isinstance(granted, Mapping):
        granted = granted.get(str(under))
    CHECKS[check].ask(Examinee(it, under, granted or FACTORS[it.info.sees]))


def _words(error: Exception) -> str:
    return str(error) if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
