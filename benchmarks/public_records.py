"""Two public records: MNIST nets at Linf 0.3 on all 10,000 test images, attacked where they are near.

| net | published |
|---|---|
| `smallcnn-trades` | TRADES' MNIST challenge: AutoAttack 92.81 %, best known attack 92.46 % |
| `mnist-fast-2020` | fast_adversarial: its authors 88.77 %, AutoAttack 82.93 % |

A campaign is a list of rounds. A round runs one attack on the images that still stand and are nearest: those with the
largest margin reached so far. Cheap rounds come first, on all images; each later one costs more and looks at fewer.
After each part the state is written to `--work`; the same command goes on from there.

    python benchmarks/public_records.py --net smallcnn-trades --work DIR --seconds 1100      # from the stored record on
    python benchmarks/public_records.py --net smallcnn-trades --work DIR --export            # the file of the record
    python benchmarks/public_records.py --verify                                             # proves both figures

A record holds, for each broken image, its number and its perturbation as whole numbers q: the point is
x + eps (1 - 1e-6) q / levels, clipped to [0, 1], in float32. What is judged, here and by `--verify`, is that point:
its distance in float64 is at most eps, without tolerance, and the margin of the wrong class is above 1e-4.
Needs `$SPARRING_DATA` with `mnist/`, `nets/` and `published/`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor, nn

import sparring as sp
from common import data_dir, load_images, skip, small_cnn, table
from sparring.attack import Attack, register
from sparring.blocks.apgd import apgd_from
from sparring.blocks.squares import SQUARES
from sparring.bout import Bout
from sparring.losses import Loss, margin
from sparring.norms import Linf, per
from sparring.zoo.nets import make_net

EPS = 0.3
INSIDE = EPS * (1 - 1e-6)
"the radius of stored points: float32 rounds none of them out of the ball"
SURE = 1e-4
"the least margin of a stored point: another machine's rounding does not undo it"
LEVELS = (1, 127, 32767)
"how finely a perturbation is stored, the coarsest that fools"
PART = 250
RECORDS = Path(__file__).parent / "records"


@dataclass(frozen=True)
class Net:
    """A public net: its file in `$SPARRING_DATA`, how to build it, and what was published."""

    file: str
    build: Callable[[], nn.Module]
    autoattack: float
    best: float


NETS = {
    "smallcnn-trades": Net("nets/smallcnn-trades.safetensors", small_cnn, 92.81, 92.46),
    "mnist-fast-2020": Net("published/mnist-fast-2020.safetensors", lambda: make_net("wong"), 82.93, 82.93),
}


# ------------------------------------------------------------------------------------------------ one more attack
@register("hops", title="Hops", sees="gradient", norms=(Linf,), year=2026, paper="", random=True, listed=False)
class Hops(Attack):
    """Basin hopping: shake the best point, climb again with few steps, keep what is higher.

    A shake repaints `squares` random squares with +-eps, or mixes in a random point of the surface.

    Args:
        hops: shakes. steps: gradients of each climb. squares: how many. share: of the image, of one square.
        mix: the largest share of the random point. loss: what is climbed. starts: clean images to first points.
    """

    hops: PositiveInt = 20
    steps: PositiveInt = 10
    squares: PositiveInt = 3
    share: Annotated[float, Field(gt=0, le=1)] = 0.05
    mix: PositiveFloat = 0.5
    step: PositiveFloat = 1.0
    loss: Loss = margin
    starts: Annotated[Any, Field(exclude=True)] = None

    def run(self, bout: Bout) -> None:
        z = bout.ball.project(bout.x if self.starts is None else self.starts(bout.x))
        value = margin(bout.logits(z), bout.goal)
        for k in range(self.hops):
            z, value = bout.active(z, value)
            part = bout.child(k)
            if not len(part):
                return
            new = part.active(apgd_from(part, self._shaken(part, z, k), self.steps, self.loss, self.step))
            z, value = bout.active(z, value)
            if not len(part):
                return
            new_value = margin(part.logits(new), part.goal)
            new, new_value = part.active(new, new_value)
            z, value = bout.active(z, value)
            z = torch.where(per(new_value > value, z), new, z)
            value = torch.maximum(value, new_value)

    def _shaken(self, bout: Bout, z: Tensor, k: int) -> Tensor:
        if k % 2:
            share = self.mix * bout.noise.uniform(1, 1, 1)
            return bout.ball.project(z.lerp(bout.ball.surface(bout.noise), share))
        for _ in range(self.squares):
            z = SQUARES[Linf].change(bout.ball, z, self.share, bout.noise)
        return z


# ------------------------------------------------------------------------------------------------ the campaign
FIRST = (
    ("apgd-ce:steps=20", 10000),
    ("apgd-dlr:steps=20", 4000),
    ("square:queries=100", 2500),
    ("apgd-square:steps=25,queries=150", 1500),
    ("apgd-t:steps=30,targets=4", 900),
    ("hops:hops=15,steps=8", 600),
    ("apgd-square:steps=50,queries=600,loss=dlr", 400),
)
"each round: an attack, on so many of the nearest"
AGAIN = (
    ("hops:hops=20,steps=10", 300),
    ("hops:hops=80,steps=15,squares=20,share=0.002", 100),
    ("apgd-square:steps=50,queries=1000", 300),
    ("hops:hops=20,steps=10,squares=1,share=0.15,loss=dlr", 200),
    ("apgd-t:steps=60,targets=9", 150),
    ("hops:hops=40,steps=10,squares=8,share=0.01", 150),
    ("square:queries=2500", 150),
)
"then these, over and over with other seeds"


@dataclass
class State:
    """What is known of each image.

    Attributes:
        margin: [N] the largest so far. points: [N, 784] where it was reached. broken: bool [N], judged by `packed`.
        rounds: a dict for each round begun: attack, seed, todo, tried, broke, forward, backward, seconds.
    """

    file: Path
    margin: np.ndarray
    points: np.ndarray
    broken: np.ndarray
    wrong: np.ndarray
    rounds: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def load(cls, file: Path) -> State:
        with np.load(file) as saved:
            kept = [saved[name] for name in ("margin", "points", "broken", "wrong")]
            return cls(file, *kept, json.loads(str(saved["rounds"])))

    def save(self) -> None:
        new = self.file.with_suffix(".new.npz")
        np.savez(
            new,
            margin=self.margin,
            points=self.points,
            broken=self.broken,
            wrong=self.wrong,
            rounds=json.dumps(self.rounds),
        )
        new.replace(self.file)

    @property
    def stands(self) -> np.ndarray:
        return ~(self.broken | self.wrong)

    @property
    def passes(self) -> int:
        return sum(one["forward"] + one["backward"] for one in self.rounds)


def begin(net: nn.Module, x: Tensor, y: Tensor, file: Path, record: Path) -> State:
    """Before the first round: who is wrong on the clean image, and what the stored record has broken."""
    gap = margins(net, x, y).numpy()
    state = State(file, gap, x.flatten(1).numpy().copy(), np.zeros(len(x), bool), gap > 0)
    if record.exists():
        at, point, rounds = stored(x, record)
        fooled = (legal(x[at], point) & (margins(net, point, y[at]) > 0)).numpy()
        state.broken[at[fooled]] = True
        state.points[at[fooled]] = point.flatten(1).numpy()[fooled]
        state.rounds = [one | {"todo": []} for one in rounds]
    return state


def stored(x: Tensor, record: Path) -> tuple[np.ndarray, Tensor, list[dict[str, Any]]]:
    """What a record holds: the numbers of its images, their points, and its rounds."""
    with np.load(record) as saved:
        at, levels = saved["image"].astype(np.int64), saved["levels"].astype(np.int64)
        q = np.zeros((len(at), x[0].numel()), np.int16)
        bits = [np.unpackbits(saved[key], axis=1)[:, : q.shape[1]].astype(np.int16) for key in ("up", "down")]
        q[levels == 1], q[levels != 1] = bits[0] - bits[1], saved["fine"]
        rounds: list[dict[str, Any]] = json.loads(str(saved["rounds"]))
    return at, unpacked(x[torch.from_numpy(at)], q, levels), rounds


def attack(state: State, model: sp.Model, net: nn.Module, x: Tensor, y: Tensor, until: float, plan: Any) -> None:
    """Run rounds until the time is over; the state is written after each part."""
    while time.monotonic() < until:
        if not state.rounds or not state.rounds[-1]["todo"]:
            spec, count = plan(len(state.rounds))
            standing = np.flatnonzero(state.stands)
            nearest = standing[np.argsort(-state.margin[standing], kind="stable")][:count]
            zeros = dict.fromkeys(("tried", "broke", "forward", "backward", "seconds"), 0)
            state.rounds.append(
                {"attack": spec, "seed": len(state.rounds), "nearest": count, "todo": nearest.tolist()} | zeros
            )
        part(state, state.rounds[-1], model, net, x, y)
        state.save()
        if not state.rounds[-1]["todo"]:
            one = state.rounds[-1]
            took = one["forward"] + one["backward"]
            print(
                f"{one['attack']:50s} tried {one['tried']:5d} broke {one['broke']:4d} passes {took:8d} "
                f"{one['seconds']:6.0f} s  stands {state.stands.mean():.2%}",
                flush=True,
            )


def part(state: State, one: dict[str, Any], model: sp.Model, net: nn.Module, x: Tensor, y: Tensor) -> None:
    """The next images of a round."""
    at, one["todo"] = np.array(one["todo"][:PART]), one["todo"][PART:]
    rows = torch.from_numpy(at)
    search = sp.attack(one["attack"])
    if isinstance(search, Hops):
        known = {image.numpy().tobytes(): row for image, row in zip(x[rows], at.tolist(), strict=True)}

        def starts(clean: Tensor) -> Tensor:
            return torch.from_numpy(state.points[[known[image.numpy().tobytes()] for image in clean]]).view_as(clean)

        search = type(search)(**{name: getattr(search, name) for name in search.settings()} | {"starts": starts})
    found = search(model, x[rows], y[rows], sp.Threat("Linf", EPS), seed=one["seed"])
    fooled = packed(net, x[rows], y[rows], found.x_adv)[0] > 0
    higher = found.margin.numpy() > state.margin[at]
    state.margin[at[higher]] = found.margin.numpy()[higher]
    state.points[at[higher]] = found.x_adv.flatten(1).numpy()[higher]
    state.broken[at[fooled]] = True
    one["tried"] += len(at)
    one["broke"] += int(fooled.sum())
    one["forward"] += int(found.queries.sum())
    one["backward"] += int(found.gradients.sum())
    one["seconds"] = round(one["seconds"] + found.seconds, 1)


# ------------------------------------------------------------------------------------------------ judging
def margins(net: nn.Module, z: Tensor, y: Tensor) -> Tensor:
    """[n] the best wrong logit minus the right one."""
    with torch.no_grad():
        logits = torch.cat([net(one) for one in z.split(PART)])
    rest = logits.scatter(1, y[:, None], float("-inf")).amax(1)
    return rest - logits.gather(1, y[:, None]).squeeze(1)


def unpacked(x: Tensor, q: np.ndarray, levels: np.ndarray) -> Tensor:
    """The points [n, 1, 28, 28] that whole numbers q [n, 784] stand for."""
    moves = INSIDE * q.astype(np.float64) / levels[:, None]
    point = np.clip(x.flatten(1).double().numpy() + moves, 0, 1)
    return torch.from_numpy(point).float().view_as(x)


def legal(x: Tensor, z: Tensor) -> Tensor:
    """bool [n]: inside ball and box, in float64, without tolerance."""
    far = (z.double() - x.double()).flatten(1).abs().amax(1)
    return (far <= EPS) & (z.flatten(1).amin(1) >= 0) & (z.flatten(1).amax(1) <= 1)


def packed(net: nn.Module, x: Tensor, y: Tensor, z: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """How points are stored: levels [n], 0 where none of them fools surely, and whole numbers [n, 784]."""
    move = (z - x).flatten(1).double().numpy() / EPS
    levels, kept = np.zeros(len(x), np.int64), np.zeros((len(x), x[0].numel()), np.int16)
    clean = x.flatten(1).numpy()
    for level in LEVELS:
        q = np.rint(move * level).clip(-level, level).astype(np.int16)
        if level == 1:  # what the box cut off is whole in the ball
            q = np.where((move > 0) & (clean + EPS > 1), 1, np.where((move < 0) & (clean < EPS), -1, q))
        q[(q < 0) & (clean == 0) | (q > 0) & (clean == 1)] = 0
        point = unpacked(x, q, np.full(len(x), level))
        take = (levels == 0) & ((margins(net, point, y) > SURE) & legal(x, point)).numpy()
        levels[take], kept[take] = level, q[take]
    return levels, kept


def export(state: State, name: str, net: nn.Module, x: Tensor, y: Tensor) -> None:
    """Write the record: numbers, levels, whole numbers, and what each round did."""
    at = np.flatnonzero(state.broken)
    rows = torch.from_numpy(at)
    levels, q = packed(net, x[rows], y[rows], torch.from_numpy(state.points[at]).view_as(x[rows]))
    print(f"{len(at)} broken; stored by sign {int((levels == 1).sum())}, 127 levels {int((levels == 127).sum())}")
    at, levels, q = at[levels > 0], levels[levels > 0], q[levels > 0]
    rounds = [{key: value for key, value in one.items() if key != "todo"} for one in state.rounds]
    RECORDS.mkdir(exist_ok=True)
    file = RECORDS / f"{name}.npz"
    signs = levels == 1
    np.savez_compressed(
        file,
        image=at.astype(np.int16),
        levels=levels.astype(np.int16),
        up=np.packbits(q[signs] > 0, axis=1),
        down=np.packbits(q[signs] < 0, axis=1),
        fine=q[~signs].astype(np.int16),
        rounds=json.dumps(rounds),
    )
    print(f"{file}: {file.stat().st_size:,} bytes")


def verify(name: str) -> list[object] | None:
    """Judge a record afresh: a row of the table, None where there is no file."""
    file = RECORDS / f"{name}.npz"
    if not file.exists():
        return None
    net, x, y = open_net(name)
    at, point, rounds = stored(x, file)
    rows = torch.from_numpy(at)
    fooled = legal(x[rows], point) & (margins(net, point, y[rows]) > 0)
    if not bool(fooled.all()) or len(set(at.tolist())) != len(at):
        print(f"WRONG: {name}: {int((~fooled).sum())} of {len(at)} stored points do not fool")
    broken = margins(net, x, y) > 0
    clean = 1 - broken.float().mean().item()
    broken[rows[fooled]] = True
    passes = sum(one["forward"] + one["backward"] for one in rounds)
    return [
        name,
        f"{clean:.2%}",
        f"{NETS[name].autoattack:.2f} %",
        f"{NETS[name].best:.2f} %",
        f"{1 - broken.float().mean().item():.2%}",
        int(fooled.sum()),
        round(passes / len(x)),
        f"{file.stat().st_size / 1000:.0f} kB",
    ]


def by_attack(name: str) -> None:
    """Print what each attack broke, over its rounds."""
    with np.load(RECORDS / f"{name}.npz") as saved:
        rounds = json.loads(str(saved["rounds"]))
    sums: dict[str, list[float]] = {}
    for one in rounds:
        mine = sums.setdefault(one["attack"], [0, 0, 0, 0, 0.0])
        passes = one["forward"] + one["backward"]
        for k, more in enumerate((1, one["tried"], one["broke"], passes, one["seconds"])):
            mine[k] += more
    rows = [[spec, *map(int, mine)] for spec, mine in sums.items()]
    table(f"{name}: what each attack broke", ["attack", "rounds", "tried", "broke", "passes", "seconds"], rows)


def open_net(name: str) -> tuple[nn.Module, Tensor, Tensor]:
    """The net, and all test images with their labels."""
    folder = data_dir()
    if folder is None or not (folder / NETS[name].file).exists():
        skip(f"no {NETS[name].file} in $SPARRING_DATA")
    from safetensors.torch import load_file

    net = NETS[name].build()
    net.load_state_dict(load_file(folder / NETS[name].file))
    return net.eval().requires_grad_(False), *load_images(10000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--net", choices=list(NETS))
    parser.add_argument("--work", type=Path, default=Path("records-work"), help="folder of the state")
    parser.add_argument("--seconds", type=float, default=600, help="stop after so many; run again to go on")
    parser.add_argument("--round", action="append", default=[], help="SPEC@COUNT: this round next, instead of the plan")
    parser.add_argument("--export", action="store_true", help="write the record of --net")
    parser.add_argument("--verify", action="store_true", help="judge the stored records and print the table")
    args = parser.parse_args()
    if args.verify:
        rows = [row for row in map(verify, NETS) if row is not None]
        header = ["net", "clean", "AutoAttack", "best known", "this record", "images", "passes an image", "file"]
        table(f"Linf {EPS}, 10,000 test images, judged afresh", header, rows)
        for row in rows:
            by_attack(str(row[0]))
        return
    if args.net is None:
        parser.error("--net is needed")
    net, x, y = open_net(args.net)
    args.work.mkdir(parents=True, exist_ok=True)
    file = args.work / f"{args.net}.npz"
    state = State.load(file) if file.exists() else begin(net, x, y, file, RECORDS / f"{args.net}.npz")
    if args.export:
        export(state, args.net, net, x, y)
        return
    own = [(spec, int(count)) for spec, _, count in (one.rpartition("@") for one in args.round)]
    first = len(state.rounds)

    def plan(k: int) -> tuple[str, int]:
        if own:
            if k - first < len(own):
                return own[k - first]
            raise SystemExit
        return FIRST[k] if k < len(FIRST) else AGAIN[(k - len(FIRST)) % len(AGAIN)]

    attack(state, sp.wrap(net), net, x, y, time.monotonic() + args.seconds, plan)
    print(f"{args.net}: {state.stands.mean():.2%} stand, {state.passes / len(x):.0f} passes an image")


if __name__ == "__main__":
    main()
