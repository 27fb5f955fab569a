"""`sparring report`: a finished audit once more, in any form, without running anything again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sparring.cli.app import AUDIT, app
from sparring.cli.audit.files import Files
from sparring.cli.options import (
    ForceOption,
    OutOption,
    QuietOption,
    RequireOption,
    takes_options,
)


@app.command("report", rich_help_panel=AUDIT)
@takes_options
def report(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of an audit, or its report.json.")],
    require: RequireOption = None,
    out: OutOption = None,
    force: ForceOption = False,
    *,
    files: Files,
    quiet: QuietOption = False,
) -> None:
    """Print an audit again, and write it in any format, from its report.json alone.

    --require replaces the requirements of the audit.

    Without a file option, the files in the folder of the run are written again.

    [dim]sparring report runs/mine --junit audit.xml --require "robust >= 80%"[/dim]

    Exit code: 0 = done, 1 = a --require is not met, 2 = bad input.
    """
    from contextlib import ExitStack

    from sparring.audit.inputs.requirements import judge, parse_requirement, too_weak
    from sparring.audit.report import document as doc
    from sparring.audit.report.formats.all import save
    from sparring.cli.audit.show import print_report, shown
    from sparring.cli.console import note, stderr
    from sparring.export.files import open_folder
    from sparring.scale.remote import brought, mirrored
    from sparring.storage import write

    log = stderr(quiet)
    files.check()
    with ExitStack() as folders:
        only_read = out is not None or files.any
        folder = folders.enter_context(brought(run) if only_read else mirrored(run, lambda line: note(log, line)))
        plain = doc.read(folder)
        if out is not None:
            open_folder(out, force=force)
        folders.enter_context(doc.using(folder))
        if require:
            known = [parse_requirement(text).at(doc.eps(plain)) for text in require]
            figures = {"clean": doc.clean(plain), "robust": doc.robust(plain)}
            weak = too_weak((one["family"], one["spec"]) for one in plain["attacks"] if not one["claimed"])
            plain["requirements"] = [judge(one, figures[one.metric], weak).to_dict() for one in known]
        home = out if out is not None else (None if files.any else (folder if folder.is_dir() else folder.parent))
        saved = save(plain, home) if home is not None else {}
        if out is not None:
            write(out / doc.FILE, doc.json_text(plain))
        files.write(plain)
        if not quiet:
            page = saved.get("report.html", files.html)
            print_report(plain, page if page is None or only_read else shown(page, folder, run))
        met = all(one["status"] == "met" for one in plain["requirements"])
    if require and not met:
        raise typer.Exit(1)
