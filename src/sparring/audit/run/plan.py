"""The plan of an audit: what is to be done, to what, in which shards.

Three kinds of work follow from it, each in a file of its own:

    prepare.py    one look at all images, the sanity subset, the probes                          -> Prepared
    shard.py      every attack on one shard, with the proof of what it broke                      -> ShardResult
    conclude.py   the shards counted together, checked and judged; asks the model nothing         -> Report

`schedule.py` says which attacks run on a shard. `in_process.py` and `folder.py` have the work done.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from sparring.audit.cascade.wrappers import surrogate_of, surrogate_text
from sparring.audit.inputs.certificates import prover
from sparring.audit.inputs.claims import Claim
from sparring.audit.inputs.provenance import about_model, code_name, tensor_sha256
from sparring.audit.inputs.settings import AuditSettings
from sparring.audit.inputs.source import Source
from sparring.audit.probes.asked import Alone
from sparring.audit.probes.history import Memory, Restored
from sparring.audit.probes.probe import Probes
from sparring.audit.suites.replay import Replay
from sparring.audit.suites.stage import Stage, Suite
from sparring.certify.methods import Method
from sparring.model import Model
from sparring.plugins import loaded_plugins
from sparring.threat import Threat, eps_text, parse_eps

FORMAT = "sparring-audit-run-1"


@dataclass(frozen=True)
class Plan:
    """What is to be done; `audit` has checked that it can be.

    Attributes:
        stages, left_out: of the suite, what can run here, and why the others cannot.
        asked: the settings as the user gave them. training: modules found in train mode.
        certified: [N] radii that somebody has proved, see `audit.certified`; None = none.
        settings: what came of them, for the report. memory: what the model kept when nothing had been asked of it.
    """

    model: Model
    source: Source
    threat: Threat
    suite: Suite
    stages: tuple[Stage, ...]
    left_out: tuple[str, ...]
    claims: tuple[Claim, ...]
    asked: AuditSettings
    training: tuple[str, ...] = ()
    certified: Tensor | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    memory: Memory | None = field(default=None, compare=False, repr=False)

    def seen(self, probes: Probes) -> Model:
        """The model as attacks and judges see it: put back before each question if it remembers questions, and asked
        for one image at a time if it looks at the others of a batch."""
        model = Restored(self.model, self.memory) if probes.remembers and self.memory is not None else self.model
        return Alone(model) if probes.alone else model

    def as_seen(self, probes: Probes) -> Plan:
        """The plan with the model as it is seen."""
        return replace(self, model=self.seen(probes))

    @property
    def seed(self) -> int:
        """Of all random numbers."""
        return self.asked.seed

    @property
    def batch_size(self) -> int:
        """Images at once."""
        return self.asked.batch_size

    @property
    def prover(self) -> Method | None:
        """What proves the images that attacks have left."""
        return None if self.asked.certify is None else prover(self.asked.certify)

    @property
    def clean_floor(self) -> float | None:
        """See `refuse_chance`."""
        return self.asked.clean_floor

    @property
    def shard_size(self) -> int:
        """Images a shard."""
        return self.asked.shard_size

    @property
    def shards(self) -> int:
        """How many shards there are."""
        return -(-len(self.source) // self.shard_size)

    def span(self, number: int) -> slice:
        """The images of a shard."""
        start = number * self.shard_size
        return slice(start, min(start + self.shard_size, len(self.source)))

    def in_batches_of(self, size: int) -> Plan:
        """The same plan, done in batches of this size: its result is the same."""
        return self if size == self.batch_size else replace(self, asked=replace(self.asked, batch_size=size))

    def receipt(self, draws: int) -> bool:
        """Whether random images are attacked again without shortcuts; not where the model answers at random, nor where
        it is too expensive for searches."""
        return self.suite.receipt and self.asked.receipt == "auto" and not draws and self.surrogate is None

    @property
    def surrogate(self) -> str | None:
        """What stands in for the model in searches, in words; None = nothing does."""
        found = surrogate_of(self.model)
        return None if found is None else surrogate_text(found)

    def radii(self) -> list[float]:
        """The audited eps, and any other that a claim is about: the truth there takes a cascade of its own."""
        assert self.threat.eps is not None
        others = {claim.eps for claim in self.claims if claim.eps} - {self.threat.eps}
        return [self.threat.eps, *sorted(eps for eps in others if eps is not None)]

    def at(self, eps: float) -> Threat:
        """The threat at another radius."""
        return replace(self.threat, eps=eps)

    def claims_at(self, eps: float, named: bool = False) -> list[Claim]:
        """The claims about a radius; `named`: only those that name an attack, which is to be run again."""
        return [claim for claim in self.claims if claim.eps == eps and (claim.attack is not None or not named)]

    def curve_stage(self) -> Stage | None:
        """The attack that draws the security curve."""
        return self.suite.curve(self.model, self.threat)

    def identity(self) -> dict[str, Any]:
        """What decides about the result, as plain values: two runs that agree in it may share a folder.

        The images themselves are not in it: each shard is compared with what the head has seen (`attack_shard`).
        """
        return {
            "format": FORMAT,
            "shards": self.shards,
            "shard_size": self.shard_size,
            "code": code_name(),
            "model": {name: value for name, value in about_model(self.model).items() if name != "name"},
            "data": {"name": self.source.name, "split": self.source.split, "n": len(self.source)},
            "threat": self.threat.to_dict(),
            "region": None if self.threat.region is None else tensor_sha256(self.threat.region),
            "suite": self.suite.name,
            "radii": self.radii(),
            "subset": self.suite.subset,
            "controls": {
                "transfer": self.suite.transfer,
                "longer": self.suite.longer,
                "receipt": self.suite.receipt and self.asked.receipt,
            },
            "stages": [_stage(stage) for stage in self.stages],
            "curve": None if (stage := self.curve_stage()) is None else _stage(stage),
            "claims": [claim.spec for claim in self.claims],
            "certified": None if self.certified is None else tensor_sha256(self.certified),
            **({} if self.asked.certify is None else {"certify": prover(self.asked.certify).spec}),
            "seed": self.seed,
            "batch_size": self.batch_size,
            "clean_floor": self.clean_floor,
            **({"plugins": loaded_plugins()} if loaded_plugins() else {}),
        }

    def command(self) -> str:
        """A call that does it again."""
        claims = f", claims={[claim.spec for claim in self.claims]}" if self.claims else ""
        claims += f', certify="{self.prover.spec}"' if self.prover is not None else ""
        assert self.threat.eps is not None
        short = eps_text(self.threat.eps)
        spelled = short if parse_eps(short) == self.threat.eps else repr(self.threat.eps)
        threat = f'sp.Threat("{self.threat.norm}", eps={spelled})'
        return f'sp.audit(model, data, {threat}, suite="{self.suite.name}"{claims}, seed={self.seed})'


def _stage(stage: Stage) -> list[Any]:
    """A stage as plain values; a replayed run by what is in it, not by where it lies."""
    attack = stage.attack()
    spec = Replay(folder=attack.corpus.sha256).spec if isinstance(attack, Replay) else stage.spec
    return list({**stage.__dict__, "spec": spec}.values())
