"""The mapping file of a web service: how a picture is sent, where the answer is found, and the limits of politeness.

    {"request": {"format": "upload", "field": "file"},
     "answer": {"kind": "topk", "path": "predictions", "label": "name", "score": "confidence"},
     "classes": ["cat", "dog", "fox"],
     "headers": {"Authorization": "Bearer ${CAT_API_TOKEN}"},
     "rate": 5, "max_queries": 2000}

JSON or YAML. Credentials are named, never written: `${NAME}` in `headers` and `request.other` is read from the
environment.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sparring.errors import InputError
from sparring.model import Outputs
from sparring.zoo.targets.answers import Kind
from sparring.zoo.targets.http.secrets import is_literal_secret
from sparring.zoo.targets.words import one_line

MOST_BYTES = 1 << 20
"of a mapping file"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Request(_Part):
    """How a picture is sent.

    Attributes:
        format: "json" = a JSON object, "upload" = a form with a file. field: that carries the picture.
        encoding: "png" = 8 bits a channel, in JSON as base64; "floats" = nested lists, JSON only.
        layout, scale: of floats: channels last or first; 1 = from 0 to 1, 255 = from 0 to 255.
        other: further fields, always the same; `${NAME}` = from the environment.
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
        first = error.errors(include_url=False)[0]
        loc = [str(part) for part in first["loc"]]
        at = ".".join(one_line(part, 40) for part in loc if not part.startswith(("list[", "constrained-", "bool")))
        raise InputError(f"{where}: {at or 'the mapping'}: {first['msg']} (got {_got(loc, first['input'])})") from None
    if mapping.request.encoding == "floats" and mapping.request.format == "upload":
        raise InputError(f"{where}: request.encoding: floats go into JSON only; an upload is a PNG")
    for part, texts in (("headers", mapping.headers), ("request.other", mapping.request.other)):
        if name := next((name for name, value in texts.items() if is_literal_secret(name, value)), None):
            raise InputError(
                f"{where}: {part}: {name} is a credential; name the environment variable that holds it, as in "
                f'"{name}": "${{MY_TOKEN}}"'
            )
    return mapping


def _got(loc: list[str], value: Any) -> str:
    """What was given, for an error: numbers, and words from a short list. Any other text may be a credential."""
    if isinstance(value, bool | int | float) and loc[0] in (*IN_SPEC, "classes", "input_size"):
        return f"{value!r:.40}"
    if isinstance(value, str) and loc[-1] in ("kind", "format", "encoding", "layout", "scale", "outputs"):
        return f"{value!r:.20}"
    return f"a {type(value).__name__}" if value is not None else "nothing"


def _load(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputError(f"{path} is larger than a mapping file can be ({MOST_BYTES} bytes)")
        text = path.read_text(encoding="utf-8")
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader)):
            raise InputError(f"{path} uses YAML aliases, which are not read")
        values = yaml.safe_load(text)  # JSON is YAML
    except OSError as error:
        raise InputError(f"the mapping file {path} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise InputError(f"the mapping file {path} cannot be read: it is not in UTF-8") from None
    except InputError:
        raise
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise InputError(f"{path} is neither JSON nor YAML{_place(error)}") from None
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise InputError(f"{path} holds no mapping; expected an object with request, answer, classes, ...")
    return values


def _place(error: Exception) -> str:
    """Where a file is at fault. Not what stands there, which may be a credential."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if isinstance(error, RecursionError):
        return ": it is nested too deeply"
    if mark is None:
        return ": a value in it cannot be read; put texts, and dates above all, in quotation marks"
    return f" in line {mark.line + 1}, column {mark.column + 1}; put texts in quotation marks"
