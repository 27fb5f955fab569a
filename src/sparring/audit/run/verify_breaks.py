"""What a run says of its breaks beyond that they fool: shown once more, rounded to 8 bits, saved, resized."""

from __future__ import annotations

from collections.abc import Iterator

from sparring.audit.cascade.proof import prove
from sparring.audit.cascade.survival import survive
from sparring.audit.inputs.clean import Clean
from sparring.audit.run.shard import ShardResult
from sparring.model import Model

SLACK = 0.01
"of the breaks, and one: they may lie so near the boundary that another processor sees them on its other side"


def break_findings(model: Model, clean: Clean, part: ShardResult, batch_size: int) -> Iterator[str]:
    """What the model says otherwise than the shard. Not for models that answer at random.

    Args:
        clean: the images of the shard, with pixels.
    """
    again = prove(model, clean, part.worst[0], batch_size, part.proof.again.of > 0)
    other = again.prediction != part.proof.prediction
    sure = again.confidence > 0.5 + SLACK  # no other class comes near
    if bool((other & sure).any()) or int(other.sum()) > _slack(len(other)):
        yield f"{int(other.sum())} stored points are taken for another class than the run says"
    pairs = [("fool again", again.confirmed, part.proof.confirmed), ("are undone", again.undone, part.proof.undone)]
    pairs.append(("(clean images) are answered as at first", again.again, part.proof.again))
    here, there = survive(model, clean, part.worst[0], batch_size), part.survival
    if [one.treatment for one in here] != [one.treatment for one in there]:
        yield "the treatments of the breaks are not those of this version"
    else:
        for one, kept in zip(here, there, strict=True):
            pairs += [(f"survive {one.treatment}", one.fooled, kept.fooled)]
            pairs += [(f"are right when clean, after {one.treatment}", one.right, kept.right)]
    for what, now, then in pairs:
        if now.of != then.of or abs(now.hits - then.hits) > _slack(now.of):
            yield f"{now.hits} of {now.of} breaks {what}; the run says {then.hits} of {then.of}"


def _slack(of: int) -> float:
    return max(1.0, SLACK * of)
