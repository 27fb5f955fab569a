"""Anything at all on the surface of the library: each case ends in a result, or in one line of a SparringError.

300 cases in all, shared by the tests here; `make fuzz` tries 10,000 (SPARRING_FUZZ=10000).
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, Verbosity, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torch import Tensor, nn

import sparring as sp
from sparring.audit.inputs.claims import parse_claim
from sparring.audit.inputs.requirements import parse_requirement
from sparring.audit.suites.from_yaml import load_suite
from sparring.data.idx import read_idx
from sparring.data.images import ImageData
from sparring.data.registry import parse_spec
from sparring.model import check_labels
from sparring.scale.store import Store
from sparring.threat import Threat, parse_eps
from sparring.zoo.hf import preprocessing
from sparring.zoo.state import read_state
from sparring.zoo.targets.http.load import Remote

CASES = int(os.environ.get("SPARRING_FUZZ", "300"))
TESTS = 20
"here and in test_fuzz_runs.py"
fuzz = settings(
    max_examples=-(-CASES // TESTS),
    deadline=None,
    derandomize=CASES <= 300,
    database=None,
    verbosity=Verbosity.normal,
    suppress_health_check=list(HealthCheck),
)


def ends_well(call: Callable[[], Any]) -> Any:
    """Its result, or None where it ends in one line of ours; anything else fails the test."""
    try:
        return call()
    except sp.SparringError as error:
        said = str(error)
        assert said
        assert "\n" not in said
        assert len(said) < 1000
        return None


# --- text -----------------------------------------------------------------------------------------------------

PIECES = [
    *("pgd", "fgsm", "square", ":", ",", "=", "steps", "eps", "8/255", "1e400", "-1", "nan", "inf", "None", "loss"),
    *("view", "eot:20", "@", ">=", "%", "robust", "clean", "0.3", "/", " ", "\n", "\0", "[", "?", "&", "é", "１"),
    *("restarts", "folder", "npz", "1e-999", "0x1", "_", "--", "9" * 50, "dlr", "true"),
]
TEXT = st.one_of(st.lists(st.sampled_from(PIECES), max_size=8).map("".join), st.text(max_size=30))


@fuzz
@given(text=TEXT)
def test_attack_specs(text: str) -> None:
    attack = ends_well(lambda: sp.attack(text))
    if attack is not None:
        assert sp.attack(attack.spec).settings() == attack.settings()


@fuzz
@given(text=TEXT)
def test_radii(text: str) -> None:
    eps = ends_well(lambda: parse_eps(text))
    if eps is not None:
        assert np.isfinite(eps)


@fuzz
@given(text=TEXT)
def test_claims_requirements_and_data_specs(text: str) -> None:
    for read in (parse_claim, parse_requirement, parse_spec):
        ends_well(lambda read=read: read(text))  # type: ignore[misc]


@fuzz
@given(
    lines=st.lists(
        st.one_of(TEXT, st.sampled_from(["stages:", "  - fgsm", "subset: 5", "name: x", "  - attack: pgd"])), max_size=6
    )
)
def test_suites(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> None:
    path = tmp_path_factory.getbasetemp() / "suite.yaml"
    path.write_bytes("\n".join(lines).encode("utf-8", "surrogatepass"))
    ends_well(lambda: load_suite(path))


# --- numbers ----------------------------------------------------------------------------------------------------

ANY = st.one_of(
    *(st.none(), st.booleans(), st.integers(), st.floats(), st.complex_numbers(), st.text(max_size=5)),
    *(st.binary(max_size=5), st.lists(st.integers(-3, 5), max_size=4)),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
)


@fuzz
@given(norm=st.one_of(st.sampled_from(["Linf", "l2", "L1", "L0", "L3", 2, float("inf")]), ANY), eps=ANY)
def test_threats(norm: Any, eps: Any) -> None:
    threat = ends_well(lambda: Threat(norm, eps))
    if threat is not None and threat.eps is not None:
        assert 0 <= threat.eps < float("inf")
        assert threat.eps == float(parse_eps(eps) or 0)


LABELS = st.one_of(
    ANY,
    arrays.arrays(
        st.one_of(arrays.scalar_dtypes(), st.just(np.dtype(object))), arrays.array_shapes(max_dims=2, max_side=4)
    ),
    st.lists(
        st.one_of(st.integers(0, 2), st.none(), st.text(max_size=2), st.just(torch.tensor(1))), min_size=4, max_size=4
    ),
    st.sampled_from([torch.uint8, torch.uint16, torch.uint64, torch.int8, torch.float16, torch.bool]).map(
        lambda dtype: torch.tensor([0, 1, 1, 0]).to(dtype)
    ),
)


@fuzz
@given(labels=LABELS)
def test_labels(labels: Any) -> None:
    read = ends_well(lambda: check_labels(labels, 4, 3))
    if read is not None:
        assert read.dtype is torch.int64
        assert read.shape == (4,)
        given_values = np.asarray(labels if not isinstance(labels, list) else [int(value) for value in labels])
        if given_values.shape == (4,):
            assert read.tolist() == [int(value) for value in given_values]


def _net() -> nn.Module:
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    with torch.no_grad():
        net[1].weight.copy_(torch.arange(12.0).reshape(3, 4).sin())
        net[1].bias.zero_()
    return net


FLOATS = st.sampled_from([np.float16, np.float32, np.float64, np.uint8, np.int32, np.complex64, np.bool_]).flatmap(
    lambda dtype: arrays.arrays(dtype, st.sampled_from([(2, 1, 2, 2), (2, 4), (4,), (0, 1, 2, 2), (2, 1, 2, 3), ()]))
)


@fuzz
@given(
    pixels=FLOATS, spec=st.sampled_from(["fgsm", "pgd:steps=2", "square:queries=3", "ddn:steps=3"]), seed=st.integers()
)
def test_images(pixels: np.ndarray, spec: str, seed: int) -> None:
    x, norm = torch.as_tensor(pixels), "L2" if spec.startswith("ddn") else "Linf"
    before = x.clone()
    result = ends_well(
        lambda: sp.attack(spec)(_net(), x, torch.zeros(len(x) if x.dim() else 1).long(), (norm, 0.2), seed=seed)
    )
    assert torch.equal(torch.nan_to_num(x), torch.nan_to_num(before))
    if result is not None:
        assert bool((result.distance[result.success] <= 0.2 * (1 + 1e-4)).all())
        fooled = _net()(result.x_adv.float()).argmax(1) != 0
        assert torch.equal(fooled, result.success) or not len(x)


def _answers() -> st.SearchStrategy[Any]:
    values = st.sampled_from([0.0, 1.0, -1.0, 1e-30, 1e30, float("nan"), float("inf"), -float("inf"), 17.5])
    shapes = st.sampled_from([(2, 3), (2,), (2, 1), (3, 2), (), (2, 3, 1), (0, 3), (2, 0), (1, 3), (2, 2)])

    def tensor(shape: tuple[int, ...], some: list[float], dtype: torch.dtype) -> Tensor:
        count = int(np.prod(shape))
        return torch.tensor((some * (count + 1))[:count]).reshape(shape).to(dtype)

    dtypes = st.sampled_from([torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.bool])
    tensors = st.builds(tensor, shapes, st.lists(values, min_size=1, max_size=6), dtypes)
    return st.one_of(tensors, tensors.map(lambda t: {"logits": t}), tensors.map(lambda t: (t, None)), ANY)


@fuzz
@given(
    answer=_answers(),
    outputs=st.sampled_from(["logits", "probabilities", "log_probabilities"]),
    access=st.sampled_from(["gradient", "score", "decision"]),
)
def test_model_answers(answer: Any, outputs: Any, access: Any) -> None:
    model = sp.wrap(lambda x: answer, outputs=outputs, access=access)
    x, y = torch.full((2, 1, 2, 2), 0.5), torch.tensor([0, 1])
    spec = {"gradient": "fgsm", "score": "square:queries=2", "decision": "square:queries=2"}[access]
    result = ends_well(lambda: sp.attack(spec)(model, x, y, ("Linf", 0.1)))
    if result is not None and isinstance(answer, Tensor) and answer.dim() == 2:
        assert torch.equal(result.success, ~result.clean_correct), "a constant cannot be fooled"


JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.integers(-2, 4),
        st.floats(),
        st.sampled_from(["cat", "dog", "1", ""]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.sampled_from(["out", "label", "score", "cat", "0"]), inner, max_size=3),
        st.lists(st.fixed_dictionaries({"label": inner, "score": inner}), max_size=3),
    ),
    max_leaves=12,
)


@fuzz
@given(
    body=st.one_of(
        JSON.map(lambda said: json.dumps({"out": said}).encode()),
        st.lists(st.floats(-5, 5), min_size=3, max_size=3).map(lambda said: json.dumps({"out": said}).encode()),
        st.binary(max_size=40),
        st.just(b"[" * 2000),
    ),
    status=st.sampled_from([200, 200, 200, 200, 204, 301, 429, 500, 999]),
    kind=st.sampled_from(["scores", "labels", "topk"]),
    named=st.booleans(),
)
def test_http_answers(
    tmp_path_factory: pytest.TempPathFactory, body: bytes, status: int, kind: str, named: bool
) -> None:
    httpx = pytest.importorskip("httpx")
    file = tmp_path_factory.mktemp("mapping") / "m.json"
    classes = ["cat", "dog", "owl"] if named else 3
    file.write_text(json.dumps({"classes": classes, "answer": {"kind": kind, "path": "out"}}))
    model = sp.load_model(f"http://127.0.0.1:9/p#mapping={file},retries=0,cache=false")
    assert isinstance(model, Remote)
    model.service.client._http = httpx.Client(
        transport=httpx.MockTransport(lambda _: httpx.Response(status, stream=httpx.ByteStream(body)))
    )
    x, y = torch.full((2, 1, 2, 2), 0.5), torch.tensor([0, 1])
    result = ends_well(
        lambda: sp.attack("boundary:queries=20" if kind == "labels" else "square:queries=3")(model, x, y, ("Linf", 0.1))
    )
    if result is not None:
        assert status == 200
        assert torch.equal(result.success, ~result.clean_correct), "a constant cannot be fooled"


@fuzz
@given(
    options=st.fixed_dictionaries(
        {},
        optional={"n": ANY, "seed": ANY, "batch_size": st.one_of(st.integers(-2, 5)), "clean_floor": st.floats(0, 1)},
    )
)
def test_audits(options: dict[str, Any]) -> None:
    x = torch.linspace(0, 1, 24).reshape(6, 1, 2, 2)
    y = _net()(x).argmax(1)
    ends_well(lambda: sp.audit(_net(), (x, y), ("Linf", 0.1), suite=["fgsm"], **options))


# --- files ------------------------------------------------------------------------------------------------------


def _damaged(whole: bytes) -> st.SearchStrategy[bytes]:
    """A file with a few bytes changed, cut or put in."""

    def change(edits: list[tuple[int, int, bytes]]) -> bytes:
        data = whole
        for at, drop, more in edits:
            at %= len(data) + 1
            data = data[:at] + more + data[at + drop :]
        return data

    return st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 6), st.binary(max_size=4)), max_size=3).map(change)


def _npz() -> bytes:
    out = io.BytesIO()
    np.savez(out, x=np.arange(32, dtype=np.uint8).reshape(2, 4, 4), y=np.array([0, 1]))
    return out.getvalue()


IDX = b"\0\0\x08\x03\0\0\0\x02\0\0\0\x02\0\0\0\x02" + bytes(range(8))


@fuzz
@given(data=st.one_of(_damaged(IDX), st.binary(max_size=40)))
def test_idx_files(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "some-idx"
    path.write_bytes(data)
    array = ends_well(lambda: read_idx(path, 3))
    assert array is None or data == IDX or array.nbytes <= len(data)


@fuzz
@given(data=st.one_of(_damaged(_npz()), st.binary(max_size=40)))
def test_npz_files(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "some.npz"
    path.write_bytes(data)
    images = ends_well(lambda: sp.load_data(f"npz:{path}"))
    if images is not None:
        x, y = images.tensors()
        assert len(x) == len(y)
        assert bool(((x >= 0) & (x <= 1)).all())


@fuzz
@given(
    data=st.one_of(_damaged(safetensors.torch.save({"w": torch.arange(4.0)})), st.binary(max_size=40)),
    ending=st.sampled_from([".safetensors", ".pt"]),
)
def test_weights(tmp_path_factory: pytest.TempPathFactory, data: bytes, ending: str) -> None:
    path = tmp_path_factory.getbasetemp() / f"weights{ending}"
    path.write_bytes(data)
    ends_well(lambda: read_state(path, trust=False))


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-5, 300), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["height", "width", "shortest_edge", "x"]), inner, max_size=2),
    ),
    max_leaves=4,
)
KEYS = [
    "image_mean",
    "image_std",
    "do_normalize",
    "do_rescale",
    "rescale_factor",
    "rescale_offset",
    "size",
    "crop_size",
    "do_center_crop",
    "do_flip_channel_order",
]


@fuzz
@given(config=st.dictionaries(st.sampled_from(KEYS), JSON, max_size=6))
def test_image_processor_files(config: dict[str, Any]) -> None:
    seen = ends_well(lambda: preprocessing(config))
    if seen is not None:
        assert seen.std is None or all(value > 0 and np.isfinite(value) for value in seen.std)
        assert seen.mean is None or all(np.isfinite(value) for value in seen.mean)
        assert seen.size is None or all(side > 0 for side in seen.size)


@fuzz
@given(plan=st.one_of(JSON.map(json.dumps), st.text(max_size=20), st.builds(lambda n: json.dumps({"shards": n}), JSON)))
def test_plans_of_runs(tmp_path_factory: pytest.TempPathFactory, plan: str) -> None:
    folder: Path = tmp_path_factory.getbasetemp() / "run"
    folder.mkdir(exist_ok=True)
    (folder / "plan.json").write_bytes(plan.encode("utf-8", "surrogatepass"))
    store = ends_well(lambda: Store.read(folder))
    if store is not None:
        assert len(store) >= 0
        ends_well(lambda: store.load(0))


def test_the_images_of_a_data_set_are_checked() -> None:
    with pytest.raises(sp.SparringError):
        ImageData(torch.zeros(2, 1, 2, 2), ["0", "1"])  # type: ignore[list-item]
