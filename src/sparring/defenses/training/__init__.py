"""Training: one loop (`fit`), losses that decide what is learned, and recipes that put both together by name."""

from sparring.defenses.training.adversarial import Adversarial
from sparring.defenses.training.awp import AWP
from sparring.defenses.training.callbacks import Callback, RunInfo
from sparring.defenses.training.clipping import ClippedNoise
from sparring.defenses.training.curves import Curves, TensorBoard
from sparring.defenses.training.distillation import Distillation, distillation_loss
from sparring.defenses.training.ensemble import EnsembleAdversarialTraining
from sparring.defenses.training.fit import Fitted, fit
from sparring.defenses.training.free import Free
from sparring.defenses.training.gradalign import GradAlign
from sparring.defenses.training.loop import TrainingError
from sparring.defenses.training.loss import Step, TrainingLoss, batch_accuracy
from sparring.defenses.training.madry import AdversarialTraining, adversarial_loss
from sparring.defenses.training.mart import Mart, mart_loss
from sparring.defenses.training.recipes import RECIPES, find_recipe
from sparring.defenses.training.smoothness import GaussianNoise, JacobianPenalty
from sparring.defenses.training.standard import Standard
from sparring.defenses.training.trades import Trades, trades_loss
from sparring.defenses.training.watch import Watch

__all__ = [
    "AWP",
    "RECIPES",
    "Adversarial",
    "AdversarialTraining",
    "Callback",
    "ClippedNoise",
    "Curves",
    "Distillation",
    "EnsembleAdversarialTraining",
    "Fitted",
    "Free",
    "GaussianNoise",
    "GradAlign",
    "JacobianPenalty",
    "Mart",
    "RunInfo",
    "Standard",
    "Step",
    "TensorBoard",
    "Trades",
    "TrainingError",
    "TrainingLoss",
    "Watch",
    "adversarial_loss",
    "batch_accuracy",
    "distillation_loss",
    "find_recipe",
    "fit",
    "mart_loss",
    "trades_loss",
]
