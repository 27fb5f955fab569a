"""`hf:NAME_OR_DIR`: image classifiers of the transformers library, without torchvision.

With `#prompts=FILE`, models of pictures and texts (CLIP, SigLIP) too: zero_shot.py.

The processor classes of transformers ask for torchvision, so the normalisation is read from
preprocessor_config.json itself, and the net is wrapped to expect pixels in [0, 1].
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from sparring.errors import InputError
from sparring.model import Model
from sparring.zoo.extras import first_line, need
from sparring.zoo.options import Options
from sparring.zoo.state import put_state, read_state
from sparring.zoo.zero_shot import read_prompts, zero_shot

PREPROCESSOR = "preprocessor_config.json"
NO_PIXELS = {
    "do_color_quantize": "colour classes",
    "clusters": "colour classes",
    "max_num_patches": "patches",
    "do_pan_and_scan": "several crops of a picture",
}
"keys of image processors whose output is not one picture"


def load_hf(name: str, options: Options) -> Model:
    """The classifier in a local directory (as `save_pretrained` leaves it) or of that name on the hub.

    mean, std and size come from preprocessor_config.json, class names from config.json. Code from the hub
    runs only with `trust`. NAME#prompts=FILE makes a classifier of a model of pictures and texts.

    Raises:
        MissingExtra: transformers is not installed.
        InputError: no such model, the hub is out of reach, nothing says how to normalise, or the files hold no
            trained classifier.
    """
    name, _, more = name.partition("#")
    transformers = need("transformers", f"hf:{name}", "hf")
    prompts = _prompts(name, more)
    local = Path(name).expanduser()
    if not local.is_dir() and (local.is_absolute() or name.startswith((".", "~"))):
        raise InputError(f"there is no directory {name}")
    source = str(local) if local.is_dir() else name
    net = _fetch(transformers, source, options, texts=prompts is not None)
    config = net.config
    if options.weights is not None:
        put_state(net, read_state(options.weights, trust=options.trust), options.weights)
    if prompts is not None:
        net = zero_shot(transformers, net, source, prompts[1])
    seen = preprocessing(_preprocessor(source))
    if seen.mean is None and (options.mean is None or options.std is None):
        raise InputError(f"hf:{name} has no {PREPROCESSOR}, so how to normalise is not known; give --mean and --std")
    vision = getattr(config, "vision_config", config)
    side = seen.size or _pair(getattr(vision, "image_size", None))
    channels = int(getattr(vision, "num_channels", 3) or 3)
    model = options.wrap(
        _Flipped(net) if seen.flipped else net,
        mean=seen.mean,
        std=seen.std,
        name=f"hf:{name}",
        input_size=(channels, *side) if side else None,
        classes=_classes(config) if prompts is None else prompts[0],
    )
    model.resize = seen.resize
    return model


def _prompts(name: str, more: str) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """Class names and texts by what follows the # of a spec."""
    if not more:
        return None
    key, _, file = more.partition("=")
    if key != "prompts" or not file:
        raise InputError(f"hf:{name}#{more} is not understood; after the # comes prompts=FILE, one class a line")
    return read_prompts(Path(file))


def _fetch(transformers: Any, source: str, options: Options, texts: bool) -> Any:
    """The net; with `texts` one of pictures and texts, else a classifier whose every weight is in the files."""
    auto = transformers.AutoModel if texts else transformers.AutoModelForImageClassification
    try:
        net, found = auto.from_pretrained(source, trust_remote_code=options.trust, output_loading_info=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"hf:{source}: its weights hold more than tensors, and reading them would run code; only safetensors or "
            "plain tensors are taken"
        ) from error
    except Exception as error:  # OSError, ValueError, ImportError, and what the hub and safetensors raise
        deep = error.__cause__ or error  # transformers hides why an import of its own failed
        if "torchvision" in str(deep):
            raise InputError(
                f"hf:{source}: transformers fails because the torchvision that is installed does not fit torch "
                f"({first_line(deep)}); hf: does not need it: pip uninstall torchvision"
            ) from error
        if "trust_remote_code" in str(error):
            raise InputError(
                f"hf:{source} is made of code of its own, which would run here: pass --trust (trust=True) "
                "if you trust its author"
            ) from error
        if Path(source).is_dir():
            raise InputError(f"hf:{source} does not load: {first_line(error)}") from error
        raise InputError(
            f"hf:{source} cannot be fetched ({first_line(error)}); without a network, call "
            "save_pretrained(DIR) where there is one, for the model and its image processor, and load hf:DIR"
        ) from error
    if found["missing_keys"] and options.weights is None:
        missing = sorted(found["missing_keys"])
        both = "; for a model of pictures and texts name the classes: #prompts=FILE" if _has_texts(net.config) else ""
        raise InputError(
            f"hf:{source} has no weights for {missing[0]} ({len(missing)} in all), so it is no trained "
            f"{'model of pictures and texts' if texts else 'image classifier'}{both}"
        )
    return net


def _has_texts(config: Any) -> bool:
    return getattr(config, "text_config", None) is not None


