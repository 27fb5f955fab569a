"""The audit: one call, one honest verdict. `sp.audit(model, data, threat)` gives a `Report`.

The function is loaded when it is first used, so that the command line can read the settings of an audit for its
help without loading PyTorch.
"""

from typing import TYPE_CHECKING, Any

from sparring._callable import callable_lazily

if TYPE_CHECKING:
    from sparring.audit.api import audit as audit

__all__ = ["audit"]


def __getattr__(name: str) -> Any:
    if name != "audit":
        raise AttributeError(f"module {__name__} has no {name!r}")
    from sparring.audit.api import audit

    return audit


def __dir__() -> list[str]:
    return [*globals(), "audit"]


callable_lazily(__name__, lambda: __getattr__("audit"))
