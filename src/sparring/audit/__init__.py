"""The audit: one call, one honest verdict. `sp.audit(model, data, threat)` gives a `Report`."""

from sparring._callable import callable_module
from sparring.audit.api import audit

__all__ = ["audit"]

callable_module(__name__, audit)
