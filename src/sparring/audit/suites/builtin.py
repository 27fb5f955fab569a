"""Suites: which attacks an audit runs, in which order. Data, not code: a stage is a line.

Cheap attacks come first, as only survivors go on. Every suite climbs more than one loss (cross-entropy alone is
blind to a saturated softmax) and searches without gradients as well.

`quick` and `standard` spend their long attacks where they can pay. After the short attacks each image has a headway,
the share of its clean margin that they have taken (`audit.headway`). A stage with `min_progress` is for the images
whose headway is at least that: of 17 images that only long attacks broke on `mnist-cnn-pgd`, 15 had passed 0.89, the
others 0.72 and 0.81 (docs/audit_speed.md). Where random search got further than gradients did, by 0.1 of the margin,
the gradients mislead: there the long random search runs anyway. The price: an image that no short attack brings near is
given up, though a long one might have broken it. Two things watch over that: the sanity subset gets most stages in
full, and the receipt re-runs random images without any shortcut. `full` gives up nobody.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

from sparring.attack import REGISTRY
from sparring.attacks import FITTED
from sparring.attacks import attack as build
from sparring.audit.suites.random_noise import RandomNoise
from sparring.audit.suites.replay import Replay
from sparring.audit.suites.stage import Family, Stage, Suite
from sparring.blocks.learned.attack import LearnedAttack
from sparring.blocks.learned.weights import holds_attack


def _long(title: str, spec: str, family: Family, min_progress: float) -> Stage:
    """A long attack for the images that are worth it, not for the sanity subset."""
    return Stage(title, spec, family, full_on_subset=False, min_progress=min_progress)


NOISE = Stage("Random noise", "noise:draws=30", "noise", full_on_subset=False, subset_only=True)
"what it breaks says something only where gradients broke nothing"


def nearest_point(steps: int) -> tuple[Stage, ...]:
    """Searches for the nearest adversarial point, by norm: nets that withstand climbs at a fixed radius fall to
    them, whatever their margin progress. Under Linf it is one image in a hundred, which a long search finds
    (docs/audit_speed.md)."""
    return (
        Stage("FMN", f"fmn:steps={steps}", "iterative", norm="L1"),
        Stage("FMN, small steps", f"fmn:steps={steps},alpha=0.5", "iterative", full_on_subset=False, norm="L1"),
        Stage("DDN", f"ddn:steps={steps}", "iterative", norm="L2"),
        Stage("FAB (3 targets)", "fab", "iterative", full_on_subset=False, norm="L2"),
        Stage("Sigma-zero", f"sigma-zero:steps={steps}", "iterative", norm="L0"),
        Stage("Brendel-Bethge", "brendel-bethge", "iterative", full_on_subset=False, norm="L1"),
        Stage("Brendel-Bethge", f"brendel-bethge:steps={steps}", "iterative", full_on_subset=False, norm="L0"),
    )


SHORT = (
    Stage("FGSM", "fgsm", "single-step", saturating_loss=True),
    Stage("PGD-20", "pgd:steps=20", "iterative", saturating_loss=True),
    Stage("PGD-40 (margin)", "pgd:loss=margin", "iterative"),
    NOISE,
    Stage("APGD-CE", "apgd-ce:steps=50", "iterative", saturating_loss=True),
    Stage("APGD-DLR", "apgd-dlr:steps=50", "iterative"),
    *nearest_point(300),
)
"""What `quick` and `standard` begin with: about 330 passes for an image that withstands it, under L1 1,730, under L2
1,530, under L0 1,200."""

SUITES: dict[str, Suite] = {
    suite.name: suite
    for suite in (
        Suite(
            "quick",
            "A first run, about a minute for 200 digits on two cores: APGD with 50 steps, 3 targets, Square with "
            "1,000 queries; targets only where half of the margin is gone.",
            (
                *SHORT,
                _long("APGD-T", "apgd-t:steps=50,targets=3", "iterative", 0.5),
                Stage("Square", "square:queries=1000", "query"),
                Stage("Sparse-RS", "sparse-rs:queries=3000", "query"),  # L0, where Square does not run
            ),
            receipt=True,
            transfer=True,
        ),
        Suite(
            "standard",
            "At least as strong as AutoAttack's standard ensemble where we measured it, for a sixth of its passes or "
            "less under Linf: short attacks for all, long ones (APGD-T with 9 targets, APGD-Square, Square with "
            "5,000 queries) for images that the short ones bring near.",
            (
                *SHORT,
                replace(_long("DDN, large steps", "ddn:steps=300,gamma=0.1", "iterative", 0.6), norm="L2"),
                Stage("Square, short", "square:queries=100", "query"),
                _long("APGD-T, short", "apgd-t:steps=10,targets=9", "iterative", 0.4),
                _long("APGD-Square (CE)", "apgd-square:queries=1000,give_up=true", "iterative", 0.65),
                _long("APGD-Square (DLR)", "apgd-square:loss=dlr,give_up=true", "iterative", 0.7),
                _long("APGD-Square, again", "apgd-square:queries=2500,restarts=3,give_up=true", "iterative", 0.75),
                _long("APGD-T", "apgd-t:steps=100,targets=9", "iterative", 0.9),
                _long("Square", "square:queries=5000,give_up=true", "query", 0.85),
                Stage("Sparse-RS", "sparse-rs:queries=5000", "query"),
                replace(_long("FMN", "fmn:steps=200", "iterative", 0.9), norm="Linf"),
                replace(_long("FAB", "fab:targets=9", "iterative", 0.75), norm="L2"),
                *(replace(_long("FAB", "fab", "iterative", 0.95), norm=norm) for norm in ("Linf", "L1")),
            ),
            receipt=True,
            transfer=True,
            longer=True,
        ),
        Suite(
            "full",
            "Brute force on every unbroken image: APGD with 100 steps and five restarts on three losses, 9 targets, "
            "FAB, APGD-Square, Square with 5,000 queries.",
            (
                Stage("FGSM", "fgsm", "single-step", saturating_loss=True),
                Stage("PGD-40", "pgd", "iterative", saturating_loss=True),
                Stage("PGD-40 (margin)", "pgd:loss=margin", "iterative"),
                Stage("Random noise", "noise:draws=100", "noise"),
                Stage("APGD-CE", "apgd-ce:restarts=5", "iterative", saturating_loss=True),
                Stage("APGD-DLR", "apgd-dlr:restarts=5", "iterative"),
                Stage("APGD-T", "apgd-t:restarts=5", "iterative", full_on_subset=False),
                *nearest_point(1000),
                Stage("FMN", "fmn:steps=1000", "iterative", full_on_subset=False, norm="Linf"),
                Stage("Square", "square:queries=5000", "query"),
                Stage("Sparse-RS", "sparse-rs:queries=10000", "query"),
                Stage("FAB", "fab:targets=9", "iterative", full_on_subset=False),
                Stage("APGD-Square", "apgd-square:queries=2500,restarts=4", "iterative", full_on_subset=False),
            ),
            transfer=True,
            longer=True,
        ),
        Suite(
            "rand",
            "For models that answer at random: gradients averaged over 10 or 20 passes (EOT), APGD on two losses with "
            "100 steps. Success is decided by fresh passes, as in every suite.",
            (
                Stage("FGSM", "fgsm", "single-step", saturating_loss=True),
                Stage("PGD-20 (EOT 10)", "pgd:steps=20,view=eot10", "iterative", saturating_loss=True),
                Stage("PGD-40 (margin, EOT 10)", "pgd:loss=margin,view=eot10", "iterative"),
                NOISE,
                Stage("APGD-CE (EOT 20)", "apgd-ce:view=eot20", "iterative", saturating_loss=True),
                Stage("APGD-DLR (EOT 20)", "apgd-dlr:view=eot20", "iterative"),
                Stage("Square", "square:queries=1000", "query"),
            ),
            transfer=True,
        ),
    )
}


def black_box() -> Suite:
    """Attacks that see no gradients: complementary ones, cheap ones first. Those that cannot run here are left out."""

    def query(title: str, spec: str, min_progress: float | None = None) -> Stage:
        return Stage(title, spec, "query", full_on_subset=False, min_progress=min_progress)

    return Suite(
        "black-box",
        "For models that give scores or classes alone: random search (Square, SignHunter, Sparse-RS), estimated "
        "gradients (NES), and searches along the decision boundary (RayS, GeoDA, CGBA, HopSkipJump, Pointwise).",
        (
            Stage("Random noise", "noise:draws=100", "noise"),
            Stage("Square, 1,000 queries", "square:queries=1000", "query"),
            query("SignHunter", "signhunter:queries=1000"),
            query("Sparse-RS", "sparse-rs:queries=3000"),
            query("RayS", "rays:queries=1000"),
            query("GeoDA", "geoda:queries=1000"),
            query("CGBA", "cgba:queries=1000"),
            query("Pointwise", "pointwise:queries=1000"),
            query("Square", "square:queries=5000"),
            query("NES", "nes:steps=50"),
            query("HopSkipJump", "hopskipjump:queries=3000"),
            query("Square, again", "square:queries=5000,restarts=2,p=0.3", 0.8),
        ),
        curves=(
            Stage("Square", "square:queries=300", "query"),
            Stage("RayS", "rays:queries=300", "query"),
            Stage("GeoDA", "geoda:queries=300", "query"),
        ),
    )


def stage_of(spec: str) -> Stage:
    """A stage of an attack that somebody names."""
    is_folder = REGISTRY.get_any(spec) is None and holds_attack(spec)
    attack = build(f"{FITTED}:{quote(spec)}" if is_folder else spec)
    fields = attack.settings()
    if isinstance(attack, LearnedAttack):
        attack.card  # noqa: B018  (refuses one that was not fitted)
        name = attack.spec if attack.weights is None or attack.weights.folder is None else attack.weights.folder.name
        return Stage(f"{attack.info.title}, {name}", attack.spec, "transfer", excluded=True)
    if isinstance(attack, RandomNoise):
        return Stage(attack.info.title, spec, "noise")
    if attack.info.sees != "gradient":
        return Stage(attack.spec, spec, "query")
    family: Family = "iterative" if "steps" in fields else "single-step"
    return Stage(attack.spec, spec, family, saturating_loss=fields.get("loss") == "ce")


def replay_stage(folder: Path) -> Stage:
    """The stage that tries what the run in `folder` has found.

    Raises:
        InputError: there is no such run.
    """
    attack = Replay.of(folder)
    name = attack.corpus.store.folder.resolve().name
    return Stage(f"Replay of {name}", attack.spec, "query", full_on_subset=False, excluded=True)
