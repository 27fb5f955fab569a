"""The peers' minimum-norm attacks in one shape: `PEERS[name](norm, steps, **more)(net, x, y) -> points`.

Each is a peer's own function with its own defaults but for the number of steps; where a default is made for another
data set, the setting is said here. Nothing is imported before it is used: a peer that is missing is skipped.
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from peers import shims

P = {"L0": 0, "L1": 1, "L2": 2, "Linf": float("inf")}
START = {"L1": 10.0, "L2": 1.0, "Linf": 0.1}  # the radius at which a search over eps begins, for MNIST
Attack = Callable[[nn.Module, Tensor, Tensor], Tensor]


def _adv_lib(name: str, **settings: Any) -> Attack:
    shims.install()
    import adv_lib.attacks as adv_lib

    return partial(getattr(adv_lib, name), **settings)


def _foolbox(name: str, **settings: Any) -> Attack:
    import foolbox

    logging.getLogger().setLevel(logging.ERROR)

    def run(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        model = foolbox.PyTorchModel(net, bounds=(0, 1), device="cpu")
        attack = getattr(foolbox.attacks, name)(**settings)
        points: Tensor = attack(model, x, y, epsilons=None)[1]
        return points

    return run


def ddn(norm: str, steps: int) -> Attack:
    return _adv_lib("ddn", steps=steps, levels=None)


def ddn_foolbox(norm: str, steps: int) -> Attack:
    return _foolbox("DDNAttack", steps=steps)


def fmn(norm: str, steps: int) -> Attack:
    return _adv_lib("fmn", norm=P[norm], steps=steps, α_init=10.0 if norm == "Linf" else 1.0)


def fmn_foolbox(norm: str, steps: int) -> Attack:
    name = {"L0": "L0FMNAttack", "L1": "L1FMNAttack", "L2": "L2FMNAttack", "Linf": "LInfFMNAttack"}[norm]
    return _foolbox(name, steps=steps, max_stepsize=10.0 if norm == "Linf" else 1.0)


def alma(norm: str, steps: int, alpha: float | None = None) -> Attack:
    """α as in the paper: 0.5 for 100 steps, 0.9 for more; the first step at distance 1 (L2) or 0.5 (L1)."""
    alpha = (0.5 if steps <= 100 else 0.9) if alpha is None else alpha
    start = {"L1": 0.5, "L2": 1.0}[norm]
    return _adv_lib("alma", num_steps=steps, α=alpha, distance=norm.lower(), init_lr_distance=start)


def pdgd(norm: str, steps: int) -> Attack:
    return _adv_lib("pdgd", num_steps=steps)


def pdpgd(norm: str, steps: int) -> Attack:
    return _adv_lib("pdpgd", norm=P[norm], num_steps=steps, proximal_operator=23 if norm == "L0" else None)


def sigma_zero(norm: str, steps: int) -> Attack:
    return _adv_lib("sigma_zero", num_steps=steps)


def deepfool(norm: str, steps: int) -> Attack:
    return _adv_lib("df", norm=P[norm], steps=steps)


def deepfool_foolbox(norm: str, steps: int) -> Attack:
    return _foolbox("L2DeepFoolAttack" if norm == "L2" else "LinfDeepFoolAttack", steps=steps)


def superdeepfool(norm: str, steps: int) -> Attack:
    return _adv_lib("sdf", steps=steps)


def fab(norm: str, steps: int) -> Attack:
    return _adv_lib("fab", norm=P[norm], n_iter=steps)


def fab_autoattack(norm: str, steps: int) -> Attack:
    from pyautoattack.fab_pt import FABAttack_PT

    def run(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        attack = FABAttack_PT(net, norm=norm, n_restarts=1, n_iter=steps, eps=None, seed=0, device="cpu")
        points: Tensor = attack.attack_single_run(x, y)
        return points

    return run


def apgd_t(norm: str, steps: int, search: int = 10) -> Attack:
    """AttackBench's search over eps around adv_lib's APGD_t: double until it succeeds, then halve the interval."""
    shims.install()
    from adv_lib.attacks.auto_pgd import apgd_targeted
    from attackbench.attacks.adv_lib.wrapper import adv_lib_minimal_wrapper

    attack = partial(apgd_targeted, norm=P[norm], n_iter=steps, use_large_reps=norm == "L1")
    top = 1.0 if norm == "Linf" else None
    return partial(adv_lib_minimal_wrapper, attack=attack, init_eps=START[norm], max_eps=top, search_steps=search)


def apgd_bisected(norm: str, steps: int, search: int = 10) -> Attack:
    """AttackBench's search over eps around AutoAttack's own APGD-CE."""
    shims.install()
    from attackbench.attacks.original.auto_pgd import apgd_attack, apgd_minimal_wrapper

    large = {"use_largereps": norm == "L1"}
    attack = partial(apgd_attack, threat_model=norm, n_iter=steps, n_restarts=1, loss="ce", rho=0.75, **large)
    top = 1.0 if norm == "Linf" else None
    return partial(apgd_minimal_wrapper, attack=attack, init_eps=START[norm], max_eps=top, search_steps=search)


def trust_region(norm: str, steps: int, adaptive: bool = True) -> Attack:
    return _adv_lib("tr", p=P[norm], iter=steps, adaptive=adaptive)


def cw_l2(norm: str, steps: int, search: int = 5, lr: float = 0.1, c: float = 0.1) -> Attack:
    return _adv_lib(
        "carlini_wagner_l2", max_iterations=steps, binary_search_steps=search, learning_rate=lr, initial_const=c
    )


def cw_l2_foolbox(norm: str, steps: int, search: int = 5, lr: float = 0.1, c: float = 0.1) -> Attack:
    return _foolbox("L2CarliniWagnerAttack", steps=steps, binary_search_steps=search, stepsize=lr, initial_const=c)


def cw_linf(norm: str, steps: int) -> Attack:
    return _adv_lib("carlini_wagner_linf", max_iterations=steps)


def cw_l0_art(norm: str, steps: int) -> Attack:
    """ART's defaults but for the steps; with the channel first it runs two rounds, whatever is asked."""
    return _art("CarliniL0Method", max_iter=steps, batch_size=64)


