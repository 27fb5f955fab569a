"""What is read from preprocessor_config.json against the library's own image processors, for every family it knows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

import sparring as sp
from sparring.zoo.hf import preprocessing

REFUSED = {"ImageGPTImageProcessorPil", "Siglip2ImageProcessorPil"}
"those that give the net no picture"


def _processors() -> Iterator[Any]:
    """One value for each processor class of a family that classifies images; a skip where there is no transformers."""
    try:
        from transformers.models.auto.image_processing_auto import IMAGE_PROCESSOR_MAPPING_NAMES as PROCESSORS
        from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES as FAMILIES
    except ImportError:
        yield pytest.param("", marks=pytest.mark.skip(reason="transformers is not installed"))
        return
    names = (PROCESSORS.get(family) for family in FAMILIES)
    told = {(name.get("pil") or name.get("torchvision")) for name in names if isinstance(name, dict)}
    yield from sorted(filter(None, told))


@pytest.mark.parametrize("name", list(_processors()))
def test_one_random_picture_comes_out_as_from_the_library(name: str) -> None:
    import transformers
    from PIL import Image

    try:
        processor = getattr(transformers, name)()
    except ImportError as error:
        pytest.skip(f"{name} needs another package: {' '.join(str(error).split())[:80]}")
    config = json.loads(processor.to_json_string())
    if name in REFUSED:
        with pytest.raises(sp.InputError, match="not pixels"):
            preprocessing(config)
        return
    seen = preprocessing(config)
    assert seen.mean is not None
    assert seen.std is not None
    height, width = seen.size or (32, 32)
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    steps = ("do_resize", "do_center_crop", "do_pad", "do_thumbnail", "do_align_long_axis")
    off = {step: False for step in steps if hasattr(processor, step)}  # the picture has its final size
    wanted = torch.as_tensor(np.asarray(processor(Image.fromarray(pixels), return_tensors="np", **off)["pixel_values"]))
    x = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255
    made = sp.wrap(lambda z: z, mean=seen.mean, std=seen.std).raw(x.flip(1) if seen.flipped else x)
    torch.testing.assert_close(made, wanted.reshape(made.shape).to(made.dtype), rtol=1e-4, atol=1e-4)


def test_efficientnet_divides_twice() -> None:
    config = {
        "image_processor_type": "EfficientNetImageProcessor",
        "image_mean": [0.5] * 3,
        "image_std": [0.2] * 3,
        "include_top": True,
    }
    assert preprocessing(config).std == pytest.approx([0.04] * 3)
    assert preprocessing({**config, "include_top": False}).std == [0.2] * 3
    assert preprocessing({**config, "image_processor_type": "ViTImageProcessor"}).std == [0.2] * 3


@pytest.mark.parametrize(
    "config",
    [
        {"image_mean": [0.5], "image_std": [0.0]},
        {"image_mean": [0.5], "image_std": [-1]},
        {"image_mean": [float("nan")], "image_std": [1]},
        {"image_mean": [0.5, 0.5], "image_std": [1, 1]},
        {"image_mean": [0.5], "image_std": [1], "rescale_factor": "x"},
        {"image_mean": [0.5], "image_std": [1], "rescale_factor": 0},
    ],
)
def test_a_normalisation_that_cannot_be_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(sp.InputError, match="preprocessor_config"):
        preprocessing(config)
