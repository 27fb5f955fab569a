"""`sparring audit --plan`: what each number of images would take, as a table; nothing is audited."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sparring.audit.run.plan import Plan


def print_forecast(plan: Plan, path: Path | None, quiet: bool) -> None:
    """Probe, print, and write the same as JSON to `path`, if there is one."""
    from sparring.audit.run.forecast import forecast
    from sparring.cli.console import Stdout
    from sparring.cli.tables import table
    from sparring.durations import duration
    from sparring.storage import write_json

    found = forecast(plan)
    if path is not None:
        write_json(path, found.to_dict())
    if quiet:
        return
    rows = table("images", "time", "95 % interval")
    for offer in found.offers:
        rows.add_row(f"{offer.images:,}", duration(offer.seconds), f"+- {100 * offer.half_width:.1f} points")
    console = Stdout()
    console.say(f"what the suite {found.suite} would take, at {found.per_pass * 1e3:.2g} ms a pass")
    console.print(rows)
    last = found.offers[-1]
    others = ", ".join(f"{name} {duration(seconds)}" for name, seconds in found.suites)
    reached = "" if found.reached else " (it did not reach every attack: a rough guess)"
    console.say(f"{last}; all of them with each suite: {others}")
    if not found.tried:
        console.say("from what an answer takes, of the model and of the surrogate that attacks search on")
        return
    console.say(
        f"from {found.tried} images in {found.seconds:.0f} s{reached}; {found.standing} of them are unbroken so far"
    )
