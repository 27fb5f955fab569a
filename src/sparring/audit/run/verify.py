"""Verification: all that a run has written, held against the model, the data, and itself.

1. Files: each is whole, is written as sparring writes it, and belongs to this run.
2. Model and data: they are those of the run, by hash; labels are those of the data.
3. Answers: the model is asked about every clean image and probed again; it is asked about every stored point, also
   those not called a success, and each point is measured against its image; breaks are rounded, saved and resized
   again; certificates are proved again.
4. Report: it is derived again from the shards, and every figure, doubt and word of it is compared; pages and tables
   are made again from it.

The folder is only read. Whoever owns the model and the data can still make a run that verifies, for instance with
weaker attacks than it says (the points would be honest, the search would not): see docs/audit_runs.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sparring.audit.inputs.provenance import about_model, code_name
from sparring.audit.inputs.requirements import Requirement, parse_requirement
from sparring.audit.inputs.source import Data, Source
from sparring.audit.report.document import FILE, json_text, read
from sparring.audit.report.formats.all import FORMS
from sparring.audit.report.report import Report
from sparring.audit.run.folder import Run
from sparring.audit.run.plan import FORMAT, Plan
from sparring.audit.run.prepare import Prepared
from sparring.audit.run.records import unpack
from sparring.audit.run.restore import plan_of, threat_of
from sparring.audit.run.shard import images_of, inside
from sparring.audit.run.verify_breaks import break_findings
from sparring.audit.run.verify_certificates import certificate_findings
from sparring.audit.run.verify_files import stray_findings, written_oddly
from sparring.audit.run.verify_head import head_findings, look_again, names_apart, probe_findings
from sparring.audit.run.verify_points import Radius, Witness, points_at
from sparring.audit.run.verify_report import differences, forms_findings, report_findings
from sparring.audit.run.verify_schedule import (
    curve_findings,
    head_record_findings,
    options_findings,
    plan_findings,
    record_findings,
    schedule_findings,
)
from sparring.default_dtype import float32_by_default
from sparring.errors import InputError
from sparring.export.files import MARK, MARK_TEXT
from sparring.model import Model
from sparring.scale.store import Record, Store, json_bytes

HEAD = "head"


@dataclass(frozen=True)
class Verification:
    """What came of it.

    Attributes:
        folder: the run. shards, of: how many were there to be looked at. images: how many these hold.
        radii: the breaks by radius, the audited one first.
        same: by part (model, data, code), whether it is what the run was made with.
        standing: images that nothing in the run breaks, as proved here; claimed: as report.json says, None without one.
        findings: all else that does not hold, a line each. not_covered: what could not be checked, and why.
        verdict: what follows from the shards, by this version of the code; "" if the run is not finished.
        certificates: images that are proved, in shards where all of it was proved again; None = the run has no proof.
    """

    folder: str
    shards: int
    of: int
    images: int
    radii: tuple[Radius, ...]
    same: dict[str, bool]
    standing: int
    claimed: int | None
    findings: tuple[str, ...] = ()
    not_covered: tuple[str, ...] = ()
    verdict: str = ""
    certificates: int | None = None

    @property
    def holds(self) -> bool:
        """Nothing was found. Another version of the code is no objection."""
        known = self.same["model"] and self.same["data"]
        return known and not self.findings and all(one.holds for one in self.radii)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        plain = {**self.__dict__, "radii": [one.to_dict() for one in self.radii]}
        return {"format": "sparring-verify-2", "holds": self.holds, **plain}


@float32_by_default()
def verify(
    folder: str | Path,
    model: Model,
    data: Data,
    batch_size: int = 256,
    *,
    options: Mapping[str, Any] | None = None,
    command: str | None = None,
) -> Verification:
    """Check everything that a run has written.

    Args:
        folder: of a run, finished or not. model, data: what it was made with; hashes tell.
        options, command: of `sparring audit`, as kept with the run; None = the report's are not compared.

    Raises:
        InputError: no run, or images of another shape or number.
    """
    store = Store.read(Path(folder))
    if store.plan.get("format") != FORMAT:
        raise InputError(
            f"{folder} holds no audit that this version can verify; its format is {store.plan.get('format')!r}"
        )
    try:
        source = Source(data, int(store.plan["data"]["n"]), model.classes)
        return _Verifier(store, model, source, batch_size, options, command).result()
    except (KeyError, TypeError, IndexError, RuntimeError, ValueError, AttributeError, ZeroDivisionError) as error:
        if isinstance(error, InputError):
            raise
        # Anybody may have written the files: what they hold can be anything.
        raise InputError(f"{folder} is not as sparring writes it ({type(error).__name__}: {error})") from error


def _requirements(stored: Mapping[str, Any]) -> list[Requirement]:
    """Those that a stored report has judged."""
    return [Requirement(one["metric"], one["least"], one["eps"], one["counted"]) for one in stored["requirements"]]


class _Verifier:
    """One verification on its way."""

    def __init__(
        self,
        store: Store,
        model: Model,
        source: Source,
        batch_size: int,
        options: Mapping[str, Any] | None,
        command: str | None,
    ) -> None:
        self.store = store
        self.model = model
        self.source = source
        self.batch_size = batch_size
        self.options = options
        self.command = command
        self.findings: list[str] = []
        self.not_covered: list[str] = []
        self.verdict = ""
        self.certificates: int | None = None
        self.size = int(store.plan["shard_size"])
        self.n = int(store.plan["data"]["n"])
        self.finished = (store.folder / FILE).exists()
        if len(source) < self.n:
            raise InputError(f"{store.folder} is about {self.n} images, here are {len(source)}; give it the same data")
        if len(store) != -(-self.n // self.size):
            raise InputError(f"{store.folder} says it has {len(store)} shards of {self.size} for {self.n} images")

    def result(self) -> Verification:
        plan = self.store.plan
        same = {"model": self._same_model(), "data": True, "code": plan["code"] == code_name()}
        self._files()
        radii = [Radius(float(eps), 0, 0, 0, 0) for eps in plan["radii"]]
        record = self._load(HEAD)
        if record is None:
            return self._made(0, 0, tuple(radii), {**same, "data": False}, 0)
        run = self._run(record)
        head = Prepared.of_record(run.plan, record)
        again = look_again(run.plan)
        known = list(head_findings(again, head, run.plan.suite.subset, run.plan.seed))
        self.findings += known
        if same["code"]:  # another version may measure in another way
            self.findings += probe_findings(again, head)
            self.findings += plan_findings(run.plan, plan)
            self.findings += head_record_findings(run.plan, head, record)
            if self.options is not None:
                self.findings += options_findings(run.plan, self.options)
            for false, said in names_apart(again, head, run.plan.model):
                (self.findings if false else self.not_covered).append(said)
        same["data"] = again.parts == head.parts
        whole = same["data"] and same["code"] and not head.draws and not known
        labelled = same["data"] and torch.equal(again.clean.y, head.clean.y)
        witness = Witness(run.plan.seen(head.probes), head.draws, run.plan.seed, head.clean.classes, self.batch_size)
        images = right = done = 0
        for number in range(len(self.store)):
            shard = self._load(number) if self.store.done(number) else None
            if shard is None:
                continue
            here, correct = self._shard(number, shard, run.plan, head, witness, whole, labelled)
            if same["code"] and labelled:
                self._done_as_planned(number, shard, run.plan, head)
            radii = [a + b for a, b in zip(radii, here, strict=True)]
            images += len(correct)
            right += int(correct.sum())
            done += 1
        if not self.finished and any((self.store.folder / name).exists() for name in FORMS):
            self.findings.append(f"pages of a report are there, but {FILE} is not")
        if done < len(self.store) and self.finished:
            self.findings.append(f"{FILE} is there, but {len(self.store) - done} of {len(self.store)} shards are not")
        elif self.finished and same["data"]:
            self._report(run, same["code"])
        return self._made(done, images, tuple(radii), same, right - radii[0].proved)

    def _run(self, head: Record) -> Run:
        """The run with the plan that it was made for."""
        threat = threat_of(self.store.plan, head[0].get("region"))
        return Run(plan_of(self.store.plan, self.model, self.source, threat, head[0].get("certified")), self.store)

    def _made(
        self, done: int, images: int, radii: tuple[Radius, ...], same: dict[str, bool], standing: int
    ) -> Verification:
        claimed = None
        if self.finished:
            try:
                claimed = int(read(self.store.folder)["standing"])
            except (InputError, TypeError, ValueError) as error:
                self.findings.append(str(error))
        return Verification(
            str(self.store.folder), done, len(self.store), images, radii, same, standing, claimed,
            tuple(dict.fromkeys(self.findings)), tuple(self.not_covered), self.verdict,
            self.certificates,
        )  # fmt: skip

    def _same_model(self) -> bool:
        known = self.store.plan["model"]
        now = {name: value for name, value in about_model(self.model).items() if name in known}
        return all(known[name] == now[name] for name in now if name != "device")

    def _files(self) -> None:
        """plan.json and options.json are written as sparring writes them."""
        for name, plain in (("plan.json", self.store.plan), ("options.json", self.options)):
            path = self.store.folder / name
            if plain is not None and path.read_bytes() != json_bytes(dict(plain)):
                self.findings.append(f"{name} is not written as sparring writes it")
        self.findings += stray_findings(self.store)
        mark = self.store.folder / MARK
        if not mark.exists() or mark.read_bytes() != MARK_TEXT.encode():
            self.findings.append(f"{MARK}, which marks the folder as sparring's, is not as sparring writes it")

    def _load(self, number: int | str) -> Record | None:
        try:
            record = self.store.load(number, keep_damaged=True)
        except InputError as error:
            self.findings.append(str(error))
            return None
        odd = written_oddly(self.store.path(number))
        if odd is not None:
            self.findings.append(f"shard {number}: {odd}")
        return record

    def _shard(
        self, number: int, record: Record, plan: Plan, head: Prepared, witness: Witness, whole: bool, same_data: bool
    ) -> tuple[list[Radius], Tensor]:
        """Its breaks by radius, and which of its images are right.

        `whole`: ask what is said of its breaks, too. `same_data`: its images and labels are those of the run, so
        that certificates can be proved again."""
        tensors, values = record
        rows = plan.span(number)
        x, y = self.source.part(rows.start, rows.stop)
        x = self.model.accept(x).cpu()
        correct = tensors["worst/0/clean_correct"]
        if values["first"] != rows.start:
            self.findings.append(f"shard {number} says that it begins with image {values['first']}")
        wrong = int((correct != head.clean.correct[rows]).sum())
        if wrong:
            self.findings.append(f"{wrong} images of shard {number} are marked right or wrong, and are not")
        drawn = tensors.get("curve/rows")
        if drawn is not None and not torch.equal(drawn, inside(head.subset, rows)):
            self.findings.append(f"the security curve of shard {number} is not of its part of the sanity subset")
        radii = []
        for k, eps in enumerate(plan.radii()):
            radius, findings = points_at(witness, plan.threat, eps, k, tensors, x, y)
            radii.append(radius)
            self.findings += findings
        if whole and radii[0].holds and bool(tensors["worst/0/x_adv"].isfinite().all()):
            part = unpack(plan, record)
            clean, _ = images_of(plan, head, number)
            self.findings += break_findings(plan.as_seen(head.probes).model, clean, part, self.batch_size)
        if same_data:
            clean, _ = images_of(plan, head, number)
            part = unpack(plan, record)
            found = list(certificate_findings(plan, clean, part))
            self.findings += found
            if part.certificate is not None:
                proved = 0 if found else int(part.certificate.certified.sum())
                self.certificates = (self.certificates or 0) + proved
        return radii, correct

    def _done_as_planned(self, number: int, record: Record, plan: Plan, head: Prepared) -> None:
        """What its attacks are said to have done, beside the plan."""
        part = unpack(plan, record)
        self.findings += record_findings(part, record, number)
        clean, subset = images_of(plan, head, number)
        self.findings += schedule_findings(plan.as_seen(head.probes), head, clean, subset, part)
        self.findings += curve_findings(plan.as_seen(head.probes), head, clean, part)

    # --- the report -------------------------------------------------------------------------------------------

    def _report(self, run: Run, same_code: bool) -> None:
        """Derive the report again; compare it, and every page made from it."""
        if not same_code:
            self.not_covered.append(
                f"the words of {FILE}, and the pages made from it: another version of the code wrote them; "
                "its figures, its doubts and its status are compared"
            )
        derived = self._derived(run)
        self.verdict = derived.verdict
        try:
            stored = read(self.store.folder)
        except InputError as error:
            self.findings += report_findings(self.store.folder, derived.to_dict(), self.store.plan["code"], same_code)
            self.findings.append(str(error))
            return
        derived = derived.requiring(_requirements(stored))  # which may raise a doubt
        plain = derived.to_dict()
        self.findings += report_findings(self.store.folder, plain, self.store.plan["code"], same_code)
        self.findings += list(self._by_options(derived, stored)) if same_code else []
        if same_code:
            self.findings += forms_findings(self.store.folder, stored)

    def _derived(self, run: Run) -> Report:
        report = run.report()
        for k, row in enumerate(report.samples):
            if (row["status"] == "broken") != bool(report.worst.success[k] & report.worst.clean_correct[k]):
                self.findings.append(f"image {k} is {row['status']} by the attacks' records, not by its stored point")
                break
        return report

    def _by_options(self, derived: Report, stored: dict[str, Any]) -> Iterator[str]:
        """Requirements, settings and the command of the report."""
        required = _requirements(stored)
        judged = [one.to_dict() for one in derived.requirements]
        if list(differences(judged, stored["requirements"])):
            yield f"{FILE} judges a requirement otherwise than its figures do"
        settings = dict(stored["settings"])
        said = settings.pop("options", None)
        if json_text(settings) != json_text(dict(derived.settings)):
            yield f"the settings in {FILE} are not those of the run"
        if self.options is None:
            self.not_covered.append("the command and the requirements: the run was not started by sparring audit")
            return
        if said != dict(self.options):
            yield f"the options in {FILE} are not those in options.json"
        if self.command is not None and stored["command"] != self.command:
            yield f"the command in {FILE} is not the one that options.json gives"
        asked = [
            parse_requirement(text).at(float(self.store.plan["threat"]["eps"])) for text in self.options["require"]
        ]
        if [one for one in required if not one.counted] != asked:
            yield f"the requirements in {FILE} are not those in options.json"
