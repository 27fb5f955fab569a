"""The mapping file of a web service: how a picture is sent, where the answer is found, and the limits of politeness.

    {"request": {"format": "upload", "field": "file"},
     "answer": {"kind": "topk", "path": "predictions", "label": "name", "score": "confidence"},
     "classes": ["cat", "dog", "fox"],
     "headers": {"Authorization": "Bearer ${CAT_API_TOKEN}"},
     "rate": 5, "max_queries": 2000}

JSON or YAML. Credentials are named, never written: `${NAME}` in a header is read from the environment when it is sent.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sparring.errors import InputError
from sparring.model import Outputs
from sparring.zoo.targets.answers import Kind

MOST_BYTES = 1 << 20
"of a mapping file"
VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
SECRET = re.compile(r"auth|cookie|token|secret|passw|credential|signature|(^|[-_.])(api|access)?[-_]?key$|^sig$", re.I)
"names of headers and of fields of a URL whose values nobody should write down"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Request(_Part):
    """How a picture is sent.

    Attributes:
        format: "json" = a JSON object, "upload" = a form with a file. field: that carries the picture.
        encoding: "png" = 8 bits a channel, in JSON as base64; "floats" = nested lists, JSON only.
        layout, scale: of floats: channels last or first; 1 = from 0 to 1, 255 = from 0 to 255.
        other: further fields, always the same.
    """

    format: Literal["json", "upload"] = "json"
    field: str = "image"
    encoding: Literal["png", "floats"] = "png"
    layout: Literal["HWC", "CHW"] = "HWC"
    scale: Literal[1, 255] = 1
    other: dict[str, str | int | float | bool] = {}


class Answer(_Part):
    """Where the answer is found in the JSON that comes back.

    Attributes:
        kind: "scores", "labels" or "topk". path: keys and list places with dots between them; "" = all of it.
        label, score: the keys in each entry of a top-k list of objects.
        outputs: what scores are; None = probabilities if the first answer looks like them.
    """

    kind: Kind = "scores"
    path: str = "scores"
    label: str = "label"
    score: str = "score"
    outputs: Outputs | None = None


class Mapping(_Part):
    """All of it. What a spec may set as well, behind the # of the URL: mapping, and the numbers below `headers`.

    Attributes:
        classes: their number or their names, in order; needed for labels and top-k lists.
        input_size: (C, H, W) of the pictures that it takes.
        headers: sent with each request; `${NAME}` = from the environment.
        timeout: seconds to wait for an answer. retries: further requests after one that failed, `backoff` seconds
            after the first, twice as long after each further one. rate: most requests a second, of each process.
            concurrency: requests under way at once.
        max_queries: most requests that are sent in all runs that share the cache.
        cache: keep answers: True = in the user's cache folder, or a file; False = in memory.
        random: the same picture may get another answer: each look is asked, and paid for, anew.
    """

    request: Request = Request()
    answer: Answer = Answer()
    classes: Annotated[int, Field(ge=2)] | list[str] | None = None
    input_size: tuple[int, int, int] | None = None
    headers: dict[str, str] = {}
    timeout: Annotated[float, Field(gt=0, le=3600)] = 30.0
    retries: Annotated[int, Field(ge=0, le=100)] = 5
    backoff: Annotated[float, Field(ge=0, le=60)] = 0.5
    rate: Annotated[float, Field(gt=0)] | None = None
    concurrency: Annotated[int, Field(ge=1, le=256)] = 4
    max_queries: Annotated[int, Field(ge=1)] | None = None
    cache: bool | str = True
    random: bool = False


IN_SPEC = ("mapping", "timeout", "retries", "backoff", "rate", "concurrency", "max_queries", "cache", "random")
"what may stand behind the # of the URL"


def read_mapping(path: Path | None, changes: dict[str, Any]) -> Mapping:
    """The mapping in a file, JSON or YAML (None = the one that `sparring serve` speaks), with `changes` to it.

    Raises:
        InputError: no such file, or the first thing in it that does not fit.
    """
    where, values = "the spec", {}
    if path is not None:
        where, values = str(path), _load(path)
    try:
        mapping = Mapping(**{**values, **changes})
    except ValidationError as error:
        first = error.errors()[0]
        at = ".".join(str(part) for part in first["loc"] if not str(part).startswith(("list[", "constrained-", "bool")))
        raise InputError(f"{where}: {at or 'the mapping'}: {first['msg']} (got {first['input']!r:.60})") from None
    if mapping.request.encoding == "floats" and mapping.request.format == "upload":
        raise InputError(f"{where}: request.encoding: floats go into JSON only; an upload is a PNG")
    for name, value in mapping.headers.items():
        if SECRET.search(name) and not VARIABLE.search(value):
            raise InputError(
                f"{where}: headers: {name} is a credential; name the environment variable that holds it, as in "
                f'"{name}": "${{MY_TOKEN}}"'
            )
    return mapping


def filled(headers: dict[str, str]) -> tuple[dict[str, str], list[str]]:
    """The headers with the values from the environment, and these values, which nothing may print.

    Raises:
        InputError: a variable is not set, or holds what no header can.
    """
    secrets: list[str] = []

    def value(match: re.Match[str]) -> str:
        found = os.environ.get(match[1])
        if not found:
            raise InputError(f"the environment variable {match[1]}, which a header of the mapping names, is not set")
        if not found.isascii() or not found.isprintable():
            raise InputError(f"the environment variable {match[1]} holds characters that no header can carry")
        secrets.append(found)
        return found

    return {name: VARIABLE.sub(value, text) for name, text in headers.items()}, secrets


def _load(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputError(f"{path} is larger than a mapping file can be ({MOST_BYTES} bytes)")
        text = path.read_text(encoding="utf-8")
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader)):
            raise InputError(f"{path} uses YAML aliases, which are not read")
        values = yaml.safe_load(text)  # JSON is YAML
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the mapping file {path} cannot be read: {error}") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise InputError(f"{path} is neither JSON nor YAML: {' '.join(str(error).split())[:200]}") from None
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise InputError(f"{path} holds no mapping; expected an object with request, answer, classes, ...")
    return values
