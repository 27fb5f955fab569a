"""What people do to attack libraries by accident. Each ends in a clear error with the observed values and the fix,
or in a correct result; never in a silent number. (The list is the misuse probe of six toolkits, and more.)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import sparring as sp
from sparring.attack import Attack
from sparring.errors import InputError, OutputError, SparringError
from sparring.result import Result
from sparring.testing.watch import differences, state

EPS = 0.1
PGD = sp.PGD(steps=6)
MEAN, STD = (0.1307, 0.4, 0.5), (0.3081, 0.2, 0.25)


class Net(nn.Module):
    """A small convolutional net with batch-norm and dropout; `end` changes what it returns."""

    def __init__(self, end: Callable[[Tensor], Any] = lambda z: z, classes: int = 4) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.random.manual_seed(0)
            self.features = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.3))
            self.head = nn.Linear(4 * 4 * 4, classes)
        self.end = end

    def forward(self, x: Tensor) -> Any:
        return self.end(self.head(self.features(x).flatten(1)))


def images(count: int = 8) -> Tensor:
    return torch.rand(count, 3, 6, 6, generator=torch.Generator().manual_seed(1))


X = images()
Y = Net().eval()(X).argmax(1)


def run(net: Any, x: Any = X, y: Any = Y, attack: Attack = PGD, **options: Any) -> Result:
    return attack(net, x, y, ("Linf", EPS), **options)


EXPECTED = run(Net().eval())


def equal(result: Result, expected: Result = EXPECTED) -> bool:
    return torch.equal(result.x_adv, expected.x_adv) and torch.equal(result.success, expected.success)


def refused(error: type[SparringError], *said: str) -> Any:
    """An error of this type whose one line holds all of these words."""
    pattern = "".join(f"(?=.*{word})" for word in said)
    return pytest.raises(error, match=f"^{pattern}[^\n]*$")


def test_the_yardstick_is_a_real_attack() -> None:
    assert int(EXPECTED.success.sum()) > 0
    assert EXPECTED.clean_accuracy == 1.0


# --- pixels ---------------------------------------------------------------------------------------------------


def test_images_normalised_twice() -> None:
    x = (X - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    with refused(
        InputError,
        f"from {float(x.min()):.4g} to {float(x.max()):.4g}",
        r"box \(0\.0, 1\.0\)",
        "normalised already",
        r"mean= and std=",
    ):
        run(sp.wrap(Net(), mean=MEAN, std=STD), x)


def test_images_from_0_to_255() -> None:
    with refused(InputError, f"to {float(X.max() * 255):.4g}", "0\\.\\.255", "divide by 255"):
        run(Net(), X * 255)


def test_images_a_little_outside() -> None:
    with refused(InputError, r"from 0.* to 1\.05", "true box in wrap"):
        run(Net(), X / X.max() * 1.05)


def test_float_dust_outside_the_box_is_forgiven() -> None:
    x = X.clone()
    x[0, 0, 0, 0], x[0, 0, 0, 1] = -1e-6, 1 + 1e-6
    result = run(Net(), x)
    assert bool((result.x_adv >= 0).all() and (result.x_adv <= 1).all())


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_images_with_nan_or_inf(bad: float) -> None:
    x = X.clone()
    x[2, 0, 0, 0] = bad
    with refused(InputError, "NaN or Inf"):
        run(Net(), x)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64])
def test_integer_images(dtype: torch.dtype) -> None:
    with refused(InputError, str(dtype), r"x\.float\(\) / 255"):
        run(Net(), (X * 255).to(dtype))


def test_numpy_images() -> None:
    with refused(InputError, "ndarray", "torch.Tensor"):
        run(Net(), X.numpy())


@pytest.mark.parametrize("box", [([0, 0, 0], [1, 1, 1]), ((0, 1), (0, 1), (0, 1)), 1.0, (0, float("nan")), (1, 1)])
def test_a_box_that_is_not_two_numbers(box: Any) -> None:
    for make in (lambda: sp.wrap(nn.Flatten(), box=box), lambda: sp.Threat("Linf", 0.1, box=box)):
        with pytest.raises(InputError, match=r"\(low, high\)"):
            make()


def test_images_in_another_box_that_is_stated() -> None:
    net = Net().eval()
    expected = run(net, attack=sp.BIM(steps=6))
    result = sp.BIM(steps=6)(sp.wrap(lambda x: net(x / 255), box=(0, 255)), X * 255, Y, ("Linf", EPS * 255))
    assert torch.equal(result.success, expected.success)
    assert torch.allclose(result.x_adv / 255, expected.x_adv, atol=1e-5)


def test_normalisation_in_the_model_is_seen_by_the_attack() -> None:
    """Foolbox through secml drops it; here eps is in raw pixels, whoever normalises."""
    inner = Net().eval()
    mean, std = torch.tensor(MEAN)[:, None, None], torch.tensor(STD)[:, None, None]
    by_hand = run(lambda x: inner((x - mean) / std), y=inner((X - mean) / std).argmax(1))
    ours = run(sp.wrap(inner, mean=MEAN, std=STD), y=inner((X - mean) / std).argmax(1))
    assert torch.equal(ours.success, by_hand.success)
    assert torch.allclose(ours.x_adv, by_hand.x_adv, atol=1e-6)


def test_mean_and_std_for_another_number_of_channels() -> None:
    with refused(InputError, "mean/std have 2 channels but the images have 3"):
        run(sp.wrap(Net(), mean=(0.1, 0.2), std=(1, 1)))


def test_half_and_double_images_are_taken() -> None:
    assert equal(run(Net(), X.double()))
    assert run(Net(), X.half()).x_adv.dtype == torch.float32


# --- shapes ---------------------------------------------------------------------------------------------------


def test_one_image_without_a_batch_dimension() -> None:
    with refused(InputError, r"\(3, 6, 6\)", r"\[B, C, H, W\]", r"x\.unsqueeze\(0\)"):
        run(Net(), X[0], Y[:1])


def test_one_image_with_a_batch_dimension() -> None:
    assert torch.equal(run(Net(), X[:1], Y[:1]).x_adv, EXPECTED.x_adv[:1])


def test_a_vector_without_a_batch_dimension() -> None:
    with refused(InputError, r"\(12,\)", r"batch \[B, \.\.\.\]", "unsqueeze"):
        run(nn.Linear(12, 3), torch.rand(12), torch.tensor([0]))


def test_fewer_labels_than_images() -> None:
    with refused(InputError, r"shape \(3,\)", r"\(8,\) is needed"):
        run(Net(), y=Y[:3])


# --- labels ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.bool, torch.complex64])
def test_labels_that_are_no_integers(dtype: torch.dtype) -> None:
    with refused(InputError, str(dtype), r"integers 0\.\.3"):
        run(Net(), y=Y.to(dtype))


@pytest.mark.parametrize("dtype", [torch.int32, torch.uint8, torch.int8])
def test_labels_in_another_integer_type(dtype: torch.dtype) -> None:
    assert equal(run(Net(), y=Y.to(dtype)))


@pytest.mark.parametrize(("off", "seen"), [(4, "to 7"), (-1, "from -1")])
def test_labels_out_of_range(off: int, seen: str) -> None:
    y = Y.clone()
    y[0] = 3 + off if off > 0 else off
    with refused(InputError, seen, "4 classes", r"\(0\.\.3\)"):
        run(Net(), y=y)


def test_labels_that_start_at_one() -> None:
    y = Y.clone()
    y[0] = 3
    with refused(InputError, "to 4", "4 classes"):
        run(Net(), y=y + 1)


@pytest.mark.parametrize("dtype", [torch.int64, torch.float32])
def test_one_hot_labels_are_understood(dtype: torch.dtype) -> None:
    assert equal(run(Net(), y=nn.functional.one_hot(Y, 4).to(dtype)))


def test_soft_labels_are_refused() -> None:
    with refused(InputError, "torch.float32"):
        run(Net(), y=torch.full((8, 4), 0.25))


def test_labels_in_a_column() -> None:
    with refused(InputError, r"shape \(8, 1\)", r"\(8,\) is needed"):
        run(Net(), y=Y[:, None])


def test_no_labels() -> None:
    with refused(InputError, "labels are None"):
        run(Net(), y=None)


def test_labels_as_a_list_or_array() -> None:
    assert equal(run(Net(), y=Y.tolist()))
    assert equal(run(Net(), y=Y.numpy()))


def test_true_labels_given_as_targets() -> None:
    """ART's BoundaryAttack takes true labels as targets by default, returns the inputs and logs 100 % success."""
    with refused(InputError, "8 of 8 target classes are the true class"):
        run(Net(), y=sp.Targeted(Y, Y))
    result = run(Net(), y=sp.Targeted(Y))
    assert result.clean_accuracy == 0
    assert result.distance.tolist() == [0] * 8, (
        "without y nobody can know; then nothing was right, and nothing was attacked"
    )


