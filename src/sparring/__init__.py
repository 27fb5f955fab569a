"""sparring: how robust is your image classifier, really?

>>> import torch, sparring as sp
>>> model = sp.load_model("mnist-cnn")
>>> x, y = sp.load_data("mnist5k", n=20).tensors()
>>> result = sp.PGD(steps=10)(model, x, y, sp.Threat("Linf", eps=0.3), seed=0)
>>> bool(result.robust_accuracy() < 0.5)
True

Names are loaded when they are first used, so that importing this is quick.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sparring.attack import Attack as Attack
    from sparring.attack import AttackInfo as AttackInfo
    from sparring.attack import attack as attack
    from sparring.attack import attacks as attacks
    from sparring.attack import register as register
    from sparring.attacks.gradient.apgd import APGDCE as APGDCE
    from sparring.attacks.gradient.apgd_dlr import APGDDLR as APGDDLR
    from sparring.attacks.gradient.apgd_l1 import APGDL1 as APGDL1
    from sparring.attacks.gradient.apgd_t import APGDT as APGDT
    from sparring.attacks.gradient.bim import BIM as BIM
    from sparring.attacks.gradient.fgsm import FGSM as FGSM
    from sparring.attacks.gradient.ilcm import ILCM as ILCM
    from sparring.attacks.gradient.mifgsm import MIFGSM as MIFGSM
    from sparring.attacks.gradient.pgd import PGD as PGD
    from sparring.attacks.gradient.rfgsm import RFGSM as RFGSM
    from sparring.attacks.score.square import Square as Square
    from sparring.audit import audit as audit
    from sparring.audit.report import Report as Report
    from sparring.blocks.views import EOT as EOT
    from sparring.bout import Bout as Bout
    from sparring.budget import Budget as Budget
    from sparring.data import load_data as load_data
    from sparring.errors import AccessError as AccessError
    from sparring.errors import InputError as InputError
    from sparring.errors import MissingExtra as MissingExtra
    from sparring.errors import OutputError as OutputError
    from sparring.errors import SparringError as SparringError
    from sparring.model import Model as Model
    from sparring.model import wrap as wrap
    from sparring.norms import L0 as L0
    from sparring.norms import L1 as L1
    from sparring.norms import L2 as L2
    from sparring.norms import Linf as Linf
    from sparring.result import Doubt as Doubt
    from sparring.result import Result as Result
    from sparring.result import Trace as Trace
    from sparring.result import worst_case as worst_case
    from sparring.threat import Targeted as Targeted
    from sparring.threat import Threat as Threat
    from sparring.threat import Untargeted as Untargeted
    from sparring.zoo import list_models as list_models
    from sparring.zoo import load_model as load_model

__version__ = "0.1.0"

_HOMES = {
    "APGDCE": "attacks.gradient.apgd",
    "APGDDLR": "attacks.gradient.apgd_dlr",
    "APGDL1": "attacks.gradient.apgd_l1",
    "APGDT": "attacks.gradient.apgd_t",
    "AccessError": "errors",
    "Attack": "attack",
    "AttackInfo": "attack",
    "BIM": "attacks.gradient.bim",
    "Bout": "bout",
    "Budget": "budget",
    "Doubt": "result",
    "EOT": "blocks.views",
    "FGSM": "attacks.gradient.fgsm",
    "ILCM": "attacks.gradient.ilcm",
    "InputError": "errors",
    "L0": "norms",
    "L1": "norms",
    "L2": "norms",
    "Linf": "norms",
    "MIFGSM": "attacks.gradient.mifgsm",
    "MissingExtra": "errors",
    "Model": "model",
    "OutputError": "errors",
    "PGD": "attacks.gradient.pgd",
    "RFGSM": "attacks.gradient.rfgsm",
    "Report": "audit.report",
    "Result": "result",
    "SparringError": "errors",
    "Square": "attacks.score.square",
    "Targeted": "threat",
    "Threat": "threat",
    "Trace": "result",
    "Untargeted": "threat",
    "attack": "attack",
    "attacks": "attack",
    "audit": "audit",
    "list_models": "zoo",
    "load_data": "data",
    "load_model": "zoo",
    "register": "attack",
    "worst_case": "result",
    "wrap": "model",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"sparring has no {name!r}")
    value = getattr(import_module(f"sparring.{_HOMES[name]}"), name)
    if name not in (
        "attack",
        "attacks",
        "audit",
    ):  # these are modules as well, which can be called, see _callable.py
        globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