def _art(name: str, **settings: Any) -> Attack:
    from art.attacks import evasion
    from art.estimators.classification import PyTorchClassifier

    def run(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        classifier = PyTorchClassifier(
            net, loss=nn.CrossEntropyLoss(), input_shape=tuple(x.shape[1:]), nb_classes=10, clip_values=(0, 1),
            device_type="cpu",
        )  # fmt: skip
        attack = getattr(evasion, name)(classifier, verbose=False, **settings)
        return torch.from_numpy(attack.generate(x.numpy(), y.numpy()))

    return run


def ead(norm: str, steps: int, search: int = 9, beta: float = 1e-2, rule: str = "L1", abort: bool = False) -> Attack:
    return _foolbox(
        "EADAttack", steps=steps, binary_search_steps=search, regularization=beta, decision_rule=rule, abort_early=abort
    )


def ead_art(norm: str, steps: int, search: int = 9, beta: float = 1e-2, rule: str = "L1") -> Attack:
    return _art("ElasticNet", max_iter=steps, binary_search_steps=search, beta=beta, decision_rule=rule, batch_size=64)


def jsma_torchattacks(norm: str, steps: int) -> Attack:
    """Aimed at the class after the true one, which is how torchattacks' JSMA is made; `steps` pairs of pixels."""

    def run(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        from torchattacks import JSMA

        with contextlib.redirect_stdout(io.StringIO()):
            points: Tensor = JSMA(net, theta=1.0, gamma=2 * steps / x[0].numel())(x, y)
        return points

    return run


PEERS: dict[str, Callable[..., Attack]] = {
    "adv-lib DDN": ddn,
    "Foolbox DDN": ddn_foolbox,
    "adv-lib FMN": fmn,
    "Foolbox FMN": fmn_foolbox,
    "adv-lib ALMA": alma,
    "adv-lib PDGD": pdgd,
    "adv-lib PDPGD": pdpgd,
    "adv-lib sigma-zero": sigma_zero,
    "adv-lib DeepFool": deepfool,
    "Foolbox DeepFool": deepfool_foolbox,
    "adv-lib SuperDeepFool": superdeepfool,
    "adv-lib FAB": fab,
    "AutoAttack FAB": fab_autoattack,
    "adv-lib APGD_t, searched": apgd_t,
    "AutoAttack APGD-CE, searched": apgd_bisected,
    "adv-lib trust region": trust_region,
    "adv-lib C&W L2": cw_l2,
    "Foolbox C&W L2": cw_l2_foolbox,
    "adv-lib C&W Linf": cw_linf,
    "ART C&W L0": cw_l0_art,
    "Foolbox EAD": ead,
    "ART EAD": ead_art,
    "torchattacks JSMA": jsma_torchattacks,
}
