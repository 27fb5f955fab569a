"""One audit from its options to its report: `sparring audit` and `sparring rerun` do the same."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sparring.cli.console import note, stderr, working

if TYPE_CHECKING:
    from sparring.audit.inputs.requirements import Requirement
    from sparring.cli.audit.files import Files
    from sparring.cli.audit.options import AuditOptions
    from sparring.cli.audit.work import Work


def perform(
    options: AuditOptions,
    work: Work,
    files: Files,
    fail_under: str | None = None,
    quiet: bool = False,
    place: Path | None = None,
) -> bool:
    """Audit, write the report, print it; False where a requirement is not met.

    Args:
        place: the --out of the user, which `work.out` stands for; see `Work.kept`.

    Raises:
        InputError: something is wrong with an option; found out before the work, as far as can be.
    """
    from sparring.audit.run.expensive import said as expensive
    from sparring.cli.audit.progress import watching
    from sparring.cli.audit.show import print_report, shown

    log = stderr(quiet)
    required = requirements(options, fail_under)
    work.check()
    files.check()
    with working(log, options.load.title):
        plan = options.plan(log)
    if plan.surrogate is not None:
        note(log, expensive(plan))
    with watching(log) as progress:
        report = work.carry_out(plan, options, progress, log)
    if report is None:
        if work.worker is None and work.out is not None:
            note(log, f"this share is done; when all are: sparring merge {shown(work.out, work.out, place)}")
        return True
    report = options.on(report.requiring(required))
    document = report.to_dict()
    files.write(document)  # before anything that may fail for another reason
    saved = report.save(work.out) if work.out is not None else {}
    if not quiet:
        page = saved.get("report.html")
        print_report(document, page if page is None else shown(page, work.out, place))
    if report.refuted:
        note(log, "a certificate is broken: the proof, or its code, is wrong")
    return bool(report.met) and not report.refuted


def forecast(options: AuditOptions, path: Path | None, quiet: bool) -> None:
    """Say what each number of images would take, on stdout and as JSON in the file `path`; nothing is audited."""
    from sparring.cli.audit.forecast import print_forecast

    log = stderr(quiet)
    options.threat.check()
    with working(log, options.load.title):
        plan = options.plan(log)
    with working(log, "probing for 20 seconds"):
        print_forecast(plan, path, quiet)


def requirements(options: AuditOptions, fail_under: str | None) -> list[Requirement]:
    """What the audit must reach: its --require, and --fail-under, which counts these very images."""
    from sparring.audit.api import requirements_of
    from sparring.audit.inputs.requirements import Requirement
    from sparring.shares import parse_share
    from sparring.threat import Threat

    options.threat.check()
    required = requirements_of(options.settings, Threat(options.threat.norm, options.threat.eps))
    if fail_under is not None:
        required.append(Requirement("robust", parse_share(fail_under, "--fail-under"), counted=True))
    return required
