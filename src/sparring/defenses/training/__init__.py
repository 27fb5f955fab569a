"""Training: one loop (`fit`), and losses that decide what is learned (`Standard`, `AdversarialTraining`)."""

from sparring.defenses.training.callbacks import Callback, RunInfo
from sparring.defenses.training.fit import Fitted, fit
from sparring.defenses.training.loop import TrainingError
from sparring.defenses.training.loss import Step, TrainingLoss, batch_accuracy
from sparring.defenses.training.madry import AdversarialTraining
from sparring.defenses.training.standard import Standard

__all__ = [
    "AdversarialTraining",
    "Callback",
    "Fitted",
    "RunInfo",
    "Standard",
    "Step",
    "TrainingError",
    "TrainingLoss",
    "batch_accuracy",
    "fit",
]
