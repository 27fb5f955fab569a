"""The nets of the zoo: sizes, shapes, seeds, and the reference weights that must load into them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

from sparring.data import load_data
from sparring.errors import InputError
from sparring.zoo.nets import NETS, PARAMETERS, count_parameters, make_net

COUNTS = {
    "net-f": 1_199_882,
    "net-f-half": 300_426,
    "wong": 166_406,
    "trades": 312_202,
    "madry": 3_274_634,
    "resnet20": 269_434,
}

needs_reference = pytest.mark.skipif(
    "SPARRING_DATA" not in os.environ, reason="SPARRING_DATA does not name a folder with nets/ and mnist/"
)


@pytest.mark.parametrize("name", NETS)
def test_parameter_counts_are_the_published_ones(name: str) -> None:
    assert count_parameters(make_net(name)) == COUNTS[name] == PARAMETERS[name]
    assert f"{COUNTS[name]:,}" in (NETS[name].__doc__ or "")


def test_every_net_is_counted() -> None:
    assert set(NETS) == set(COUNTS) == set(PARAMETERS)


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize(("channels", "classes", "size"), [(1, 10, 28), (3, 7, 32), (1, 2, 16)])
def test_any_picture_and_class_count(name: str, channels: int, classes: int, size: int) -> None:
    net = make_net(name, in_channels=channels, num_classes=classes, size=size).eval()
    logits = net(torch.rand(2, channels, size, size, generator=torch.Generator().manual_seed(0)))
    assert logits.shape == (2, classes)
    assert isinstance(net[-1], nn.Linear), "the outputs are logits: nothing bounds them"


def test_resnet20_is_the_paper_s() -> None:
    """Twenty layers with weights, and 0.27 million of these (He et al. 2016, table 6)."""
    net = make_net("resnet20", in_channels=3, size=32).eval()
    assert count_parameters(net) == 269_722
    layers = [module for module in net.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    assert len(layers) == 20
    shapes: list[torch.Size] = []
    for block in net[3:12]:
        block.register_forward_hook(lambda module, given, answer: shapes.append(answer.shape[1:]))
    x = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    net(x)
    assert shapes == [(16, 32, 32)] * 3 + [(32, 16, 16)] * 3 + [(64, 8, 8)] * 3


def test_the_way_past_a_block_has_no_weights() -> None:
    """Where its convolutions say nothing, a block passes on every second pixel, with zeros for the new maps."""
    block = make_net("resnet20", in_channels=3, size=32).eval()[6]
    nn.init.zeros_(block.norm2.weight)
    x = torch.rand(2, 16, 32, 32, generator=torch.Generator().manual_seed(0))
    answer = block(x)
    assert torch.equal(answer[:, 8:24], x[:, :, ::2, ::2])
    assert not answer[:, :8].any()
    assert not answer[:, 24:].any()


def test_same_seed_same_weights_and_the_global_state_untouched() -> None:
    before = torch.get_rng_state()
    first, again, other = make_net("wong", seed=3), make_net("wong", seed=3), make_net("wong", seed=4)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert not torch.equal(first[0].weight, other[0].weight)


def test_unknown_name_and_tiny_pictures_are_refused() -> None:
    with pytest.raises(InputError, match=r"no net is called 'wrong'.*wong"):
        make_net("wrong")
    with pytest.raises(InputError, match="8 x 8"):
        make_net("trades", size=8)


@needs_reference
@pytest.mark.parametrize(
    ("file", "accuracy"), [("smallcnn-plain", 0.9910), ("smallcnn-trades", 0.9948), ("smallcnn-ddn", 0.9902)]
)
def test_reference_weights_load_and_classify(file: str, accuracy: float) -> None:
    net = make_net("trades")
    net.load_state_dict(
        safetensors.torch.load_file(Path(os.environ["SPARRING_DATA"]) / "nets" / f"{file}.safetensors"), strict=True
    )
    x, y = load_data("mnist", "test", 1000).tensors()
    with torch.inference_mode():
        right = (net.eval()(x).argmax(1) == y).double().mean().item()
    # The stated accuracies are of all 10,000; three standard errors of 1,000 images are below 0.01.
    assert abs(right - accuracy) < 0.01
