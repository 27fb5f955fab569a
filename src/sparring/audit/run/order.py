"""The order of a suite, learnt from what breaks what in an earlier audit, of an earlier checkpoint for instance.

On the sanity subset every attack that is `full_on_subset` was run in full, also on images that were broken already. So
it is known which images each attack breaks by itself and how many passes it takes for each, and what any order would
have cost there:

    cost of an order = sum over attacks, over images that still stand before the attack, of its passes for the image

Next comes the attack that newly breaks most images a pass, among the images that still stand. This greedy order of a
pipelined set cover costs at most 4 times what the best order costs, where an attack has one price for all images
(Munagala, Babu, Motwani, Widom 2005, "The pipelined set cover problem"). An attack here stops when it has broken an
image, so its prices differ by image: then it is a rule of thumb.

Stages with `min_progress` need what the short attacks have found, and attacks that were not measured say nothing: both
follow behind, in their old order. So does random noise where it is a control, as it has `min_progress` there.

The order is fixed before the run begins: no result depends on batches, shards or workers. It decides which attack gets
the credit, and with it the stored point. It may change which images get the long attacks (`audit.headway`), and so what
these find; never what counts as broken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from sparring.audit.report import document as doc
from sparring.audit.report.document import Document
from sparring.audit.suites.stage import Stage, Suite
from sparring.errors import InputError

KEY = "on_the_subset"
"where a report keeps what was measured, see `stages.on_the_subset`"


@dataclass(frozen=True)
class Measured:
    """What an attack did to the s images of the sanity subset by itself.

    Attributes:
        passes: [s] forward plus backward passes, by image. broke: which of them, from 0.
    """

    passes: tuple[int, ...]
    broke: frozenset[int]

    def price(self, images: set[int]) -> int:
        """Passes for some of the images."""
        return sum(self.passes[i] for i in images)


def reordered(suite: Suite, measured: Mapping[str, Measured]) -> Suite:
    """The suite in the order that would have paid best; `measured`: by spec, on the same images.

    Among equals the suite's own order holds. What breaks nothing new comes last of the measured, the cheapest first.
    """
    left = [stage for stage in suite.stages if stage.spec in measured and _movable(stage)]
    rest = [stage for stage in suite.stages if stage not in left]
    everything = {i for one in measured.values() for i in range(len(one.passes))}
    standing, order = set(everything), []

    def pays(stage: Stage) -> Fraction:
        seen = measured[stage.spec]
        return Fraction(len(seen.broke & standing), max(seen.price(standing), 1))

    while left and pays(best := max(left, key=pays)):  # max gives the first of equals
        order.append(best)
        left.remove(best)
        standing -= measured[best.spec].broke
    left.sort(key=lambda stage: (measured[stage.spec].price(standing), measured[stage.spec].price(everything)))
    return replace(suite, stages=(*order, *left, *rest))


def ordered_by(suite: Suite, run: str | Path) -> tuple[Suite, dict[str, Any]]:
    """The suite in the order learnt from the report of a run, and for the settings from which.

    Raises:
        InputError: there is no such report, or none of the suite's attacks was measured there.
    """
    document = doc.read(run)
    measured = _read(document, run)
    known = [stage.spec for stage in suite.stages if stage.spec in measured and _movable(stage)]
    if not known:
        raise InputError(
            f"{run} has measured none of the attacks of the suite {suite.name!r} in full, so there is no order to "
            "learn; give a run of the same suite"
        )
    about = {"run": str(run), "model": document["model"]["name"], "threat": doc.threat(document), "measured": known}
    return reordered(suite, measured), about


def _movable(stage: Stage) -> bool:
    return stage.full_on_subset and stage.min_progress is None and not stage.wrapper


def _read(document: Document, run: str | Path) -> dict[str, Measured]:
    if KEY not in document:
        raise InputError(f"the report of {run} does not say what breaks what image by image; audit once more")
    try:
        rows = [(str(one["spec"]), Measured(tuple(one["passes"]), frozenset(one["broke"]))) for one in document[KEY]]
        sizes = {len(one.passes) for _, one in rows}
        whole = all(type(count) is int and count >= 0 for _, one in rows for count in (*one.passes, *one.broke))
        if len(sizes) > 1 or not whole or any(i >= len(one.passes) for _, one in rows for i in one.broke):
            raise ValueError
    except (KeyError, TypeError, ValueError):
        raise InputError(f"the report of {run} is damaged: {KEY} is no table of attacks") from None
    return dict(rows)
