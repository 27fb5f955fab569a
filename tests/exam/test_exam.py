"""Every registered attack takes the exam: under its main norm in `make test`, under all of its norms in `make exam`.

A new attack gets it for free. `CHEAP` holds the few that need other settings than their defaults: the nets have 20
pixels, so a tenth of the usual steps is plenty, and there are some hundred runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pytest

import sparring as sp
from sparring.norms import Norm
from sparring.testing import CHECKS, sit

OPTIMA = ("known-optimum", "known-optimum-targeted")


class Cheap(NamedTuple):
    """How an attack sits the exam: its spec, how far above the known optimum it may end, by norm, and another,
    `thorough` spec for checks in which so few steps cannot come far enough."""

    spec: str
    factor: dict[str, float] = {}  # noqa: RUF012
    thorough: str | None = None
    checks: tuple[str, ...] = OPTIMA


CHEAP = {
    **{  # fewer probes for few pixels; of all frequencies, for random weights are no picture
        name: Cheap(f"{name}:queries=150,samples=20{more}", {}, f"{name}:queries=1000,samples=20{more}")
        for name in ("hopskipjump", "tangent", "cgba", "geoda", "signopt")
        for more in (",frequencies=1" if name in ("cgba", "geoda") else "",)
    },
    **{
        name: Cheap(f"{name}:queries=100", {}, f"{name}:queries=600")
        for name in ("boundary", "rays", "adba", "signflip", "surfree")
    },
    # Where no single pixel can be reset, two for one may still be a better bargain.
    "min-norm-decision": Cheap(
        "min-norm-decision:queries=150", {"L0": 2.0, "Linf": 1.5}, "min-norm-decision:queries=2000"
    ),
    "signhunter-min": Cheap("signhunter-min:queries=100", {}, "signhunter-min:queries=500"),
    "square-min": Cheap("square-min:queries=100", {"L1": 2.0}, "square-min:queries=500"),
    "min-norm-score": Cheap("min-norm-score:queries=100", {"L0": 2.0, "L1": 2.0}, "min-norm-score:queries=800"),
    "bandits": Cheap("bandits:steps=60", {"L2": 2.0}, "bandits:steps=200"),
    "cgba-h": Cheap("cgba-h:queries=150,samples=20,frequencies=1", {}, "cgba-h:queries=1000,samples=20,frequencies=1"),
    "pointwise": Cheap("pointwise:queries=150", {"L0": 2.0}, "pointwise:queries=1000,restarts=30"),
    "alma": Cheap("alma:steps=25", {"L1": 1.2}, "alma"),
    "apgd-ce": Cheap("apgd-ce:steps=6", {}, "apgd-ce:steps=12"),
    "apgd-dlr": Cheap("apgd-dlr:steps=6", {}, "apgd-dlr:steps=12"),
    "apgd-l1": Cheap("apgd-l1:steps=15,restarts=2", {"L1": 1.1}),
    "apgd-square": Cheap("apgd-square:steps=8,queries=20", {"L2": 1.4}),
    "apgd-t": Cheap("apgd-t:steps=6,targets=2", {}, "apgd-t:steps=12"),
    # Four probes leave the radius that coarse.
    "apgd-t-min": Cheap("apgd-t-min:steps=5,targets=1,search=4,tolerance=0.1", {"L1": 1.2, "L2": 1.1, "Linf": 1.1}),
    "bim": Cheap("bim:steps=8"),
    "brendel-bethge": Cheap("brendel-bethge:steps=20", {}, "brendel-bethge:steps=40,radius=2", (*OPTIMA, "other-box")),
    "cw-l0": Cheap("cw-l0:steps=8,failures=4"),
    "cw-l2": Cheap("cw-l2:steps=15,search=3", {}, "cw-l2:steps=100,search=6"),
    "cw-linf": Cheap("cw-linf:steps=12,doublings=3", {"Linf": 1.1}),
    "ddn": Cheap("ddn:steps=15", {}, "ddn:steps=30"),
    # It shrinks by a fixed `beta`, which is much for distances this small.
    "ead": Cheap("ead:steps=15,search=3", {"L1": 1.2}, "ead:search=6"),
    # On the real views an affine net says nothing about the point itself.
    "eot": Cheap("eot:steps=8,copies=2,transform=noise:0.5", {"L1": 1.2}),
    "fab": Cheap("fab:steps=6,restarts=2,targets=2"),
    "fmn": Cheap("fmn:steps=20", {"L1": 1.1, "Linf": 1.1}, "fmn:steps=50"),
    "ground-truth": Cheap(
        "ground-truth:passes=80,seconds=5", {"L1": 1.1}, "ground-truth:passes=800", (*OPTIMA, "same-seed")
    ),
    # The direction is the gradient itself, not its sign.
    "hot-cold": Cheap("hot-cold:steps=60", {"L2": 1.1, "Linf": 2.0}),
    "houdini": Cheap("houdini:steps=8"),
    "ilcm": Cheap("ilcm:steps=8"),
    # Pixels come in pairs, though one may do; the paper's way, up alone, can not move a pixel that is exactly 1.
    "jsma": Cheap("jsma:both=true,gamma=1,targets=2", {"L0": 2.0}),
    "lavan": Cheap("lavan:steps=15,size=0.6,place=random"),
    "lbfgs": Cheap("lbfgs:steps=12,search=4"),
    # It comes to its first random number, in a restart of APGD_t, after some hundred passes.
    "min-norm": Cheap("min-norm:passes=100", {"L1": 1.1}, "min-norm:passes=800", (*OPTIMA, "same-seed")),
    # Steps of eps / steps that keep their momentum orbit the best point of a round ball.
    "mifgsm": Cheap("mifgsm:steps=8", {"L1": 1.2, "L2": 1.4}),
    **{  # they share its momentum; smooth=3 blurs least, for random weights are no picture
        spec.partition(":")[0]: Cheap(spec, {"L1": 1.2, "L2": 1.4})
        for spec in (
            "nifgsm:steps=8",
            "sinifgsm:steps=8,view=si2",
            "difgsm:steps=8",
            "tifgsm:steps=8,smooth=3",
            "vmifgsm:steps=8,neighbours=1",
            "vnifgsm:steps=8,neighbours=1",
            "logit:steps=16,smooth=3",
        )
    },
    # Random weights are no picture: their parts may hardly change. Where only the seed counts, they may.
    "sia": Cheap("sia:steps=12,view=sia4@2@0.02", {"L1": 1.2, "L2": 1.4}, "sia:view=sia4", ("same-seed",)),
    "bsr": Cheap("bsr:steps=8,view=bsr2@1@2", {"L1": 1.2, "L2": 1.4}, "bsr:view=bsr4", ("same-seed",)),
    "multitargeted": Cheap("multitargeted:steps=8,targets=2", {"L1": 1.2}),
    # From a random start, some of the 8 sparse steps go into undoing it.
    "pgd": Cheap("pgd:steps=8", {"L1": 1.2}),
    "bpda": Cheap("bpda:steps=8", {"L1": 1.2}),
    # Alone, without copies around it, it is C&W L2: only so is the smallest perturbation what it is after.
    "optmargin": Cheap("optmargin:steps=15,search=3,copies=2,radius=0.05", {}, "optmargin:copies=1,steps=100,search=6"),
    "pdgd": Cheap("pdgd:steps=25", {}, "pdgd"),
    # Its L0 is the 2/3 quasi-norm, which counts two half changes for more than one.
    "pdpgd": Cheap("pdpgd:steps=14", {"L0": 2.0, "L1": 1.1}, "pdpgd"),
    # One pixel in two loses 2 * alpha of its eps to the random step.
    "r-fgsm": Cheap("r-fgsm:alpha=0.1", {"Linf": 1.2}),
    "rp2": Cheap("rp2:steps=8,find=2,copies=1,area=1,rate=0.2,transform=noise:0.3"),
    "sigma-zero": Cheap("sigma-zero:steps=15", {}, "sigma-zero:steps=40"),
    "nes": Cheap("nes:steps=15,samples=20", {}, "nes:steps=30"),
    "spsa": Cheap("spsa:steps=20,samples=24", {}, "spsa:steps=30,samples=50"),
    "simba": Cheap("simba:queries=150"),
    "one-pixel": Cheap("one-pixel:population=20,generations=15", {}, "one-pixel:population=20,generations=40"),
    "signhunter": Cheap("signhunter:queries=100"),
    # Differences in float64 are good for its distance; 20 pixels are all coordinates there are.
    "zoo": Cheap("zoo:steps=12,search=3,coordinates=6,lr=0.1", {}, "zoo:steps=40,search=4,coordinates=10,lr=0.1"),
    "genattack": Cheap("genattack:generations=30", {"L2": 2.0}, "genattack:generations=200"),
    # From a set of a tenth, two pixels, the first would be any.
    "lsa": Cheap("lsa:share=1,rounds=12,together=2", {"L0": 2.0}),
    "sparse-rs": Cheap("sparse-rs:queries=150", {}, "sparse-rs:queries=300"),
    "square": Cheap("square:queries=60", {"Linf": 2.0, "L2": 2.5, "L1": 3.0}),
    "poba-ga": Cheap("poba-ga:generations=6,population=12", {}, "poba-ga:population=12", ("eight-bits",)),
    "autozoom": Cheap("autozoom:steps=30,search=2,decoder=pixels", {}, "autozoom:steps=300,decoder=pixels,samples=10"),
    "houdini-nes": Cheap("houdini-nes:steps=15,samples=20", {}, "houdini-nes:steps=30"),
    # They come from far outside of eps.
    "nes-partial": Cheap(
        "nes-partial:steps=10,samples=10", {}, "nes-partial:steps=60", (*OPTIMA, "shapes", "other-box")
    ),
    "nes-labels": Cheap(
        "nes-labels:steps=6,samples=6,around=4", {"Linf": 2.0}, "nes-labels:steps=100", (*OPTIMA, "shapes")
    ),
    "stadv": Cheap("stadv:steps=5,search=2,step=1"),
    # They are fitted for each net, on few images.
    "uap": Cheap("uap:epochs=1,steps=5,images=8"),
    "uap-pgd": Cheap("uap-pgd:epochs=3,lr=0.3"),
    **{name: Cheap(f"{name}:epochs=3,lr=0.02") for name in ("uan", "upset", "angri", "atn", "advgan")},
    "patch": Cheap("patch:epochs=3,size=0.6,lr=0.3"),
}


def main_norm(asked: Sequence[Norm]) -> Norm:
    """The norm that most people would use an attack under, of those that a check asks about."""
    return next((norm for norm in (sp.Linf, sp.L2, sp.L1, sp.L0) if norm in asked), asked[0])


QUICKLY_FITTED = ("uap-pgd", "advgan")
"of the attacks that learn, those that `make test` examines; `make exam` fits all of them"

SLOW = (
    "alma",
    "autozoom",
    "boundary",
    "cw-l2",
    "cw-linf",
    "ead",
    "min-norm",
    "min-norm-decision",
    "min-norm-score",
    "nes-labels",
    "nes-partial",
    "optmargin",
    "pdgd",
    "pdpgd",
    "pointwise",
    "signflip",
    "square-min",
    "surfree",
)
"attacks whose optima `make exam` alone asks for: a second or more each"

FOR_LATER = (
    "batch-of-one",
    "below-optimum",
    "budget",
    "eight-bits",
    "fresh-evaluation",
    "global-rng",
    "keep",
    "known-optimum-targeted",
    "neighbours-already-wrong",
    "odd-batches",
    "other-box",
    "same-seed",
    "shapes",
    "shift-invariance",
    "two-classes",
)
"questions that `make exam` asks, and `make test` does not: they go with bookkeeping, which the bout's own tests cover"


def later(info: sp.AttackInfo, check: str, under: Norm, asked: Sequence[Norm]) -> bool:
    """It is for `make exam` alone."""
    if under != main_norm(asked) or (info.learns is not None and info.name not in QUICKLY_FITTED):
        return True
    return check in FOR_LATER or (check == "known-optimum" and info.name in SLOW)


SITTINGS = [
    pytest.param(
        info.name,
        check.name,
        under,
        id=f"{info.name}-{under}-{check.name}",
        marks=pytest.mark.exam if later(info, check.name, under, check.norms(info)) else (),
    )
    for info in sp.attacks()
    for check in CHECKS.values()
    for under in check.norms(info)
]


@pytest.mark.parametrize(("name", "check", "under"), SITTINGS)
def test_exam(name: str, check: str, under: Norm) -> None:
    cheap = CHEAP.get(name, Cheap(name))
    spec = cheap.thorough if cheap.thorough and check in cheap.checks else cheap.spec
    sit(sp.attack(spec), check, under, cheap.factor)


def test_the_table_of_cheap_settings_names_registered_attacks_only() -> None:
    for name, cheap in CHEAP.items():
        assert sp.attack(cheap.spec).info.name == name
