"""What a copy of tracked files lacks and programs need: installed packages, local settings, and where Python looks for its modules."""

from __future__ import annotations

import os
import re
import shutil
from contextlib import suppress
from glob import escape, glob
from os.path import basename, dirname, exists, isdir, isfile, islink, join, realpath, relpath

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

#: Compiled from files of the working tree: in a copy they would stand for files that may differ.
_COMPILED = ("__pycache__",)
#: Git does not read them through a link.
_NEVER_LINKS = (".gitignore", ".gitattributes")
#: A path in the finder that setuptools writes for an editable installation.
_QUOTED_PATH = re.compile(r"'(/[^'\\]+)'")


def provide(ignored: Sequence[str], top: str, copy: str, *, without: str) -> None:
    """Link what git ignores in a working tree into a copy of it, except for a directory and what is in it.

    A directory is made anew with links to what is in it, because git tells a link from a directory.
    """
    for path in ignored:
        source, target, place = join(top, path), join(copy, path.rstrip("/")), dirname(path.rstrip("/"))
        if basename(target) in _COMPILED or target.endswith(".pyc") or f"{source}/".startswith(f"{without}/"):
            continue
        # Not where what is staged has a link that leads elsewhere, or a file.
        if realpath(dirname(target)) != join(realpath(copy), place).rstrip("/") or isfile(dirname(target)):
            continue
        os.makedirs(dirname(target), exist_ok=True)
        if path.endswith("/"):
            mirror(source, target)
        else:
            _link(source, target)


def mirror(source: str, target: str, but: Iterable[str] = ()) -> None:
    """Make a directory with links to what is in another; relative links that are there stay relative.

    By such links the packages of a workspace find each other (node_modules/@scope/name -> ../../packages/name), and they
    have to find those in the copy.
    """
    with suppress(FileExistsError):
        os.mkdir(target)
    if not isdir(target):
        return
    for entry in os.scandir(source):
        path = join(target, entry.name)
        if entry.name in but or entry.name in _COMPILED:
            continue
        if entry.name.startswith("@") and entry.is_dir(follow_symlinks=False):
            mirror(entry.path, path)
        elif entry.is_symlink() and not os.readlink(entry.path).startswith("/"):
            with suppress(FileExistsError):
                os.symlink(os.readlink(entry.path), path)
        else:
            _link(entry.path, path)


def _link(source: str, target: str) -> None:
    if basename(target) in _NEVER_LINKS:
        shutil.copyfile(source, target)
        return
    with suppress(FileExistsError):
        os.symlink(source, target)


def python_path(ignored: Sequence[str], top: str, copy: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variable that makes Python import from a copy what is installed as editable from the working tree."""
    places = {place: None for site in _sites(ignored, top, environ) for place in _editable(site, top)}
    if not places:
        return {}
    ours = [os.path.normpath(join(copy, place)) for place in places]
    return {"PYTHONPATH": ":".join([*ours, *filter(None, [environ.get("PYTHONPATH")])])}


def _sites(ignored: Sequence[str], top: str, environ: Mapping[str, str]) -> list[str]:
    """Return where the Pythons that gates may use keep installed packages."""
    # Where an environment ignores itself, git says so of what is in it.
    homes = [join(top, path).removesuffix("/pyvenv.cfg") for path in ignored if path.endswith("/pyvenv.cfg")]
    homes += [join(top, path) for path in ignored if path.endswith("/") and exists(join(top, path, "pyvenv.cfg"))]
    homes += [dirname(place) for place in environ.get("PATH", "").split(":") if exists(join(place, "python"))][:1]
    homes += filter(None, [environ.get("VIRTUAL_ENV")])
    return list(
        dict.fromkeys(place for home in homes for place in glob(join(escape(home), "lib", "python*", "site-packages")))
    )


def _editable(site: str, top: str) -> list[str]:
    """Return the directories below `top` that are on the path of a Python's installation, relative to `top`."""
    found: list[str] = []
    with suppress(OSError):
        for name in os.listdir(site):
            if name.endswith(".pth"):
                found += [line.strip() for line in _lines(join(site, name)) if line.startswith("/")]
            elif name.startswith("__editable__") and name.endswith("_finder.py"):
                # These name packages; their directories have to be on the path.
                found += [dirname(place) for line in _lines(join(site, name)) for place in _QUOTED_PATH.findall(line)]
    places = (realpath(place) for place in found if isdir(place) and not islink(place))
    return [relpath(place, realpath(top)) for place in places if f"{place}/".startswith(f"{realpath(top)}/")]


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read().splitlines()
    except OSError:
        return []
