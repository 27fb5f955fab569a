"""Certificates: what no attack can break. `sp.certify(model, x, y, threat, method="crown")`."""

from sparring._callable import callable_module
from sparring.certify.api import certify

__all__ = ["certify"]

callable_module(__name__, certify)