def test_targets_out_of_range() -> None:
    with refused(InputError, "target classes go from 9 to 9", "4 classes"):
        run(Net(), y=sp.Targeted(9, Y))


# --- the mode of the model ------------------------------------------------------------------------------------


def test_a_model_in_train_mode_is_attacked_in_eval_mode_and_put_back() -> None:
    net = Net().train()
    net.features[1].eval()  # a frozen batch-norm, which net.train() would thaw
    before = state(net)
    assert equal(run(net))
    assert differences(before, state(net)) == []
    assert net.training
    assert not net.features[1].training


def test_dropout_at_test_time_is_kept_where_it_is_meant() -> None:
    net = Net().train()
    net.features[1].eval()
    before = state(net)
    model = sp.wrap(net, mode="as_is")
    with model.guard():
        assert not torch.equal(model.logits(X), model.logits(X)), "dropout is at work"
    assert not equal(run(model))
    assert differences(before, state(net)) == []


def test_a_model_with_a_counter_in_a_buffer_is_put_back() -> None:
    """A net may replace a buffer instead of changing it."""

    class Counting(Net):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("seen", torch.tensor(0))

        def forward(self, x: Tensor) -> Any:
            self.seen = self.seen + len(x)
            return super().forward(x)

    net = Counting().eval()
    buffer = net.seen
    assert equal(run(net))
    assert net.seen is buffer
    assert int(net.seen) == 0


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("kind", ["script", "trace", "freeze"])
def test_torchscript_models_of_every_kind(kind: str) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.random.manual_seed(0)
        plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 4))
    y = plain.eval()(X).argmax(1)
    expected = run(plain, y=y)
    compiled: Any = torch.jit.trace(plain, X) if kind == "trace" else torch.jit.script(plain)
    if kind == "freeze":
        compiled = torch.jit.freeze(compiled)  # has no modes any more
    else:
        compiled.train()
    before = {name: buffer.clone() for name, buffer in compiled.named_buffers()}
    result = run(compiled, y=y)
    assert torch.equal(result.success, expected.success)
    assert torch.allclose(result.x_adv, expected.x_adv, atol=1e-5)
    assert all(torch.equal(before[name], buffer) for name, buffer in compiled.named_buffers())
    assert kind == "freeze" or compiled.training


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_inside_no_grad_and_inference_mode(mode: Callable[[], Any]) -> None:
    net = Net()
    with mode():
        assert equal(run(net))
        assert equal(run(net, X.clone(), Y.clone())), "tensors made inside as well"
        assert equal(run(net, y=sp.Untargeted(Y.clone())))
        assert not torch.is_grad_enabled()
    assert all(parameter.requires_grad for parameter in net.parameters())


