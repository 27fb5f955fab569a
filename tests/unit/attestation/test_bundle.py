"""A signed bundle shows every change, and is refused without the right key."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor, nn

import sparring as sp
from sparring.attestation.article15 import attack_classes
from sparring.attestation.bundle import SIGNER, STATEMENT, check, make
from sparring.audit.report.document import read
from sparring.errors import InputError

pytest.importorskip("securesystemslib", reason="needs the extra sparring[sign]")

from cryptography.hazmat.primitives import serialization as forms
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.dsse import Envelope
from securesystemslib.signer import CryptoSigner

Images = tuple[Tensor, Tensor]


def pem(key: Any) -> bytes:
    coded: bytes = key.private_bytes(forms.Encoding.PEM, forms.PrivateFormat.PKCS8, forms.NoEncryption())
    return coded


def public_pem(key: Any) -> bytes:
    coded: bytes = key.public_key().public_bytes(forms.Encoding.PEM, forms.PublicFormat.SubjectPublicKeyInfo)
    return coded


@pytest.fixture(scope="module")
def run(small_net: nn.Module, small_images: Images, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle") / "run"
    report = sp.audit(
        small_net,
        small_images,
        sp.Threat("Linf", 0.05),
        suite=["pgd:steps=10"],
        require=["robust >= 10%"],
        folder=folder,
    )
    report.save(folder)
    return folder


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("key") / "key.pem"
    path.write_bytes(pem(Ed25519PrivateKey.generate()))
    return path


@pytest.fixture(scope="module")
def honest(run: Path, key: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(run, key, tmp_path_factory.mktemp("bundle") / "evidence")


@pytest.fixture
def bundle(honest: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(honest, tmp_path / "evidence"))


def test_an_untouched_bundle_holds(bundle: Path, key: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.pem"
    mine.write_bytes(public_pem(forms.load_pem_private_key(key.read_bytes(), None)))
    found = check(bundle, mine)
    assert found.holds
    assert found.known
    assert found.verdict == read(bundle / "run")["verdict"]
    assert not check(bundle).known


def test_the_statement_is_in_toto_and_its_signature_is_dsse(bundle: Path, key: Path) -> None:
    """Checked with the DSSE specification by hand: PAE is `DSSEv1 LEN(type) type LEN(body) body`."""
    import base64

    plain = json.loads((bundle / STATEMENT).read_text())
    body = base64.b64decode(plain["payload"])
    kind = plain["payloadType"].encode()
    signed = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(body), body)
    private = forms.load_pem_private_key(key.read_bytes(), None)
    assert isinstance(private, Ed25519PrivateKey)
    private.public_key().verify(base64.b64decode(plain["signatures"][0]["sig"]), signed)
    statement = json.loads(body)
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["predicate"]["result"] in ("PASSED", "WARNED")
    assert statement["predicate"]["passedTests"] == [read(bundle / "run")["requirements"][0]["text"]]
    names = {one["name"] for one in statement["subject"]}
    assert {"run/report.json", "run/shards/00000.safetensors", "environment.json", "article-15-5.md"} <= names


def test_other_keys_sign_too(run: Path, tmp_path: Path) -> None:
    path = tmp_path / "ec.pem"
    path.write_bytes(pem(generate_private_key(SECP256R1())))
    assert check(make(run, path, tmp_path / "out")).holds


def test_a_bundle_that_somebody_else_signed_is_found(run: Path, key: Path, tmp_path: Path) -> None:
    """A forger signs a forged bundle with a key of his own; the reader has the key of the real signer."""
    other = tmp_path / "other.pem"
    other.write_bytes(pem(Ed25519PrivateKey.generate()))
    forged = make(run, other, tmp_path / "forged")
    real = tmp_path / "real.pem"
    real.write_bytes(public_pem(forms.load_pem_private_key(key.read_bytes(), None)))
    assert check(forged).holds
    assert "another key" in check(forged, real).findings[0]
    (forged / SIGNER).write_bytes(real.read_bytes())
    assert "signed by sha256:" in check(forged, real).findings[0]
    assert "signed by sha256:" in check(forged).findings[0]


def test_a_signature_under_anothers_name_is_found(bundle: Path, key: Path, tmp_path: Path) -> None:
    """The envelope is signed again, with the key id of the real signer."""
    plain = json.loads((bundle / STATEMENT).read_text())
    known = Envelope.from_dict(json.loads(json.dumps(plain)))
    forger = CryptoSigner(Ed25519PrivateKey.generate())
    forger.public_key.keyid = plain["signatures"][0]["keyid"]
    known.sign(forger)
    (bundle / STATEMENT).write_text(json.dumps(known.to_dict(), indent=1, sort_keys=True) + "\n")
    assert check(bundle).findings == ("the signature does not fit the statement: one of the two was changed",)


def byte(path: Path, draw: random.Random) -> str:
    data = bytearray(path.read_bytes())
    at = draw.randrange(len(data))
    data[at] ^= 1 << draw.randrange(8)
    path.write_bytes(bytes(data))
    return f"byte {at} of {path}"


def field(path: Path, draw: random.Random) -> str:
    """One value of a JSON file, written again as it was."""
    plain = json.loads(path.read_text())
    inner: Any = plain
    while True:
        at = draw.choice(sorted(inner) if isinstance(inner, dict) else list(range(len(inner))))
        if not isinstance(inner[at], dict | list) or not inner[at]:
            break
        inner = inner[at]
    inner[at] = "changed" if inner[at] != "changed" else "again"
    path.write_text(json.dumps(plain, indent=1, sort_keys=True) + "\n")
    return f"{at} in {path}"


def tamper(folder: Path, draw: random.Random) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    path = draw.choice(files)
    kind = draw.choice(["byte", "byte", "field", "delete", "add", "cut", "rename"])
    if kind == "byte":
        return byte(path, draw)
    if kind == "field":
        return field(draw.choice([one for one in files if one.suffix == ".json"]), draw)
    if kind == "delete":
        path.unlink()
    elif kind == "add":
        path.with_name("added").write_text("x")
    elif kind == "cut":
        path.write_bytes(path.read_bytes()[:-1])
    else:
        path.rename(path.with_name(path.name + "x"))
    return f"{kind} {path}"


def tampered_is_found(honest: Path, folder: Path, seeds: range) -> None:
    for seed in seeds:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(honest, folder)
        said = tamper(folder, random.Random(seed))
        try:
            found = not check(folder).holds
        except InputError as error:
            found = "\n" not in str(error)
        assert found, said


def test_every_change_is_found(honest: Path, tmp_path: Path) -> None:
    tampered_is_found(honest, tmp_path / "evidence", range(150))


@pytest.mark.long
def test_every_one_of_a_thousand_changes_is_found(honest: Path, tmp_path: Path) -> None:
    tampered_is_found(honest, tmp_path / "evidence", range(150, 1150))


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"no key", "no private key"), (b"", "no private key")],
)
def test_a_bad_key_is_one_line_and_nothing_is_written(content: bytes, said: str, run: Path, tmp_path: Path) -> None:
    path = tmp_path / "bad.pem"
    path.write_bytes(content)
    with pytest.raises(InputError, match=said):
        make(run, path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "[]",
        lambda text: "[" * 100_000,
        lambda text: json.dumps({**json.loads(text), "signatures": []}),
        lambda text: json.dumps({**json.loads(text), "signatures": 7}),
        lambda text: json.dumps({**json.loads(text), "payload": "%%%"}),
    ],
)
def test_a_damaged_statement_is_one_line(change: Callable[[str], str], bundle: Path) -> None:
    (bundle / STATEMENT).write_text(change((bundle / STATEMENT).read_text()))
    found = check(bundle)
    assert not found.holds
    assert all("\n" not in line for line in found.findings)


def test_a_link_is_refused(bundle: Path) -> None:
    (bundle / "link").symlink_to("/etc/hostname")
    with pytest.raises(InputError, match="is a link"):
        check(bundle)


def test_what_was_not_tested_is_said(run: Path) -> None:
    status = {one.name.split(" (")[0]: one.status for one in attack_classes(read(run))}
    assert status == {
        "Data poisoning": "not tested",
        "Model poisoning": "not tested",
        "Adversarial examples, model evasion": "tested",
        "Confidentiality attacks": "not tested",
        "Model flaws": "tested in part",
    }


def test_a_link_in_the_run_is_not_followed(run: Path, key: Path, tmp_path: Path) -> None:
    """A run from somebody else could point to a private file, which would be sent along."""
    secret = tmp_path / "secret"
    secret.write_text("private")
    theirs = Path(shutil.copytree(run, tmp_path / "theirs"))
    (theirs / "shards" / "extra").symlink_to(secret)
    with pytest.raises(InputError, match="is a link"):
        make(theirs, key, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("place", [".", "run", "run/evidence"])
def test_a_bundle_never_replaces_the_run_that_it_is_made_of(place: str, run: Path, key: Path, tmp_path: Path) -> None:
    mine = Path(shutil.copytree(run, tmp_path / "run"))
    with pytest.raises(InputError, match="overlap"):
        make(mine, key, tmp_path / place, force=True)
    assert (mine / "report.json").exists()
