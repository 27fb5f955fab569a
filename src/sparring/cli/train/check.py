"""What `sparring train` measures: robust accuracy after each epoch, and an audit of what came out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

    from sparring.data import ImageData
    from sparring.defenses.training.loss import TrainingLoss
    from sparring.defenses.training.recipes import Recipe
    from sparring.defenses.training.watch import Watch
    from sparring.threat import Threat


def watched(threat: Threat | None, recipe: Recipe, alarm: bool) -> Watch | None:
    """Measure after each epoch where there is a threat; stop only where the recipe hopes for robustness to it."""
    from sparring.attacks.gradient.pgd import PGD
    from sparring.defenses.training.watch import Watch

    if threat is None or threat.norm not in PGD().info.norms:
        return None
    return Watch(threat, stop=alarm and recipe.adversarial and recipe.name != "ensemble")


def prover_of(loss: TrainingLoss) -> str | None:
    """How a net that was trained for certificates is certified; None for other nets."""
    from sparring.defenses.training.certified import IBP

    return "crown" if isinstance(loss, IBP) else None


def audited(
    net: nn.Module,
    test: ImageData,
    count: int,
    threat: Threat,
    suite: str,
    seed: int,
    out: Path,
    certify: str | None = None,
) -> dict[str, Any]:
    """Audit the first `count` test images, leave the report beside the weights, and say what goes into the card.

    `certify`: prove what the attacks leave by this method.
    """
    from sparring.audit.api import audit
    from sparring.cli.audit.progress import watching
    from sparring.cli.console import stderr

    first = test.first(min(count, len(test)))
    with watching(stderr()) as progress:
        report = audit(net, first, threat, suite=suite, seed=seed, progress=progress, clean_floor=0, certify=certify)
    report.to_html(out / "report.html")
    report.to_json(out / "report.json")
    bracket = report.bracket
    proved = None if bracket is None else {"accuracy": bracket.proved.value, **bracket.to_dict()}
    return {
        "accuracy": report.robust_accuracy,
        "interval": [report.robust.low, report.robust.high],
        "images": report.n,
        "correct_before": report.clean.hits,
        **({} if proved is None else {"certified": proved}),
        "threat": threat.to_dict(),
        "seed": seed,
        "suite": report.suite,
        "status": report.status,
        "verdict": report.verdict,
        "doubts": [doubt.code for doubt in report.doubts],
        "passes": report.passes,
        "attacks": [
            {
                "attack": outcome.stage.spec,
                "before": outcome.tried,
                "after": outcome.robust.hits,
                "seconds": round(outcome.result.seconds, 1),
            }
            for outcome in report.attacks
        ],
    }
