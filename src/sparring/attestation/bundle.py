"""An evidence bundle: a folder that anybody can check offline, with nothing but the public key of its maker.

    BUNDLE/run/...              the folder of the run, as it is: plan, shards, report, pages
    BUNDLE/environment.json     machine, interpreter, every installed package
    BUNDLE/article-15-5.md      the attack classes of the AI Act's Article 15(5), tested or not; NIST and ATLAS ids
    BUNDLE/statement.dsse.json  an in-toto statement of the digests of all these files and of the verdict, signed
    BUNDLE/signer.pem           the public key that fits the signature

The signature says who vouches for the files. That the run itself is true is another question: `sparring verify
BUNDLE/run` asks the model.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparring.attestation.article15 import page
from sparring.attestation.envelope import LARGEST, fingerprint, opened, sign
from sparring.attestation.environment import environment
from sparring.attestation.statement import statement
from sparring.audit.report.document import read
from sparring.errors import InputError
from sparring.export.files import open_folder
from sparring.storage import os_errors_as, write

STATEMENT, SIGNER, RUN = "statement.dsse.json", "signer.pem", "run"
UNSIGNED = (STATEMENT, SIGNER)
"files that the statement cannot list: itself, and the key that is compared with the reader's own"
LEFT_OUT = ("leases",)
"of a run: who worked on it when"


@dataclass(frozen=True)
class Seal:
    """What a bundle's signature says.

    Attributes:
        folder: the bundle. signer: fingerprint of the public key. known: the reader gave that key; False = it is the
            bundle's own, so anybody could have signed.
        files: how many are covered. verdict: of the report, as signed. findings: what does not hold, a line each.
    """

    folder: str
    signer: str
    known: bool
    files: int
    verdict: str
    findings: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        return not self.findings

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"format": "sparring-seal-1", "holds": self.holds, **self.__dict__}


def is_bundle(folder: Path) -> bool:
    """The folder holds a signed statement, or a run in the place where a bundle has it."""
    return (folder / STATEMENT).exists() or ((folder / RUN / "plan.json").exists() and (folder / SIGNER).exists())


def make(run: Path, key: Path, out: Path, *, force: bool = False) -> Path:
    """Make a bundle of a finished run.

    Args:
        run: its folder; it is copied, not changed. key: a private key in PEM (PKCS 8). out: a new folder.
        force: replace a folder that holds other files.

    Raises:
        InputError: the run is not finished, overlaps with `out` or holds a link, or the key is none.
        OutputPathError: `out` cannot be written.
    """
    document = read(run)
    if not (run / "plan.json").exists():
        raise InputError(f"{run} holds a report, but no run; audit with --out to keep one")
    if out.resolve() in (run.resolve().parent, run.resolve()) or run.resolve() in out.resolve().parents:
        raise InputError(f"{out} and the run in {run} overlap; name a folder apart from it, it gets a copy")
    list(_files(run))  # refuses links: what they point to is not of the run, and would be sent along
    sign({}, key)  # a bad key shows before anything is written
    open_folder(out, force=force)
    with os_errors_as(out):
        shutil.rmtree(out / RUN, ignore_errors=True)
        shutil.copytree(run, out / RUN, ignore=shutil.ignore_patterns(*LEFT_OUT))
        write(out / "environment.json", json.dumps(environment(), indent=1, sort_keys=True) + "\n")
        write(out / "article-15-5.md", page(document))
        for name in UNSIGNED:
            (out / name).unlink(missing_ok=True)
        digests = {name: _digest(out / name) for name in _files(out)}  # UNSIGNED are not there yet
        envelope, public = sign(statement(document, digests), key)
        (out / STATEMENT).write_bytes(envelope)
        (out / SIGNER).write_bytes(public)
    return out


def check(folder: Path, public: Path | None = None) -> Seal:
    """Check the signature of a bundle, and that it fits every file. Nothing is run, and nothing is written.

    Args:
        folder: the bundle. public: the public key (PEM) of the one who should have signed; None = the bundle's own.

    Raises:
        InputError: the statement or a key cannot be read.
    """
    with os_errors_as(folder):
        own = (folder / SIGNER).read_bytes()
        trusted = own if public is None else public.read_bytes()
        path = folder / STATEMENT
        if path.stat().st_size > LARGEST:
            raise InputError(f"{path} has {path.stat().st_size} bytes; a statement has at most {LARGEST}")
        envelope = path.read_bytes()
    signer = fingerprint(trusted)
    if public is not None and fingerprint(own) != signer:
        return Seal(str(folder), signer, True, 0, "", (f"{SIGNER} is another key than the one you gave",))
    try:
        signed = opened(envelope, trusted)
    except InputError as error:
        return Seal(str(folder), signer, public is not None, 0, "", (str(error),))
    try:
        listed = {one["name"]: one["digest"]["sha256"] for one in signed["subject"]}
        verdict = str(signed["predicate"]["sparring"]["verdict"])
    except (KeyError, TypeError):
        raise InputError(f"{folder / STATEMENT} is signed, but is no statement of sparring bundle") from None
    findings = tuple(_differences(folder, listed, own))
    return Seal(str(folder), signer, public is not None, len(listed), verdict, findings)


def _differences(folder: Path, listed: dict[str, str], own: bytes) -> Iterator[str]:
    here = set(_files(folder))
    for name in sorted(set(listed) - here):
        yield f"{name} is not there"
    for name in sorted(here - set(listed) - set(UNSIGNED)):
        yield f"{name} is there, but was not signed"
    with os_errors_as(folder):
        for name in sorted(here & set(listed)):
            if _digest(folder / name) != listed[name]:
                yield f"{name} was changed after it was signed"
    if own != _normal(own):
        yield f"{SIGNER} is not written as sparring writes it"


def _normal(pem: bytes) -> bytes:
    from cryptography.hazmat.primitives import serialization as forms

    key = forms.load_pem_public_key(pem)
    return key.public_bytes(forms.Encoding.PEM, forms.PublicFormat.SubjectPublicKeyInfo)


def _files(folder: Path) -> Iterator[str]:
    """Every file of the bundle, as a path with slashes. Links are refused."""
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            raise InputError(f"{path} is a link; a bundle holds files only, put the file itself there")
        if path.is_file():
            yield path.relative_to(folder).as_posix()


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()
