"""Listening: from a model and its settings to a service that answers until it is stopped."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path

import torch

from sparring.errors import InputError
from sparring.model import Model
from sparring.serve.app import make_app
from sparring.serve.settings import ServeSettings
from sparring.storage import write
from sparring.zoo.extras import need


def listen(
    model: Model,
    settings: ServeSettings,
    host: str,
    port: int,
    mapping: Path | None,
    announce: Callable[[str], object],
) -> None:
    """Serve until Ctrl-C.

    Args:
        port: 0 = any that is free. mapping: write the mapping for clients there. announce: called with the URL.

    Raises:
        MissingExtra: FastAPI or uvicorn is not installed. InputError: the place is taken.
    """
    uvicorn = need("uvicorn", "sparring serve", "serve")
    described = settings.mapping(model, class_count(model))
    service = make_app(model, settings, described)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio sends small answers at once (TCP_NODELAY); else each takes 40 ms.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(128)  # from here on, clients may connect
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise InputError(f"cannot listen on {host}:{port}: {reason}; choose another --port") from None
        if mapping is not None:
            write(mapping, json.dumps(described, indent=2) + "\n")
        shown = f"[{host}]" if ":" in host else host
        url = f"http://{shown}:{listener.getsockname()[1]}/predict"
        announce(f"serving {model.name} ({settings.kind}) at {url}" + (f"#mapping={mapping}" if mapping else ""))
        config = uvicorn.Config(service, log_level="warning", access_log=False, server_header=False)
        uvicorn.Server(config).run(sockets=[listener])


def class_count(model: Model) -> int:
    """The number of classes: known, or seen in the answer to a grey picture.

    Raises:
        InputError: neither that nor the size of the pictures is known.
    """
    known = model.num_classes or len(model.classes or ())
    if known:
        return known
    if model.input_size is None:
        raise InputError(
            f"{model.name} says neither how many classes it has nor the size of its pictures; wrap it with num_classes="
        )
    middle = sum(model.box) / 2
    with model.guard(), torch.no_grad():
        return model.logits(model.accept(torch.full((1, *model.input_size), middle))).shape[1]