def _preprocessor(source: str) -> dict[str, Any] | None:
    """What preprocessor_config.json says; None where there is no such file."""
    path = Path(source) / PREPROCESSOR
    if not Path(source).is_dir():
        hub = need("huggingface_hub", f"hf:{source}", "hf")
        try:
            path = Path(hub.hf_hub_download(source, PREPROCESSOR))
        except Exception as error:
            # Absent, or not in the cache of a machine that is offline: either way it cannot be read.
            if isinstance(error, (OSError, ValueError)):
                return None
            raise
    if not path.is_file():
        return None
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is not JSON ({first_line(error)})") from None
    if not isinstance(read, dict):
        raise InputError(f"{path} holds a {type(read).__name__}; a JSON object is expected")
    return read


@dataclass(frozen=True)
class Preprocessing:
    """Normalisation of pixels in [0, 1] (None = not known), input size, and whether channels are reversed.

    resize: the shorter side before the central cut; None = the picture is not cut.
    """

    mean: list[float] | None = None
    std: list[float] | None = None
    size: tuple[int, int] | None = None
    flipped: bool = False
    resize: int | None = None


def preprocessing(config: dict[str, Any] | None) -> Preprocessing:
    """Read the JSON of an image processor; None = there is none.

    Processors compute (255 x * rescale_factor - offset - mean) / std for x in [0, 1]; this is folded into one
    mean and one std over x.

    EfficientNet's divides by std once more (`include_top`), which is folded in, too.

    Raises:
        InputError: it normalises with a mean or std that it does not state, or gives the net no pixels.
    """
    if config is None:
        return Preprocessing()
    for key, what in NO_PIXELS.items():
        if config.get(key):
            raise InputError(
                f"{PREPROCESSOR} says {key}: the net sees {what}, not pixels; such nets cannot be attacked"
            )
    flipped = bool(config.get("do_flip_channel_order"))
    mean, std = [0.0], [1.0]
    # MobileViT, which flips, is the one that lists a mean without using it, and then leaves do_normalize out.
    if config.get("do_normalize", "image_mean" in config and not flipped):
        mean, std = _floats(config, "image_mean"), _floats(config, "image_std")
    factor = config.get("rescale_factor")
    factor = 1 / 255 if factor is None or isinstance(factor, bool) else factor
    if not isinstance(factor, (int, float)) or not 1e-6 < factor < 1e6:
        raise InputError(f"{PREPROCESSOR} has rescale_factor {factor!r}; a number above 0 is expected")
    scale = 255 * float(factor) if config.get("do_rescale", True) else 255.0
    scale = 1.0 if abs(scale - 1) < 1e-6 else scale
    offset = 1.0 if config.get("rescale_offset") else 0.0
    if config.get("include_top") and "EfficientNet" in str(config.get("image_processor_type", "EfficientNet")):
        again = _floats(config, "image_std")
        std = [
            a * b
            for a, b in zip(std * (len(again) // len(std) or 1), again * (len(std) // len(again) or 1), strict=True)
        ]
    crop = config.get("crop_size") if config.get("do_center_crop") else None
    return Preprocessing(
        [(m + offset) / scale for m in mean],
        [s / scale for s in std],
        _pair(crop or config.get("size")),
        flipped,
        _shorter_side(config, _pair(crop)),
    )


def _shorter_side(config: dict[str, Any], crop: tuple[int, int] | None) -> int | None:
    """To what the shorter side is resized before the cut, where that keeps the aspect ratio and the cut fits in."""
    size = config.get("size")
    edge = size.get("shortest_edge") if isinstance(size, dict) else size
    if crop is None or not config.get("do_resize", True) or type(edge) is not int:
        return None
    return edge if max(crop) <= edge <= 1 << 14 else None


def _floats(config: dict[str, Any], key: str) -> list[float]:
    values = config.get(key)
    if isinstance(values, (int, float)):
        values = [values]
    least = 1e-6 if key == "image_std" else -1e6
    if (
        not isinstance(values, list)
        or len(values) not in (1, 3)
        or not all(isinstance(v, (int, float)) and least <= v <= 1e6 for v in values)
    ):
        raise InputError(f"{PREPROCESSOR} normalises but its {key} is {values!r}; give --mean and --std, or mend it")
    return [float(v) for v in values]


def _pair(size: Any) -> tuple[int, int] | None:
    """(height, width) from 224, [224, 224], {"height": ..., "width": ...} or {"shortest_edge": ...}."""
    if isinstance(size, dict):
        edge = size.get("shortest_edge")
        size = [size.get("height", edge), size.get("width", edge)]
    if isinstance(size, int):
        size = [size, size]
    if isinstance(size, (list, tuple)) and len(size) == 2 and all(type(side) is int and side > 0 for side in size):
        return int(size[0]), int(size[1])
    return None


def _classes(config: Any) -> tuple[str, ...] | None:
    """The class names in order, or None where the config only has LABEL_0, LABEL_1, ..."""
    names: dict[int, str] = getattr(config, "id2label", None) or {}
    if sorted(names) != list(range(len(names))) or all(n == f"LABEL_{i}" for i, n in names.items()):
        return None
    return tuple(names[i].split(",")[0] for i in range(len(names)))


class _Flipped(nn.Module):
    """A net that was trained on blue-green-red images, for red-green-blue ones."""

    def __init__(self, net: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Any:
        return self.net(x.flip(1))
