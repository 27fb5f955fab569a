"""`sparring audit --training-data SPEC`: does the data that the model was trained on look poisoned?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from sparring.cli.console import Stdout, note, stderr, working

if TYPE_CHECKING:
    from sparring.cli.audit.options import AuditOptions

FILE = "training_data.json"
CONTROL = 1000
"images of --data that serve as the control, where there are so many; detectors are cheap, and few images tell little"


def inspect_training_data(
    options: AuditOptions, spec: str, out: Path | None, quiet: bool, place: Path | None = None
) -> None:
    """Run the detectors on the split "train" of `spec`; print what they flag, and write it into `out`.

    Args:
        place: the --out of the user, which `out` stands for.

    Raises:
        InputError: the data cannot be had, or the model is no module with a linear layer.
    """
    from torch import nn

    from sparring.audit.training_data.suspicion import suspicions
    from sparring.cli.audit.show import shown
    from sparring.data import load_data
    from sparring.errors import InputError
    from sparring.storage import write_json

    model, control = replace(options.load, n=None).load()
    control = control.first(min(len(control), max(options.load.n or 0, CONTROL)))
    if not isinstance(model.net, nn.Module) or model.mean is not None or model.std is not None:
        raise InputError("--training-data needs a PyTorch module that takes pixels in [0, 1]")
    log = stderr(quiet)
    with working(log, f"looking for poison in {spec}"):
        train = load_data(spec, "train").named_as(model.classes)
        found = suspicions(model.net, train, control)
    if out is not None:
        write_json(out / FILE, {
            "model": options.load.model, "training_data": spec, "control": f"{options.load.data} ({control.split})",
            "detectors": [one.to_dict() for one in found],
        })  # fmt: skip
    if not quiet:
        console = Stdout()
        console.say(f"\ntraining data {spec}, {len(train):,} samples; control {options.load.data}, {len(control):,}")
        for one in found:
            console.say(f"  {one}")
    if out is not None:
        note(log, f"training data: {shown(out / FILE, out, place)}")
