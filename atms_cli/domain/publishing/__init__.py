"""A verdict as other programs read it: a module for each form."""

from __future__ import annotations

from atms_cli.domain.publishing import junit, markdown, sarif

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from atms_cli.domain.records import Verdict


def _json(verdict: Verdict) -> str:
    from json import dumps

    return dumps(verdict, ensure_ascii=False, indent=1) + "\n"


WRITERS: dict[str, Callable[[Verdict], str]] = {
    "sarif": sarif.render,
    "junit": junit.render,
    "json": _json,
    "md": markdown.render,
}
