"""A signed statement: a DSSE envelope in a file, with one signature (Ed25519, ECDSA or RSA).

The format is https://github.com/secure-systems-lab/dsse; securesystemslib makes it (extra `sparring[sign]`).
A file that was changed by one byte anywhere does not open, also where the change would not matter to the signature.
"""

from __future__ import annotations

import hashlib
import json
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparring.errors import InputError, MissingExtra
from sparring.storage import os_errors_as

if TYPE_CHECKING:
    from securesystemslib.signer import SSlibKey

PAYLOAD = "application/vnd.in-toto+json"
LARGEST = 64 * 2**20
"bytes of an envelope that is read"


def sign(statement: dict[str, Any], key: Path) -> tuple[bytes, bytes]:
    """Sign a statement.

    Args:
        statement: plain values. key: a private key in PEM (PKCS 8), without a password.

    Returns:
        The envelope, and the public key in PEM, both as bytes to be written.

    Raises:
        InputError: the file is no such key.
    """
    _needed()
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization as forms
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import CryptoSigner, SSlibKey

    with os_errors_as(key):
        pem = key.read_bytes()
    try:
        private = forms.load_pem_private_key(pem, password=None)
        public = private.public_key().public_bytes(forms.Encoding.PEM, forms.PublicFormat.SubjectPublicKeyInfo)
        named = SSlibKey.from_crypto(private.public_key(), keyid=fingerprint(public))
        signer = CryptoSigner(private, named)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InputError(
            f"{key} is no private key that can sign ({_line(error)}); make one with: openssl genpkey -algorithm ed25519"
        ) from None
    envelope = Envelope(_canonical(statement), PAYLOAD, {})
    envelope.sign(signer)
    return _canonical(envelope.to_dict()), public


def opened(envelope: bytes, public: bytes) -> dict[str, Any]:
    """The statement in an envelope, after its signature was checked.

    Args:
        envelope: as `sign` made it. public: the public key in PEM of the one who should have signed.

    Raises:
        InputError: it was changed, or another key signed it.
    """
    _needed()
    from securesystemslib.dsse import Envelope
    from securesystemslib.exceptions import Error, VerificationError

    key = public_key(public)
    try:
        known = Envelope.from_dict(json.loads(envelope))
        signers = sorted(known.signatures)
        whole = known.payload_type == PAYLOAD and _canonical(known.to_dict()) == envelope
        if whole and signers != [key.keyid]:
            raise InputError(f"the statement was signed by {', '.join(signers) or 'nobody'}, not by {key.keyid}")
        if not whole:
            raise InputError("the signed statement is not written as sparring writes it: it was changed")
        known.verify([key], threshold=1)
        statement = json.loads(known.payload)
    except VerificationError:
        raise InputError("the signature does not fit the statement: one of the two was changed") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, Error) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"the signed statement cannot be read: {_line(error)}") from None
    if not isinstance(statement, dict):
        raise InputError("the signed statement is no JSON object")
    return statement


def public_key(pem: bytes) -> SSlibKey:
    """A public key from its PEM.

    Raises:
        InputError: it is none.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization as forms
    from securesystemslib.signer import SSlibKey

    try:
        return SSlibKey.from_crypto(forms.load_pem_public_key(pem), keyid=fingerprint(pem))
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InputError(f"this is no public key in PEM: {_line(error)}") from None


def fingerprint(pem: bytes) -> str:
    """SHA-256 of a public key's DER form, however its PEM was wrapped: `sha256:...`.

    Raises:
        InputError: it is no public key.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization as forms

    try:
        key = forms.load_pem_public_key(pem)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InputError(f"this is no public key in PEM: {_line(error)}") from None
    der = key.public_bytes(forms.Encoding.DER, forms.PublicFormat.SubjectPublicKeyInfo)
    return f"sha256:{hashlib.sha256(der).hexdigest()}"


def _canonical(plain: dict[str, Any]) -> bytes:
    return (json.dumps(plain, indent=1, sort_keys=True, ensure_ascii=True) + "\n").encode()


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:200]


def _needed() -> None:
    if find_spec("securesystemslib") is None or find_spec("cryptography") is None:
        raise MissingExtra("a signed bundle", "sign")