def test_tensors_made_in_inference_mode_and_used_outside() -> None:
    with torch.inference_mode():
        x, y = X.clone(), Y.clone()
    assert equal(run(Net(), x, y))


def test_images_that_require_grad() -> None:
    x = X.clone().requires_grad_()
    assert equal(run(Net(), x))
    assert x.grad is None


# --- what the model returns -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("end", "said", "fix"),
    [
        (lambda z: z.softmax(1), "probabilities", "softmax"),
        (lambda z: z.log_softmax(1), "log-probabilities", "log-softmax"),
        (lambda z: z.softmax(1).log(), "log-probabilities", "log-softmax"),
        (lambda z: z.exp() / z.exp().sum(1, keepdim=True), "probabilities", "softmax"),
        (lambda z: z.softmax(1).half(), "probabilities", "softmax"),
        (lambda z: z.softmax(1).detach(), "probabilities", "softmax"),
        (torch.sigmoid, "probabilities", "sigmoid"),
        (lambda z: z[:, :1].sigmoid(), "probabilities", "sigmoid"),
        (lambda z: z[:, 0].sigmoid(), "probabilities", "sigmoid"),
    ],
)
def test_probabilities_instead_of_logits(end: Callable[[Tensor], Tensor], said: str, fix: str) -> None:
    with refused(OutputError, f"returns {said}, not logits", fix, "wrap\\(\\.\\.\\., outputs="):
        run(Net(end), y=torch.zeros_like(Y))


