"""The verdict: from numbers and doubts to a conclusion, as a careful expert would put it. A pure function.

The first sentence is for everybody. The sentences after it give the evidence, each with its counts. A verdict never
promises: at best "no attack within this budget ...". Rules (gap = claimed - what survives everything):

    the attacks missed what was planted, or the control stands      inconclusive, whatever else
    the model says one class for nearly every image                 inconclusive, unless a claim is 5 points too high
    gap within max(1 point, half the interval), nothing severe      claim-holds
    the same, but a severe doubt                                    inconclusive
    the same, but the interval is wider than 10 points either way   inconclusive: too few images to tell
    the same, but another claim is answered otherwise               inconclusive; each claim gets its own sentence
    gap above 5 points and a severe doubt, for 10 % of the images   gradient-masking, with its cause
    any other gap                                                   overestimated: the attack was too weak, or faulty
    no claim, a severe doubt, for 10 % of the images                gradient-masking
    no claim, a severe doubt for fewer                              inconclusive
    no claim, nothing severe                                        no-claim
    a proof that an attack refutes                                  inconclusive, whatever else
    a proof of what is claimed, or of all that is left              as if nothing severe was found
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from sparring.audit.cascade.adaptive import Tried
from sparring.audit.checks.bracket import Bracket
from sparring.audit.checks.registry import causes
from sparring.audit.checks.run import known
from sparring.audit.inputs.claims import Checked
from sparring.audit.statistics.proportion import Figure, percent
from sparring.model import Access
from sparring.result import Doubt
from sparring.threat import eps_text

Status = Literal["claim-holds", "overestimated", "gradient-masking", "inconclusive", "no-claim"]
VOID = ("canary-missed", "control-stands")
"doubts after which no figure means anything"
MASKING_GAP = 0.05
MASKING_SHARE = 0.1
SAYS_ENOUGH = frozenset({*VOID, "constant-predictor", "random-outputs", "weak-suite"})
"severe doubts that do not mean that attacks were led astray"
HELPS = 0.75
"of what the attacks that the cause stops leave: an attack that leaves more is no remedy"
FAR = "The true figure may be far lower"


@dataclass(frozen=True)
class Alone:
    """What one attack leaves by itself. `by`: the cross-entropy loss, another loss, or no gradients at all."""

    title: str
    figure: Figure
    by: Literal["cross-entropy", "logits", "scores"]


@dataclass(frozen=True)
class Facts:
    """What a verdict rests on.

    Attributes:
        threat: as text, like "Linf 0.3". clean, robust: accuracy on all images, before and after all attacks.
        claims: claims beside what was found. doubts: found. alone: what attacks leave on the sanity subset.
        settled: severe signs that do not put the figure in doubt, see `settled`; they explain too high a claim, and
            accuse nobody else. deceived: images that only attacks on the cross-entropy miss, if there are many. masks:
            gradients are hidden so that attacks on the model as it is miss most of what others break.
        tried: remedies. notes: what was measured about a doubt, in a few words, by its code.
        access: the most that the attacker saw of the model. queries: that the attacks took. spent: that the whole audit
            took, both over all images. bracket: what is proved.
        surrogate: what stood in for the model in searches. draws: looks that decide success, see `Evidence`.
    """

    threat: str
    clean: Figure
    robust: Figure
    claims: Sequence[Checked] = ()
    doubts: Sequence[Doubt] = ()
    alone: Sequence[Alone] = ()
    tried: Sequence[Tried] = ()
    notes: Mapping[str, str] = field(default_factory=dict)
    settled: frozenset[str] = frozenset()
    deceived: Figure | None = None
    masks: bool = False
    access: Access = "gradient"
    queries: int = 0
    spent: int = 0
    bracket: Bracket | None = None
    surrogate: str | None = None
    draws: int = 0

    def found(self, code: str) -> Doubt | None:
        """The doubt of this code, if there is one."""
        return next((doubt for doubt in self.doubts if doubt.code == code), None)

    def note(self, doubt: Doubt) -> str | None:
        """What was measured about a doubt, for the verdict."""
        shared = known(doubt.code).measured
        return self.notes.get(doubt.code) or (shared.format(percent(doubt.share)) if shared else None)


@dataclass(frozen=True)
class Verdict:
    """The conclusion, for programs (`status`, `cause`: the code of a doubt) and people.

    Attributes:
        headline: one short sentence. evidence: more sentences, each with its counts.
        facts: signs that the verdict takes for facts about the model, and not for doubts.
    """

    status: Status
    headline: str
    evidence: tuple[str, ...] = ()
    cause: str | None = None
    facts: frozenset[str] = frozenset()

    @property
    def text(self) -> str:
        """All of it."""
        return " ".join((self.headline, *self.evidence))


def judge(facts: Facts) -> Verdict:
    """The verdict on the most overstated claim, or on the model where nothing was claimed."""
    claims = [one for one in facts.claims if not one.claim.clean]
    # one that is refuted before one that too few images leave open
    worst = max(claims, key=lambda one: (one.answer == "too-high", one.gap - one.tolerance), default=None)
    severe = [doubt for code in causes() if (doubt := facts.found(code)) is not None]
    void = next((doubt for doubt in severe if doubt.code in VOID), None)
    cause = next((doubt for doubt in severe if doubt.share >= MASKING_SHARE), severe[0] if severe else None)
    if facts.bracket is not None and facts.bracket.refuted:
        verdict = _refuted(facts)
    elif void is not None:
        headline = f"This audit is inconclusive: {_because(void)}."
        verdict = Verdict(
            "inconclusive", headline, (_sentence(void.message), "No figure of it means anything."), void.code
        )
    elif worst is None:
        verdict = _of_model(facts, None if _settled(facts, severe) and not facts.masks else cause)
    elif worst.gap <= worst.tolerance and _settled(facts, severe):
        verdict = _of_claim(facts, worst, None)
    else:
        verdict = _of_claim(facts, worst, cause)
    calm = void is None and cause is not None and verdict.cause is None and _settled(facts, severe)
    known = facts.settled if calm else frozenset()
    others = tuple(_of_others(facts, worst)) if worst is not None and void is None else ()
    evidence = (
        *verdict.evidence,
        *_deceived(facts, calm),
        *others,
        *_searched(facts),
        *_attacker(facts),
        *_ill_defined(facts),
        *(() if void is not None else _contradicted(facts)),
    )
    return Verdict(verdict.status, verdict.headline, evidence, verdict.cause, known)


def _settled(facts: Facts, severe: Sequence[Doubt]) -> bool:
    return all(doubt.code in facts.settled for doubt in severe)


def _deceived(facts: Facts, calm: bool) -> Iterator[str]:
    """What attacks on the cross-entropy would have reported."""
    if calm and facts.deceived is not None and facts.found("loss-saturation") is not None:
        yield (
            "The softmax is saturated, which masks gradients: attacks that climb the cross-entropy alone miss "
            f"{facts.deceived.hits} of {facts.deceived.of} images that others break, so figures from such attacks are "
            "too high."
        )


def _searched(facts: Facts) -> Iterator[str]:
    """That attacks searched on something cheaper than the model."""
    if facts.surrogate is not None:
        by = f"by the majority of {facts.draws} answers" if facts.draws else "by its answer"
        yield f"Attacks searched on a surrogate, {facts.surrogate}; the model itself decided each success, {by}."


def _attacker(facts: Facts) -> Iterator[str]:
    """What a black-box attacker saw, and what it cost."""
    if facts.access != "gradient":
        saw = "scores, and no gradients" if facts.access == "score" else "the predicted class alone"
        each = facts.queries / max(1, facts.robust.of)
        yield (
            f"The attacker saw {saw}. The attacks took {facts.queries:,} queries ({each:,.0f} an image), "
            f"the whole audit {facts.spent:,}."
        )


def _ill_defined(facts: Facts) -> Iterator[str]:
    """What makes any claim ill defined."""
    if facts.found("train-mode") is not None:
        note = facts.notes.get("train-mode")
        yield "The model came in train mode" + (f": {note}." if note else ".")
    for one in facts.claims:
        if one.claim.clean:
            yield _answered(one, facts)


def _of_others(facts: Facts, worst: Checked) -> Iterator[str]:
    """An answer to each other claim about attacked images."""
    for one in facts.claims:
        if one is not worst and not one.claim.clean:
            yield _answered(one, facts)


def _contradicted(facts: Facts) -> Iterator[str]:
    """Which claims cannot all be right."""
    for one, other in _contradictions(facts.claims):
        yield f"The claims of {percent(one.claim.accuracy)} and {percent(other.claim.accuracy)} contradict each other."


def _contradictions(claims: Sequence[Checked]) -> list[tuple[Checked, Checked]]:
    return [(a, b) for k, a in enumerate(claims) for b in claims[k + 1 :] if a.contradicts(b)]


def _answered(one: Checked, facts: Facts) -> str:
    """One claim by itself, in a sentence."""
    claimed, found = percent(one.claim.accuracy), percent(one.truth.value)
    if one.claim.clean:
        if one.answer == "differs":
            return f"Clean accuracy was claimed as {claimed}; it is {found}."
        tail = "agrees with" if one.answer == "holds" else "is too few images to tell from"
        return f"The clean accuracy of {found} {tail} the claimed {claimed}."
    name = f"The claim of {claimed}" + (f" under {one.claim.title}" if one.claim.attack else "")
    name += f" at {facts.threat.split()[0]} {one.eps:.4g}"
    if one.answer == "too-high":
        return f"{name} is too high: {_at_most(one.truth)} survive."
    if one.answer == "too-few":
        return f"{name}: too few images to tell; {_share(one.truth)}."
    low = f" It is low: {found} survive." if -one.gap > one.tolerance else ""
    return f"{name} holds within this budget.{low}"


def _share(truth: Figure) -> str:
    return f"{truth.hits} of {truth.of} survive ({truth.interval})"


def _refuted(facts: Facts) -> Verdict:
    """A proof that is wrong: nothing that rests on it counts."""
    broken = facts.found("certificate-broken")
    assert broken is not None
    headline = "This run has failed: an attack breaks an image that was proved."
    evidence = (_sentence(broken.message), "The lower bound means nothing; what is broken is broken.")
    return Verdict("inconclusive", headline, evidence, broken.code)


# --- a claim --------------------------------------------------------------------------------------------------


def _of_claim(facts: Facts, one: Checked, cause: Doubt | None) -> Verdict:
    claimed = percent(one.claim.accuracy)
    left = _left(one.truth, f"{facts.threat.split()[0]} {eps_text(one.eps)}")
    if one.gap <= one.tolerance:
        return _proved(facts, one, left) or _tenable(facts, one, cause, left)
    headline = f"Robust accuracy is {_at_most(one.truth)}, not {claimed}: "
    faulty = facts.found("weaker-than-one-step")
    if faulty is not None and one.claim.attack is not None:
        headline += "the claimed attack does less than a single step."
        return Verdict("overestimated", headline, (left, _sentence(faulty.message)), faulty.code)
    if cause is not None and cause.code == "constant-predictor":
        return Verdict("overestimated", f"{headline}{_because(cause)}.", (left,), cause.code)
    if one.gap > MASKING_GAP and cause is not None and cause.share >= MASKING_SHARE:
        failed = f"{one.claim.title} failed" if one.claim.attack else "attacks that report more fail"
        headline += f"{failed} because {_because(cause)}."
        evidence = (
            "This is gradient masking.", left, *_far(facts, one.truth), *_measured(facts, cause),
            *_remedy(facts, cause),
        )  # fmt: skip
        return Verdict("gradient-masking", headline, evidence, cause.code)
    if one.answer == "too-few":
        return _too_few(claimed, left)
    return Verdict("overestimated", f"{headline}{_weakness(facts, one)}.", (left, *_reproduced(one)))


def _proved(facts: Facts, one: Checked, left: str) -> Verdict | None:
    """A claim that a proof reaches: then no sign of masking can take it back."""
    bracket = facts.bracket
    if bracket is None or one.eps > bracket.eps or one.claim.accuracy > bracket.proved.value:
        return None
    headline = f"The claim of {percent(one.claim.accuracy)} holds: it is proved."
    return Verdict("claim-holds", headline, (bracket.sentence, left))


def _tenable(facts: Facts, one: Checked, cause: Doubt | None, left: str) -> Verdict:
    """A claim that nothing contradicts, or that a sign forbids to confirm."""
    claimed = percent(one.claim.accuracy)
    if cause is None and one.answer == "too-few":
        return _too_few(claimed, left)
    claims = [each for each in facts.claims if not each.claim.clean]
    if cause is None and _contradictions(claims):
        return Verdict("inconclusive", "The claims contradict each other.", (_answered(one, facts), left))
    other = next((each for each in facts.claims if each.answer != "holds"), None)
    if cause is None and other is not None:
        headline = f"The claim of {claimed} holds within this budget, but not all claims do."
        return Verdict("inconclusive", headline, (left,))
    if cause is None:
        within = " The claim is higher, but within the interval." if one.gap > 0 else ""
        return Verdict(
            "claim-holds",
            f"The claim of {claimed} holds within this budget.",
            (
                f"No attack within this budget leaves less than {percent(one.truth.value)} of {one.truth.of} images at "
                f"{facts.threat.split()[0]} {eps_text(one.eps)} ({one.truth.interval}).{within}",
            ),
        )
    return Verdict(
        "inconclusive",
        f"This audit cannot confirm the claim of {claimed}: {_because(cause)}.",
        (left, *_far(facts, one.truth), _sign(cause), *_measured(facts, cause)),
        cause.code,
    )


def _too_few(claimed: str, left: str) -> Verdict:
    """The interval is wide, and the claim lies inside."""
    headline = f"Too few images to tell whether the claim of {claimed} holds."
    return Verdict("inconclusive", headline, (left, "Audit more images."))


def _far(facts: Facts, truth: Figure) -> Iterator[str]:
    """A figure that rests on searches which may have been led astray is never given without a word."""
    blind = any(one.by == "scores" and one.figure.hits < one.figure.of for one in facts.alone)
    doubtful = [one for one in facts.doubts if one.code in causes() and one.code not in facts.settled | SAYS_ENOUGH]
    if truth.hits and doubtful:
        yield FAR + (", as queries alone still break images." if blind else ".")


def _weakness(facts: Facts, one: Checked) -> str:
    """Why a claim is too high where nothing is masked."""
    again = one.reproduced
    if one.claim.accuracy > facts.clean.high:
        return f"clean accuracy alone is {percent(facts.clean.value)}"
    if again is not None and one.claim.accuracy - again.value > max(0.02, again.half_width):
        return f"{one.claim.title} itself leaves only {percent(again.value)} here"
    return "the attack behind the claim was too weak"


def _reproduced(one: Checked) -> Iterator[str]:
    """Which attack made the difference."""
    if one.by is not None:
        what = "of the images that it leaves" if one.reproduced is not None else "of the images"
        yield f"{one.by} breaks most {what}."


# --- a model without a claim ----------------------------------------------------------------------------------


def _of_model(facts: Facts, cause: Doubt | None) -> Verdict:
    robust = facts.robust
    bracket = facts.bracket
    figure = f"Robust accuracy is {_at_most(robust) if bracket is None or robust.hits == 0 else bracket}"
    clean = f"Clean accuracy is {percent(facts.clean.value)} ({facts.clean.hits} of {facts.clean.of})."
    if robust.hits == 0:
        left = f"0 of {robust.of} images survive {facts.threat} ({robust.interval})."
    else:
        left = (
            f"No attack within this budget breaks more than {robust.of - robust.hits} of {robust.of} images at "
            f"{facts.threat} ({robust.interval})."
        )
    if bracket is not None:
        left = f"{bracket.sentence} {left}"
    if cause is None or (bracket is not None and bracket.closed):
        return Verdict("no-claim", f"{figure}.", (left, clean))
    if cause.share < MASKING_SHARE or cause.code == "constant-predictor":
        headline = f"{figure}, but this audit is inconclusive: {_because(cause)}."
        return Verdict("inconclusive", headline, (left, clean, _sign(cause), *_measured(facts, cause)), cause.code)
    sure = robust.hits == 0 or cause.code in facts.settled
    deceived = "Attacks that report more are deceived." if sure else f"{FAR}."
    if bracket is not None and bracket.proved.hits:
        deceived = f"The true figure may be as low as {percent(bracket.proved.value)}, not lower."
    evidence = (f"This is gradient masking. {deceived}", left, clean, *_measured(facts, cause), *_remedy(facts, cause))
    return Verdict("gradient-masking", f"{figure}: {_because(cause)}.", evidence, cause.code)


# --- words ----------------------------------------------------------------------------------------------------


def _at_most(figure: Figure) -> str:
    return percent(figure.value) if figure.hits == 0 else f"at most {percent(figure.value)}"


def _left(truth: Figure, threat: str) -> str:
    share = f"{truth.hits} of {truth.of} images survive {threat} ({truth.interval})."
    return share if truth.hits == 0 else f"At most {share}"


def _because(doubt: Doubt) -> str:
    return known(doubt.code).cause


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."


def _sign(cause: Doubt) -> str:
    if cause.code == "constant-predictor":
        return _sentence(cause.message)
    return f"There are signs of gradient masking: {cause.message}."


def _measured(facts: Facts, doubt: Doubt) -> Iterator[str]:
    """What was measured about the cause."""
    note = facts.note(doubt)
    if note:
        yield f"Measured: {note}."


def _remedy(facts: Facts, cause: Doubt) -> Iterator[str]:
    """What helps, tried: the adaptive attack's figure beside the oblivious ones', and what is left by attacks that the
    cause does not stop, where that is less."""
    helped = [one for one in facts.tried if one.code == cause.code]
    if helped:
        most = min(helped, key=lambda one: one.adaptive.hits)
        yield (
            f"With {most.what}, {most.adaptive.hits} of {most.adaptive.of} images survive; without it, "
            f"{most.oblivious.hits} of {most.oblivious.of}."
        )
    blind = cause.code == "loss-saturation"
    stopped = ("cross-entropy",) if blind else ("cross-entropy", "logits")
    bar = min((one.figure.value for one in facts.alone if one.by in stopped), default=1.0)
    helpful = []
    for kind in ("logits", "scores"):
        able = [one for one in facts.alone if one.by == kind and kind not in stopped and one.figure.value < HELPS * bar]
        if able:
            best = min(able, key=lambda one: one.figure.value)
            # Images that others had broken got few queries (`SPARED`), so this is no more than a bound.
            bound = " at most" if kind == "scores" and best.figure.hits else ""
            helpful.append(f"{best.title} alone leaves{bound} {best.figure.hits} of {best.figure.of} images")
    if helpful:
        what = "a margin or DLR loss, or no gradients" if blind else "an attack without gradients"
        yield f"The remedy is {what}: {', '.join(helpful)}."
