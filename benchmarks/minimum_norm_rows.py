"""The minimum-norm attacks that are compared: ours as a spec, the peers by name, at the same steps.

`reference` holds figures measured beforehand, on the first 50 MNIST test images that each reference net gets right:
mean and median distance of the successes and the success rate. They come from adv-lib 0.2.8 (FAB: AutoAttack), torch
2.13.0 on a CPU, float32; they are data to compare with, not targets of anybody's paper.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Figures = tuple[float, float, float]


@dataclass(frozen=True)
class Row:
    """One comparison: `ours` is a spec of sparring, `peers` maps a peer to its settings beside norm and steps."""

    name: str
    norm: str
    steps: int
    ours: str
    peers: dict[str, dict[str, Any]]
    reference: dict[str, Figures] = field(default_factory=dict)


def _figures(plain: tuple[float, ...], trades: tuple[float, ...], ddn: tuple[float, ...]) -> dict[str, Figures]:
    """(mean, median) or (mean, median, success) for each reference net."""
    nets = {"plain": plain, "trades": trades, "ddn": ddn}
    return {name: (f[0], f[1], f[2] if len(f) > 2 else 1.0) for name, f in nets.items()}


EN = {"rule": "EN", "beta": 1e-3}

ROWS = (
    Row("DeepFool", "L2", 100, "deepfool:steps=100", {"adv-lib DeepFool": {}, "Foolbox DeepFool": {}},
        _figures((2.19, 2.11), (5.34, 4.75, 0.96), (4.16, 4.33))),
    Row("SuperDeepFool", "L2", 100, "superdeepfool", {"adv-lib SuperDeepFool": {}},
        _figures((1.52, 1.52), (2.39, 2.40), (2.98, 3.01))),
    Row("DDN", "L2", 100, "ddn:steps=100", {"adv-lib DDN": {}, "Foolbox DDN": {}},
        _figures((1.37, 1.30), (2.17, 1.97), (2.77, 2.79))),
    Row("DDN", "L2", 300, "ddn:steps=300", {"adv-lib DDN": {}},
        _figures((1.35, 1.30), (1.83, 1.86), (2.63, 2.61))),
    Row("FMN", "L2", 100, "fmn:steps=100", {"adv-lib FMN": {}, "Foolbox FMN": {}},
        _figures((1.44, 1.42, 0.94), (2.00, 1.89), (2.64, 2.67))),
    Row("ALMA", "L2", 100, "alma:steps=100", {"adv-lib ALMA": {}},
        _figures((1.41, 1.40), (1.78, 1.69), (2.60, 2.57))),
    Row("ALMA", "L2", 300, "alma:steps=300", {"adv-lib ALMA": {}},
        _figures((1.37, 1.31), (1.63, 1.58), (2.56, 2.55))),
    Row("PDGD", "L2", 300, "pdgd:steps=300", {"adv-lib PDGD": {}},
        _figures((1.40, 1.38), (2.11, 1.87), (2.64, 2.63))),
    Row("FAB", "L2", 50, "fab:steps=50", {"adv-lib FAB": {}, "AutoAttack FAB": {}},
        _figures((1.46, 1.46), (1.70, 1.67), (2.75, 2.69))),
    Row("C&W L2, 5 x 200", "L2", 200, "cw-l2:steps=200,search=5,lr=0.1,c=0.1",
        {"adv-lib C&W L2": {}, "Foolbox C&W L2": {}},
        _figures((1.40, 1.38), (4.04, 4.26, 0.82), (2.82, 2.79))),
    Row("DeepFool", "Linf", 100, "deepfool:steps=100", {"adv-lib DeepFool": {}, "Foolbox DeepFool": {}},
        _figures((0.185, 0.187), (0.962, 1.00), (0.492, 0.402))),
    Row("FMN", "Linf", 300, "fmn:steps=300", {"adv-lib FMN": {}, "Foolbox FMN": {}},
        _figures((0.127, 0.121), (0.460, 0.471), (0.228, 0.246))),
    Row("PDPGD", "Linf", 300, "pdpgd:steps=300", {"adv-lib PDPGD": {}},
        _figures((0.131, 0.122), (0.377, 0.379), (0.248, 0.252))),
    Row("FAB", "Linf", 50, "fab:steps=50", {"adv-lib FAB": {}, "AutoAttack FAB": {}},
        _figures((0.132, 0.132), (0.353, 0.356), (0.237, 0.239))),
    Row("FMN", "L1", 300, "fmn:steps=300", {"adv-lib FMN": {}, "Foolbox FMN": {}},
        _figures((6.52, 6.52, 0.98), (8.64, 7.14, 0.88), (16.9, 16.0))),
    Row("PDPGD", "L1", 300, "pdpgd:steps=300", {"adv-lib PDPGD": {}},
        _figures((6.69, 6.80), (5.38, 4.75), (15.6, 13.9))),
    Row("ALMA", "L1", 300, "alma:steps=300", {"adv-lib ALMA": {}},
        _figures((6.39, 6.15), (6.31, 5.49), (14.4, 13.3))),
    Row("FAB", "L1", 50, "fab:steps=50", {"adv-lib FAB": {}, "AutoAttack FAB": {}},
        _figures((7.31, 7.18), (34.7, 25.8, 0.98), (25.4, 19.7))),
    Row("FMN", "L0", 300, "fmn:steps=300", {"adv-lib FMN": {}, "Foolbox FMN": {}},
        _figures((9.4, 10), (29.2, 25, 0.74), (28.7, 28))),
    Row("PDPGD", "L0", 300, "pdpgd:steps=300", {"adv-lib PDPGD": {}},
        _figures((9.7, 9), (95.3, 9), (19.9, 18))),
    Row("sigma-zero", "L0", 300, "sigma-zero:steps=300", {"adv-lib sigma-zero": {}},
        _figures((7.9, 8), (10.4, 9), (19.1, 16))),
    # without a place in the reference table
    Row("trust region", "L2", 100, "trust-region:steps=100", {"adv-lib trust region": {}}),
    Row("trust region", "Linf", 100, "trust-region:steps=100", {"adv-lib trust region": {}}),
    Row("APGD_t, searched", "L2", 25, "apgd-t-min:steps=25", {"adv-lib APGD_t, searched": {}}),
    Row("APGD_t, searched", "Linf", 25, "apgd-t-min:steps=25", {"adv-lib APGD_t, searched": {}}),
    Row("EAD, L1 rule, 9 x 100", "L1", 100, "ead:steps=100,search=9,beta=0.01,rule=l1",
        {"Foolbox EAD": {}}),
    Row("EAD, EN rule, 9 x 100", "L1", 100, "ead:steps=100,search=9,beta=0.001,rule=en",
        {"Foolbox EAD": EN}),
    Row("C&W Linf, 100", "Linf", 100, "cw-linf:steps=100", {"adv-lib C&W Linf": {}}),
    Row("C&W L0, 100", "L0", 100, "cw-l0:steps=100", {"ART C&W L0": {}}),
)  # fmt: skip
