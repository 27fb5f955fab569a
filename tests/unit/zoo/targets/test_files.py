"""`onnx:`, `tflite:` and `sklearn:` models, and a twin for their gradients."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import sparring as sp
from sparring.audit.inputs.provenance import about_model
from sparring.errors import AccessError, InputError, OutputError
from sparring.zoo.loaders import load_model
from sparring.zoo.options import Options
from sparring.zoo.targets.deployed import EightBits, Picture, sha256_of
from sparring.zoo.targets.tflite import TFLiteNet

WEIGHTS = torch.randn(4, 27, generator=torch.Generator().manual_seed(0))
MOBILENET = Path(os.environ.get("SPARRING_DATA", "/nowhere")) / "mobilenet_v2"


def net() -> nn.Module:
    made = nn.Sequential(nn.Flatten(), nn.Linear(27, 4, bias=False))
    with torch.no_grad():
        made[1].weight.copy_(WEIGHTS)
    return made


def images(n: int = 8) -> Tensor:
    return torch.rand(n, 3, 3, 3, generator=torch.Generator().manual_seed(1))


# --- ONNX -----------------------------------------------------------------------------------------------------


def onnx_file(path: Path, *, batch: int | str = "N", whole: bool = False, softmax: bool = True) -> Path:
    """A linear classifier of 3 x 3 pictures in ONNX."""
    onnx = pytest.importorskip("onnx", reason="needs the package onnx")
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    make, types = onnx.helper, onnx.TensorProto
    weights = WEIGHTS.t().contiguous().numpy()
    first = make.make_node("Cast", ["x"], ["f"], to=types.FLOAT) if whole else make.make_node("Identity", ["x"], ["f"])
    nodes = [
        first,
        make.make_node("Flatten", ["f"], ["flat"]),
        make.make_node("MatMul", ["flat", "w"], ["z"]),
        make.make_node("Softmax", ["z"], ["p"], axis=1) if softmax else make.make_node("Identity", ["z"], ["p"]),
    ]
    graph = make.make_graph(
        nodes,
        "net",
        [make.make_tensor_value_info("x", types.UINT8 if whole else types.FLOAT, [batch, 3, 3, 3])],
        [make.make_tensor_value_info("p", types.FLOAT, [batch, 4])],
        [onnx.numpy_helper.from_array(weights / (255 if whole else 1), "w")],
    )
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("batch", ["N", 1])
@pytest.mark.parametrize("softmax", [True, False])
def test_onnx_gives_what_the_net_gives(tmp_path: Path, batch: int | str, softmax: bool) -> None:
    path = onnx_file(tmp_path / "net.onnx", batch=batch, softmax=softmax)
    model = load_model(f"onnx:{path}")
    expected = net()(images())
    assert (model.access, model.num_classes, model.input_size) == ("score", 4, (3, 3, 3))
    assert torch.allclose(model.logits(images()), expected.log_softmax(1) if softmax else expected, atol=1e-5)
    assert about_model(model)["sha256"] == sha256_of(path)
    with pytest.raises(AccessError):
        sp.attack("pgd")(model, images(), torch.zeros(8, dtype=torch.long), ("Linf", 0.1))


def test_onnx_normalises_as_it_is_told(tmp_path: Path) -> None:
    model = load_model(f"onnx:{onnx_file(tmp_path / 'n.onnx', softmax=False)}", mean=(0.1, 0.2, 0.3), std=0.5)
    shifted = (images() - torch.tensor([0.1, 0.2, 0.3]).view(1, 3, 1, 1)) / 0.5
    assert torch.allclose(model.logits(images()), net()(shifted), atol=1e-5)


def test_onnx_of_8_bit_pixels(tmp_path: Path) -> None:
    model = load_model(f"onnx:{onnx_file(tmp_path / 'n.onnx', whole=True, softmax=False)}")
    assert torch.allclose(model.logits(images()), net()((images() * 255).round() / 255), atol=1e-4)
    with pytest.raises(InputError, match="drop --mean"):
        load_model(f"onnx:{tmp_path / 'n.onnx'}", mean=0.5, std=0.5)


def test_layouts_are_told_apart() -> None:
    assert Picture.of_shape([1, 224, 224, 3], "f") == Picture(True, (3, 224, 224))
    assert Picture.of_shape(["N", 3, 224, 224], "f") == Picture(False, (3, 224, 224))
    assert Picture.of_shape([-1, 1, "h", "w"], "f") == Picture(False, None)
    for shape in ([1, 784], [1, 5, 6, 7]):
        with pytest.raises(InputError, match="a picture"):
            Picture.of_shape(shape, "f")


@pytest.mark.parametrize("kind", ["onnx", "tflite"])
def test_files_that_are_none(tmp_path: Path, kind: str) -> None:
    pytest.importorskip("onnxruntime" if kind == "onnx" else "ai_edge_litert", reason=f"needs the extra {kind}")
    path = tmp_path / "net"
    path.write_bytes(b"\0\0\0\0TFL3" + bytes(range(64)))
    with pytest.raises(InputError, match="does not load") as error:
        load_model(f"{kind}:{path}")
    assert "\n" not in str(error.value)
    with pytest.raises(InputError, match="there is no file"):
        load_model(f"{kind}:{tmp_path / 'gone'}")


def test_a_text_is_not_a_tflite_file(tmp_path: Path) -> None:
    path = tmp_path / "net.tflite"
    path.write_text("hello, world")
    with pytest.raises(InputError, match="is not a TFLite file"):
        load_model(f"tflite:{path}")


# --- TFLite: how an 8-bit input is fed, on a runtime that shows what it gets -------------------------------------


SOFTMAX = (np.uint8, 1 / 256, 0)


class Runtime:
    """Always says the same, and remembers what it was fed."""

    def __init__(self, dtype: Any, scale: float, zero: int, out: tuple[Any, float, int] = SOFTMAX) -> None:
        self.fed: list[Any] = []
        self._in = {"index": 0, "shape": np.array([1, 2, 2, 3]), "dtype": dtype, "quantization": (scale, zero)}
        self._out = {"index": 1, "shape": np.array([1, 3]), "dtype": out[0], "quantization": out[1:]}

    def get_input_details(self) -> list[Any]:
        return [self._in]

    def get_output_details(self) -> list[Any]:
        return [self._out]

    def set_tensor(self, index: int, value: Any) -> None:
        assert value.dtype == self._in["dtype"]
        assert value.shape == (1, 2, 2, 3)
        self.fed.append(value[0])

    def invoke(self) -> None:
        pass

    def get_tensor(self, index: int) -> Any:
        return np.array([[192, 64, 0]], dtype=self._out["dtype"])


LEVELS = torch.arange(12).view(1, 3, 2, 2) * 20 / 255


@pytest.mark.parametrize(
    ("dtype", "scale", "zero", "normalise", "expected"),
    [
        (np.uint8, 1 / 127.5, 127, {}, lambda x: x * 255),  # as TensorFlow quantises [-1, 1]
        (np.uint8, 1 / 127.5, 127, {"mean": 0.5, "std": 0.5}, lambda x: x * 255),  # half a level away: the same
        (np.int8, 1 / 255, -128, {}, lambda x: x * 255 - 128),
        (np.int8, 0.02, -10, {"mean": 0.4, "std": 0.2}, lambda x: np.rint((x - 0.4) / 0.2 / 0.02) - 10),
        (np.float32, 0.0, 0, {"mean": 0.5, "std": 0.5}, lambda x: x * 2 - 1),
        (np.float32, 0.0, 0, {}, lambda x: x),
    ],
)
def test_what_a_tflite_file_is_fed(dtype: Any, scale: float, zero: int, normalise: Any, expected: Any) -> None:
    runtime = Runtime(dtype, scale, zero)
    said = TFLiteNet(runtime, "f", Options(**normalise))(LEVELS)
    wanted = np.clip(expected(LEVELS[0].permute(1, 2, 0).numpy()), -128 if dtype != np.uint8 else 0, 255)
    wanted = np.clip(wanted, -128, 127) if dtype == np.int8 else wanted
    assert np.allclose(runtime.fed[0].astype(float), wanted, atol=1e-3)
    assert said.tolist() == [[0.75, 0.25, 0.0]]


def test_an_8_bit_input_that_is_no_pixel_needs_its_normalisation() -> None:
    with pytest.raises(InputError, match=r"takes values from -2\.13 to 2\.64 in 8 bits"):
        TFLiteNet(Runtime(np.int8, 0.0187, -14), "f", Options())


def test_8_bit_scores() -> None:
    assert EightBits(np.uint8, 1 / 256, 0).is_softmax()
    assert EightBits(np.int8, 1 / 256, -128).is_softmax()
    assert TFLiteNet(Runtime(np.uint8, 1 / 255, 0), "f", Options()).outputs == "probabilities"
    logits = TFLiteNet(Runtime(np.uint8, 1 / 255, 0, (np.uint8, 0.1, 64)), "f", Options())
    assert logits.outputs == "logits"
    assert np.allclose(logits(LEVELS), [[12.8, 0.0, -6.4]])


@pytest.mark.long
@pytest.mark.skipif(not MOBILENET.is_dir(), reason="needs mobilenet_v2 in SPARRING_DATA")
def test_the_deployed_mobilenet_is_the_float_one_but_for_rounding() -> None:
    pytest.importorskip("ai_edge_litert", reason="needs the extra tflite")
    pytest.importorskip("transformers", reason="needs the extra hf")
    deployed = load_model(f"tflite:{next(MOBILENET.glob('*.tflite'))}")
    twin = load_model(f"hf:{MOBILENET}")
    labels = f"folder:{MOBILENET / 'images'}?labels=labels.csv&size=224&resize=256"
    x, y = sp.load_data(labels).named_as(twin.classes).tensors()
    assert (deployed.num_classes, deployed.input_size, deployed.outputs) == (1001, (3, 224, 224), "probabilities")
    with twin.guard(), torch.no_grad():
        assert float((twin.labels(x) == y).double().mean()) > 0.9
        assert float((deployed.labels(x) == y).double().mean()) > 0.9
        assert float((deployed.labels(x) == twin.labels(x)).double().mean()) > 0.9


# --- a twin -----------------------------------------------------------------------------------------------------


def rounded(x: Tensor) -> Tensor:
    """The net in 8 bits, as a deployed file is: pixels and probabilities rounded."""
    return (net()((x * 255).round() / 255).softmax(1) * 256).floor() / 256


def twins() -> tuple[sp.Model, sp.Model]:
    return sp.wrap_callable(rounded, 4, outputs="probabilities"), sp.wrap(net())


def test_verdicts_are_the_files_and_gradients_the_twins() -> None:
    deployed, twin = twins()
    model = sp.with_twin(deployed, twin)
    x = images(64)
    assert model.access == "gradient"
    assert torch.equal(model.labels(x), deployed.labels(x))
    z = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(model.logits(z)[:, 0].sum(), z)
    assert torch.allclose(slope, WEIGHTS[0].view(1, 3, 3, 3).expand_as(slope))
    y = deployed.labels(x)
    result = sp.attack("pgd:steps=20")(model, x, y, ("Linf", 0.05), seed=0)
    assert bool(result.success.any())
    assert torch.equal(deployed.labels(result.x_adv) != y, result.success)


def test_where_they_differ_the_files_class_wins_by_what_it_says() -> None:
    deployed = sp.wrap_callable(lambda x: torch.tensor([[0.1, 0.2, 0.7, 0.0]]).expand(len(x), 4), 4)
    model = sp.with_twin(deployed, sp.wrap(net()))
    x = images(32)
    logits, near = model.logits(x), net()(x)
    assert model.labels(x).tolist() == [2] * 32
    top = near.argmax(1)
    other = top != 2
    assert torch.allclose(logits[~other], near[~other])
    lead = logits[other, 2] - near.amax(1)[other]
    said = torch.tensor([0.1, 0.2, 0.7, 1e-38]).log()
    assert torch.allclose(lead, (said[2] - said[top[other]]).clamp(max=10.0), atol=1e-4)


def test_twins_that_are_none() -> None:
    deployed, twin = twins()
    with pytest.raises(InputError, match="grants only score access"):
        sp.with_twin(deployed, deployed)
    with pytest.raises(InputError, match="takes pixels in"):
        sp.with_twin(deployed, sp.wrap(net(), box=(-1, 1)))
    with pytest.raises(OutputError, match="has 3 classes, its twin 4"):
        sp.with_twin(sp.wrap_callable(lambda x: x.mean((2, 3)), 3), twin).logits(images())


# --- scikit-learn -------------------------------------------------------------------------------------------------


def fitted(kind: str) -> Any:
    pytest.importorskip("sklearn", reason="needs scikit-learn")
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import NearestCentroid
    from sklearn.svm import LinearSVC

    x = images(60)
    y = np.array(["ant", "bee", "cat", "dog"])[net()(x - 0.5).argmax(1)]
    made = {"proba": LogisticRegression(max_iter=2000), "decision": LinearSVC(), "label": NearestCentroid()}[kind]
    return made.fit(x.flatten(1).numpy() * 16, y)


@pytest.mark.parametrize(("kind", "access"), [("proba", "score"), ("decision", "score"), ("label", "decision")])
def test_scikit_learn_classifiers(kind: str, access: str) -> None:
    classifier = fitted(kind)
    if hasattr(classifier, "predict_proba") and kind == "label":
        access = "score"
    model = sp.wrap_sklearn(classifier, scale=16)
    said = classifier.predict(images().flatten(1).numpy() * 16)
    assert model.access == access
    assert model.input_size == (3, 3, 3)
    assert [model.classes[i] for i in model.labels(images())] == said.tolist()  # type: ignore[index]
    with pytest.raises(InputError, match="no fitted classifier"):
        sp.wrap_sklearn(type(classifier)())


def test_skops_files_are_read_and_pickles_never(tmp_path: Path) -> None:
    skops = pytest.importorskip("skops.io", reason="needs the extra sklearn")
    classifier = fitted("proba")
    skops.dump(classifier, tmp_path / "net.skops")
    model = load_model(f"sklearn:{tmp_path / 'net.skops'}")
    assert model.classes == ("ant", "bee", "cat", "dog")
    assert model.labels(images()).tolist() == sp.wrap_sklearn(classifier).labels(images()).tolist()
    for name in ("net.pkl", "net.skops"):
        path = tmp_path / "bad" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(pickle.dumps(Bomb()))
        with pytest.raises(InputError, match=r"is a pickle|cannot be read as a skops file"):
            load_model(f"sklearn:{path}", trust=True)


class Bomb:
    """Goes off when it is unpickled."""

    def __reduce__(self) -> Any:
        return (pytest.fail, ("it was unpickled",))
