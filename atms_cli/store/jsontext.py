"""JSON through the C accelerator alone: `import json` costs most of a Python start because it brings `re`.

`_json` is private to CPython, so where it is missing or has changed the public module takes over.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from atms_cli.domain.records import Json


def _not_serialisable(value: object) -> object:
    raise TypeError(f"{type(value).__name__} is not JSON")


def _public() -> tuple[Callable[[Json], str], Callable[[str], Any]]:
    import json

    encoder = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return encoder.encode, json.loads


def _accelerated() -> tuple[Callable[[Json], str], Callable[[str], Any]]:
    from _json import encode_basestring, make_encoder, make_scanner

    class Settings:
        strict = True
        object_hook = object_pairs_hook = None
        parse_float = float
        parse_int = int
        parse_constant = float

    scan = make_scanner(Settings)  # type: ignore[arg-type]
    chunks = make_encoder({}, _not_serialisable, encode_basestring, None, ":", ",", False, False, False)

    def encode(value: Json) -> str:
        return "".join(chunks(value, 0))

    def decode(text: str) -> Any:  # noqa: ANN401  the caller knows what it stored
        try:
            value, end = scan(text, 0)
        except StopIteration:
            raise ValueError("no JSON value") from None
        if end != len(text):
            raise ValueError(f"data after the JSON value at {end}")
        return value

    return encode, decode


try:
    encode, decode = _accelerated()
except (ImportError, TypeError):
    encode, decode = _public()