@pytest.mark.parametrize(
    ("end", "outputs"),
    [(lambda z: z.softmax(1), "probabilities"), (lambda z: z.log_softmax(1), "log_probabilities")],
)
def test_probabilities_that_are_declared_are_attacked_as_well_as_logits(
    end: Callable[[Tensor], Tensor], outputs: str
) -> None:
    result = run(sp.wrap(Net(end), outputs=outputs))
    assert torch.equal(result.success, EXPECTED.success)
    assert torch.allclose(result.x_adv, EXPECTED.x_adv, atol=1e-4)


def test_a_sigmoid_that_is_declared_is_two_classes() -> None:
    y = (Net().eval()(X)[:, 0] > 0).long()
    plain = run(Net(lambda z: z[:, :1]), y=y)
    declared = run(sp.wrap(Net(lambda z: z[:, :1].sigmoid()), outputs="probabilities"), y=y)
    assert plain.clean_accuracy == 1
    assert torch.equal(plain.success, declared.success)


def test_logits_that_happen_to_look_like_probabilities_are_taken() -> None:
    """On one image the logits 0.6 and 0.4 add up to 1; the graph shows that no softmax made them."""
    net = nn.Linear(2, 2, bias=False).requires_grad_(False)
    net.weight.copy_(torch.eye(2))
    assert bool(run(net, torch.tensor([[0.6, 0.4]]), torch.tensor([0]), attack=sp.FGSM(), seed=0).clean_correct)


@pytest.mark.parametrize(
    "end",
    [
        lambda z: SimpleNamespace(logits=z, hidden_states=None),
        lambda z: {"logits": z, "loss": None},
        lambda z: (z, "features"),
        lambda z: [z],
    ],
    ids=["object", "dict", "tuple", "list"],
)
def test_logits_in_an_object_dict_tuple_or_list(end: Callable[[Tensor], Any]) -> None:
    assert equal(run(Net(end)))


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (lambda z: {"scores": z, "boxes": z}, [r"a dict with keys \['boxes', 'scores'\]", "classifiers only"]),
        (lambda z: [{"boxes": z}], ["a list", "'logits'"]),
        (lambda z: SimpleNamespace(predictions=z), ["SimpleNamespace", "'logits'"]),
        (lambda z: None, ["NoneType"]),
        (lambda z: z[:, :, None, None].expand(-1, -1, 5, 5), [r"shape \(8, 4, 5, 5\)", r"\[batch, classes\]"]),
        (lambda z: z[:, :, None, None].expand(-1, -1, 5, 5).softmax(1), [r"shape \(8, 4, 5, 5\)"]),
        (lambda z: z.argmax(1), ["torch.int64", "access='decision'"]),
        (lambda z: z.mean(0, keepdim=True), [r"shape \(1, 4\) for 8 images"]),
        (lambda z: z.sum(), [r"shape \(\) for 8 images"]),
    ],
    ids=["dict", "detections", "object", "none", "maps", "soft-maps", "classes", "batch-mean", "scalar"],
)
def test_outputs_that_are_no_logits(end: Callable[[Tensor], Any], said: list[str]) -> None:
    with refused(OutputError, *said):
        run(Net(end))


