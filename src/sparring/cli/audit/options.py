"""The options of an audit, as one value: given on the command line, kept in the folder of a run, and read back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sparring.audit.inputs.settings import AuditSettings
from sparring.cli.loading import LoadOptions
from sparring.cli.options import (
    DeviceOption,
    ThreatOptions,
    TrustOption,
    WeightsOption,
    built,
    flat,
    leaves_of,
    printed,
    run_plugins,
)

if TYPE_CHECKING:
    from rich.console import Console

    from sparring.audit.report.report import Report
    from sparring.audit.run.plan import Plan

FILE = "options.json"
"in the folder of a run"

RunModel = Annotated[
    str,
    typer.Option(
        "--model", "-m", metavar="SPEC", help="Take this model instead of the run's.", rich_help_panel="Model and data"
    ),
]
RunData = Annotated[
    str,
    typer.Option(
        "--data", "-d", metavar="SPEC", help="Take these images instead of the run's.", rich_help_panel="Model and data"
    ),
]


@dataclass(frozen=True, kw_only=True)
class AuditOptions:
    """All that the result of `sparring audit` depends on."""

    load: LoadOptions
    threat: ThreatOptions
    settings: AuditSettings

    def plan(self, log: Console | None = None) -> Plan:
        """What the audit will do; loads the model and the images. `log`: where notes about them go."""
        from sparring.audit.api import plan_of
        from sparring.threat import Threat

        model, images = self.load.load(log)
        return plan_of(model, images, Threat(self.threat.norm, self.threat.eps), self.settings)

    def on(self, report: Report) -> Report:
        """The report with the command that repeats it, and the options in its settings."""
        return replace(report, command=self.command, settings={**report.settings, "options": flat(self)})

    @property
    def command(self) -> str:
        """What a person types to repeat the audit."""
        return f"sparring audit {printed(self)}"

    def keep(self, folder: Path) -> None:
        """Write them into the folder of a run."""
        from sparring.scale.store import json_bytes
        from sparring.storage import write

        write(folder / FILE, json_bytes(flat(self)), durable=True)


@dataclass(frozen=True, kw_only=True)
class InsteadOptions:
    """What a command that works on a run may put in the place of the run's own options."""

    model: RunModel = ""
    weights: WeightsOption = None
    data: RunData = ""
    trust: TrustOption = False
    device: DeviceOption = None

    def of(self, folder: Path) -> AuditOptions:
        """The options that the run in `folder` was started with, and these in their place.

        Raises:
            InputError: there are none; or they name code, and nobody has said that it may run: a folder from somebody
                else is not believed.
        """
        from sparring.errors import InputError

        known = recorded(folder)
        if not self.model and not self.trust and _runs_or_asks(known["model"]):
            raise InputError(
                f"the run in {folder} is about {known['model']}, which is code or a web service: to use it, name it "
                f"(--model {known['model']}) or say --trust"
            )
        twin = known.get("twin")
        if twin is not None and not self.trust and _runs_or_asks(str(twin)):
            raise InputError(
                f"the run in {folder} takes gradients from {twin}, which is code or a web service: to use it, say "
                "--trust"
            )
        plugins = known.get("plugin") or []
        if plugins and not self.trust:
            raise InputError(
                f"the run in {folder} uses plugins, which are code: {', '.join(plugins)}; to run them, say --trust"
            )
        run_plugins(plugins)
        chosen = {name: value for name, value in flat(self).items() if value}
        return built(AuditOptions, {**known, **chosen, "trust": self.trust})


def recorded(folder: Path) -> dict[str, Any]:
    """The options as they lie in the folder of a run, by name.

    Raises:
        InputError: there are none.
    """
    import json

    from sparring.errors import InputError

    path = folder / FILE
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{folder} holds no run of sparring audit: there is no {FILE} in it") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}); give the folder of a run") from None
    if not isinstance(known, dict) or not isinstance(known.get("model"), str):
        raise InputError(f"{path} does not say which model was audited; give the folder of a run")
    for leaf in leaves_of(AuditOptions):
        if leaf.name in known and not leaf.fits(known[leaf.name]):
            raise InputError(
                f"{path} has {leaf.name} = {str(known[leaf.name])[:60]!r}; that is no value of this option"
            )
    return known


def _runs_or_asks(spec: str) -> bool:
    from sparring.zoo.loaders import SCHEMES

    scheme, colon, _ = spec.partition(":")
    return bool(colon) and scheme not in set(SCHEMES) - {"http", "https"}
