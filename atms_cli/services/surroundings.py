"""What commands of ours see around them."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

#: Variables by which git tells a hook's children which repository they are in; a command has to find its own.
GIT_LOCATION = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR", "GIT_PREFIX")


def environment(environ: Mapping[str, str], extra: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment without a hook's git location, and more."""
    return {**{name: value for name, value in environ.items() if name not in GIT_LOCATION}, **extra}
