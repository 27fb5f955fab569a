"""MagNet's reformer: what an autoencoder that was trained on clean images makes of an image (arXiv:1705.09064).

Its detectors are in `defenses.detect.magnet`. Claimed: more than 99 % against C&W where the attacker knows the
classifier alone. Broken by attackers who know of it, or train autoencoders of their own: 99 % on MNIST (Carlini &
Wagner 2017, arXiv:1711.08478). The gradient through it is exact.
"""

from __future__ import annotations

from torch import Tensor

from sparring.errors import InputError
from sparring.generators.autoencoders import Autoencoders, load_autoencoders
from sparring.preprocess import Backward, register_stage


@register_stage("magnet")
class Magnet:
    """Every image as an autoencoder gives it back.

    Args:
        net: coarse (the paper's reformer for MNIST) or fine.
        weights: autoencoders that are shipped, a folder of some, or the nets themselves.
    """

    backward: Backward = "exact"
    random = False

    def __init__(
        self,
        net: str = "coarse",
        *,
        weights: str | Autoencoders = "mnist-magnet",
        box: tuple[float, float] = (0.0, 1.0),
    ) -> None:
        if net not in ("coarse", "fine"):
            raise InputError(f"net is {net!r}; it must be coarse or fine")
        both = weights if isinstance(weights, Autoencoders) else load_autoencoders(weights)
        self.net, self.box = getattr(both, net), box

    def __call__(self, x: Tensor) -> Tensor:
        """Pixels [B, 1, H, W] in the box, of even sides -> as many."""
        if x.dim() != 4 or x.shape[1] != 1 or any(side % 2 for side in x.shape[2:]):
            raise InputError(f"magnet's nets take grey pictures [B, 1, H, W] of even sides; these are {tuple(x.shape)}")
        low, high = self.box
        self.net.to(x.device, x.dtype)
        made: Tensor = self.net((x - low) / (high - low)) * (high - low) + low
        return made
