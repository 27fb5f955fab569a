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
    from sparring.attacks.exact.ground_truth import GroundTruth as GroundTruth
    from sparring.attacks.gradient.alma import ALMA as ALMA
    from sparring.attacks.gradient.apgd import APGDCE as APGDCE
    from sparring.attacks.gradient.apgd_dlr import APGDDLR as APGDDLR
    from sparring.attacks.gradient.apgd_l1 import APGDL1 as APGDL1
    from sparring.attacks.gradient.apgd_square import APGDSquare as APGDSquare
    from sparring.attacks.gradient.apgd_t import APGDT as APGDT
    from sparring.attacks.gradient.apgd_t_min import APGDTMin as APGDTMin
    from sparring.attacks.gradient.bim import BIM as BIM
    from sparring.attacks.gradient.bpda import BPDA as BPDA
    from sparring.attacks.gradient.cw_l0 import CarliniWagnerL0 as CarliniWagnerL0
    from sparring.attacks.gradient.cw_l2 import CarliniWagnerL2 as CarliniWagnerL2
    from sparring.attacks.gradient.cw_linf import CarliniWagnerLinf as CarliniWagnerLinf
    from sparring.attacks.gradient.ddn import DDN as DDN
    from sparring.attacks.gradient.deepfool import DeepFool as DeepFool
    from sparring.attacks.gradient.difgsm import DIFGSM as DIFGSM
    from sparring.attacks.gradient.ead import EAD as EAD
    from sparring.attacks.gradient.fab import FAB as FAB
    from sparring.attacks.gradient.fgsm import FGSM as FGSM
    from sparring.attacks.gradient.fmn import FMN as FMN
    from sparring.attacks.gradient.hot_cold import HotCold as HotCold
    from sparring.attacks.gradient.houdini import Houdini as Houdini
    from sparring.attacks.gradient.ilcm import ILCM as ILCM
    from sparring.attacks.gradient.jsma import JSMA as JSMA
    from sparring.attacks.gradient.lbfgs import LBFGS as LBFGS
    from sparring.attacks.gradient.mifgsm import MIFGSM as MIFGSM
    from sparring.attacks.gradient.min_norm import MinimumNorm as MinimumNorm
    from sparring.attacks.gradient.multitargeted import MultiTargeted as MultiTargeted
    from sparring.attacks.gradient.nifgsm import NIFGSM as NIFGSM
    from sparring.attacks.gradient.optmargin import OptMargin as OptMargin
    from sparring.attacks.gradient.pdgd import PDGD as PDGD
    from sparring.attacks.gradient.pdpgd import PDPGD as PDPGD
    from sparring.attacks.gradient.pgd import PGD as PGD
    from sparring.attacks.gradient.rfgsm import RFGSM as RFGSM
    from sparring.attacks.gradient.sifgsm import SINIFGSM as SINIFGSM
    from sparring.attacks.gradient.sigma_zero import SigmaZero as SigmaZero
    from sparring.attacks.gradient.stadv import StAdv as StAdv
    from sparring.attacks.gradient.superdeepfool import SuperDeepFool as SuperDeepFool
    from sparring.attacks.gradient.tifgsm import TIFGSM as TIFGSM
    from sparring.attacks.gradient.trust_region import TrustRegion as TrustRegion
    from sparring.attacks.gradient.vmifgsm import VMIFGSM as VMIFGSM
    from sparring.attacks.gradient.vnifgsm import VNIFGSM as VNIFGSM
    from sparring.attacks.physical.eot import EOTAttack as EOTAttack
    from sparring.attacks.physical.lavan import LaVAN as LaVAN
    from sparring.attacks.physical.rp2 import RP2 as RP2
    from sparring.attacks.score.square import Square as Square
    from sparring.audit import audit as audit
    from sparring.audit.report.report import Report as Report
    from sparring.blocks.view_success import view_success as view_success
    from sparring.blocks.views import EOT as EOT
    from sparring.bout import Bout as Bout
    from sparring.budget import Budget as Budget
    from sparring.certify import certify as certify
    from sparring.certify.result import Certificates as Certificates
    from sparring.data import load_data as load_data
    from sparring.defenses.training.awp import AWP as AWP
    from sparring.defenses.training.distillation import Distillation as Distillation
    from sparring.defenses.training.distillation import distillation_loss as distillation_loss
    from sparring.defenses.training.fit import fit as fit
    from sparring.defenses.training.free import Free as Free
    from sparring.defenses.training.gradalign import GradAlign as GradAlign
    from sparring.defenses.training.madry import AdversarialTraining as AdversarialTraining
    from sparring.defenses.training.madry import adversarial_loss as adversarial_loss
    from sparring.defenses.training.mart import Mart as Mart
    from sparring.defenses.training.mart import mart_loss as mart_loss
    from sparring.defenses.training.trades import Trades as Trades
    from sparring.defenses.training.trades import trades_loss as trades_loss
    from sparring.errors import AccessError as AccessError
    from sparring.errors import InputError as InputError
    from sparring.errors import MissingExtra as MissingExtra
    from sparring.errors import OutputError as OutputError
    from sparring.errors import SparringError as SparringError
    from sparring.losses import houdini as houdini
    from sparring.minimum import minimum_norm as minimum_norm
    from sparring.model import Model as Model
    from sparring.model import wrap as wrap
    from sparring.norms import L0 as L0
    from sparring.norms import L1 as L1
    from sparring.norms import L2 as L2
    from sparring.norms import Linf as Linf
    from sparring.optimality import Optimality as Optimality
    from sparring.optimality import optimality as optimality
    from sparring.preprocess import bpda as bpda
    from sparring.preprocess import defend as defend
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
    "ALMA": "attacks.gradient.alma",
    "APGDCE": "attacks.gradient.apgd",
    "APGDDLR": "attacks.gradient.apgd_dlr",
    "APGDL1": "attacks.gradient.apgd_l1",
    "APGDSquare": "attacks.gradient.apgd_square",
    "APGDT": "attacks.gradient.apgd_t",
    "APGDTMin": "attacks.gradient.apgd_t_min",
    "AWP": "defenses.training.awp",
    "AccessError": "errors",
    "AdversarialTraining": "defenses.training.madry",
    "Attack": "attack",
    "AttackInfo": "attack",
    "BIM": "attacks.gradient.bim",
    "BPDA": "attacks.gradient.bpda",
    "Bout": "bout",
    "Budget": "budget",
    "CarliniWagnerL0": "attacks.gradient.cw_l0",
    "CarliniWagnerL2": "attacks.gradient.cw_l2",
    "CarliniWagnerLinf": "attacks.gradient.cw_linf",
    "Certificates": "certify.result",
    "DDN": "attacks.gradient.ddn",
    "DIFGSM": "attacks.gradient.difgsm",
    "DeepFool": "attacks.gradient.deepfool",
    "Distillation": "defenses.training.distillation",
    "Doubt": "result",
    "EAD": "attacks.gradient.ead",
    "EOT": "blocks.views",
    "EOTAttack": "attacks.physical.eot",
    "FAB": "attacks.gradient.fab",
    "FGSM": "attacks.gradient.fgsm",
    "FMN": "attacks.gradient.fmn",
    "Free": "defenses.training.free",
    "GradAlign": "defenses.training.gradalign",
    "GroundTruth": "attacks.exact.ground_truth",
    "HotCold": "attacks.gradient.hot_cold",
    "Houdini": "attacks.gradient.houdini",
    "ILCM": "attacks.gradient.ilcm",
    "InputError": "errors",
    "JSMA": "attacks.gradient.jsma",
    "L0": "norms",
    "L1": "norms",
    "L2": "norms",
    "LBFGS": "attacks.gradient.lbfgs",
    "LaVAN": "attacks.physical.lavan",
    "Linf": "norms",
    "MIFGSM": "attacks.gradient.mifgsm",
    "Mart": "defenses.training.mart",
    "MinimumNorm": "attacks.gradient.min_norm",
    "MissingExtra": "errors",
    "Model": "model",
    "MultiTargeted": "attacks.gradient.multitargeted",
    "NIFGSM": "attacks.gradient.nifgsm",
    "OptMargin": "attacks.gradient.optmargin",
    "Optimality": "optimality",
    "OutputError": "errors",
    "PDGD": "attacks.gradient.pdgd",
    "PDPGD": "attacks.gradient.pdpgd",
    "PGD": "attacks.gradient.pgd",
    "RFGSM": "attacks.gradient.rfgsm",
    "RP2": "attacks.physical.rp2",
    "Report": "audit.report.report",
    "Result": "result",
    "SINIFGSM": "attacks.gradient.sifgsm",
    "SigmaZero": "attacks.gradient.sigma_zero",
    "SparringError": "errors",
    "Square": "attacks.score.square",
    "StAdv": "attacks.gradient.stadv",
    "SuperDeepFool": "attacks.gradient.superdeepfool",
    "TIFGSM": "attacks.gradient.tifgsm",
    "Targeted": "threat",
    "Threat": "threat",
    "Trace": "result",
    "Trades": "defenses.training.trades",
    "TrustRegion": "attacks.gradient.trust_region",
    "Untargeted": "threat",
    "VMIFGSM": "attacks.gradient.vmifgsm",
    "VNIFGSM": "attacks.gradient.vnifgsm",
    "adversarial_loss": "defenses.training.madry",
    "attack": "attack",
    "attacks": "attack",
    "audit": "audit",
    "bpda": "preprocess",
    "certify": "certify",
    "defend": "preprocess",
    "distillation_loss": "defenses.training.distillation",
    "fit": "defenses.training.fit",
    "houdini": "losses",
    "list_models": "zoo",
    "load_data": "data",
    "load_model": "zoo",
    "mart_loss": "defenses.training.mart",
    "minimum_norm": "minimum",
    "optimality": "optimality",
    "register": "attack",
    "trades_loss": "defenses.training.trades",
    "view_success": "blocks.view_success",
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
        "certify",
    ):  # these are modules as well, which can be called, see _callable.py
        globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