def test_a_batch_of_one_that_the_net_squeezes() -> None:
    assert torch.equal(run(Net(torch.squeeze), X[:1], Y[:1]).x_adv, EXPECTED.x_adv[:1])
    y = (Net().eval()(X)[:, 0] > 0).long()
    one = Net(lambda z: z[:, :1].squeeze())
    assert torch.equal(run(one, X[:1], y[:1]).x_adv, run(one, y=y).x_adv[:1])


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("access", ["gradient", "decision"])
def test_nan_or_inf_in_the_logits_of_clean_images(bad: float, access: str) -> None:
    def end(z: Tensor) -> Tensor:
        z = z.clone()
        z[len(z) // 2, 1] = bad
        return z

    net = Net(end)
    if access == "decision":
        prediction = sp.wrap(net.eval(), access="decision").labels(X)
        assert int(prediction[4]) == -1, "no class, which the attacks refuse"
    else:
        with refused(OutputError, "NaN or Inf for 1 of 8", "number 4"):
            run(net)


def test_num_classes_that_do_not_fit() -> None:
    with refused(OutputError, "gave 4 logits", "num_classes=10"):
        run(sp.wrap(Net(), num_classes=10))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"access": "white-box"}, "must be one of decision, score, gradient"),
        ({"box": (1, 0)}, "low < high"),
        ({"std": (0.1, 0, 0.1)}, "every value must be > 0"),
        ({"mean": (math.nan,)}, "finite"),
        ({"outputs": "logit"}, "outputs"),
        ({"mode": "evaluate"}, "mode"),
    ],
)
def test_options_of_wrap_that_make_no_sense(options: dict[str, Any], said: str) -> None:
    with refused(InputError, said):
        sp.wrap(Net(), **options)


def test_a_model_that_cannot_be_called_or_is_wrapped_twice() -> None:
    with refused(InputError, "str", "can't be called"):
        sp.wrap("resnet18")
    model = sp.wrap(Net())
    assert sp.wrap(model) is model
    with refused(InputError, "wrapped already", "mean"):
        sp.wrap(model, mean=0.5)


# --- settings that quietly do nothing -------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [1, 2, 5, 10, 40])
@pytest.mark.parametrize("spec", ["bim", "pgd", "mifgsm", "ilcm"])
def test_whatever_the_number_of_steps_they_can_cross_the_ball(spec: str, steps: int) -> None:
    """Ten steps of eps / 30, a default elsewhere, end a third of the way: accuracy 81 % where 25 % is true."""
    net = nn.Linear(12, 2, bias=False).requires_grad_(False)
    net.weight.copy_(torch.stack([-torch.ones(12), torch.ones(12)]))
    x = torch.full((3, 12), 0.5)
    model = sp.wrap(lambda x: net(x - 0.5) - torch.tensor([0.0, 20.0]))  # out of reach: every step is made
    result = sp.attack(f"{spec}:steps={steps}")(model, x, torch.zeros(3).long(), ("Linf", 0.2))
    assert torch.allclose(result.x_adv, torch.full_like(x, 0.7)), "at the edge of the ball"


def test_one_step_of_bim_is_fgsm_and_not_nothing() -> None:
    """adv-lib tests before it steps and never the last iterate: with steps=1 it returns the clean batch."""
    one = run(Net(), attack=sp.BIM(steps=1))
    assert torch.allclose(one.x_adv, run(Net(), attack=sp.FGSM()).x_adv)
    assert bool((one.x_adv != X).any())


def test_success_survives_eight_bits() -> None:
    """30 to 40 % of nearly minimal successes elsewhere die when they are saved as pictures."""
    x = (X * 255).round() / 255
    net = Net().eval()
    y = net(x).argmax(1)
    result = PGD(net, x, y, sp.Threat("Linf", "8/255", levels=256))
    saved = (result.x_adv * 255).round().to(torch.uint8)
    again = net(saved.float() / 255).argmax(1)
    assert torch.equal(again != y, result.success)
    assert bool(((saved.int() - (x * 255).round().int()).abs() <= 8).all())


def test_eight_bits_need_images_on_the_grid() -> None:
    with refused(InputError, "not on the grid of 256 levels", "round them first"):
        PGD(Net(), X, Y, sp.Threat("Linf", EPS, levels=256))


def test_eps_zero_changes_nothing() -> None:
    result = PGD(Net(), X, Y, ("Linf", 0))
    assert torch.equal(result.x_adv, X)
    assert not bool(result.success.any())


def test_eps_forgotten() -> None:
    with refused(InputError, "pgd needs a radius"):
        PGD(Net(), X, Y, sp.Threat("Linf"))
