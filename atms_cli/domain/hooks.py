"""Git hooks: the lines that call atms, how they get into a hook that is there, and out of it again without a trace."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: The stages of gates that git has a hook for, by the hook's name.
STAGES = ("pre-commit", "pre-push", "commit-msg")
#: Those that judge files, which a person may call as well.
TREE_STAGES = ("pre-commit", "pre-push")
#: Set to 1, this variable lets every hook of ours pass.
SKIP = "ATMS_SKIP_HOOKS"
#: Where gates of a hook find the files: in the working tree if it is exactly what is judged, always in a copy, or always
#: in the working tree, whatever is in it.
TREES = ("auto", "copy", "working")
#: Git reads hooks from its configuration since this version.
CONFIG_HOOKS = (2, 54)
#: Stands in a gate's command for the file with the commit message.
MESSAGE_FILE = "{message_file}"

_BEGIN, _END = b"# >>> atms ", b"# <<< atms "
_FIRST_LINE = b"#!/bin/sh\n"
#: In the first line of a block, if the whole file is ours.
_MADE = "; the whole file is made by atms"
#: What git says on standard input has to reach whoever comes next as well.
_PUSHED = ("atms_refs=$(cat)",)
_HAND_ON = ('if [ -n "$atms_refs" ]; then exec <<ATMS_REFS', "$atms_refs", "ATMS_REFS", "else exec </dev/null; fi")
_SHELLS = ("sh", "bash", "dash", "ash", "zsh", "ksh", "mksh")


# The lines


def made(stage: str, program: str | None, *, aside: str | None = None) -> bytes:
    """Return a whole hook that calls atms, and after it another program in the same directory."""
    return _FIRST_LINE + _block(stage, program, _MADE, aside)


def inserted(content: bytes, stage: str, program: str | None) -> bytes:
    """Return a shell script that calls atms first: what was there may end the script itself at any line."""
    head, rest = _split(content)
    return head + _block(stage, program, "", None) + rest


def _split(content: bytes) -> tuple[bytes, bytes]:
    """Separate the line that names the interpreter from the rest."""
    end = content.find(b"\n") + 1 if content.startswith(b"#!") else 0
    return content[:end], content[end:]


def _block(stage: str, program: str | None, note: str, aside: str | None) -> bytes:
    lines = [
        f"# >>> atms {stage} >>> take it out with: atms gate uninstall-hook --stage {stage}{note}",
        *(_PUSHED if stage == "pre-push" else ()),
        f'if [ "${{{SKIP}:-}}" != 1 ]; then',
        *(f"  {line}" for line in _call(stage, program)),
        "fi",
        *(_HAND_ON if stage == "pre-push" else ()),
    ]
    if aside:
        lines.append(f'if [ -x "${{0%/*}}/{aside}" ]; then exec "${{0%/*}}/{aside}" "$@"; fi')
    return "\n".join([*lines, f"# <<< atms {stage} <<<\n"]).encode("utf-8", "surrogateescape")


def _call(stage: str, program: str | None) -> list[str]:
    """Return the lines that find atms and hand over to it; without atms nothing may pass."""
    pipe = "printf '%s\\n' \"$atms_refs\" | " if stage == "pre-push" else ""
    return [
        f"atms_missing={quoted(_missing(stage))}",
        f"atms_program={quoted(program or '')}",
        '[ -x "$atms_program" ] || atms_program=$(command -v atms) || { echo "$atms_missing" >&2; exit 1; }',
        f'{pipe}"$atms_program" hook run {stage} "$@" || {{',
        "  atms_code=$?",
        '  case $atms_code in 126 | 127) echo "$atms_missing" >&2 ;; esac',
        "  exit $atms_code",
        "}",
    ]


def _missing(stage: str) -> str:
    return f"atms is not there to judge this {stage}: install it, or put it on the PATH; once without: {SKIP}=1"


def quoted(text: str) -> str:
    """Return a text as one word of the shell."""
    return "'" + text.replace("'", "'\"'\"'") + "'"


def config_command(stage: str, program: str | None) -> str:
    """Return what git calls for a hook in its configuration; git itself puts the hook's arguments behind it."""
    missing = f"{{ echo {quoted(_missing(stage))} >&2; exit 1; }}"
    find = (
        f'atms_program={quoted(program or "")}; [ -x "$atms_program" ] || atms_program=$(command -v atms) || {missing}'
    )
    return f'[ "${{{SKIP}:-}}" = 1 ] && exit 0; {find}; "$atms_program" hook run {stage}'


# Taking them out


def has_block(content: bytes) -> bool:
    """Return whether a hook has lines of ours."""
    return _BEGIN in content and _END in content


def is_made(content: bytes) -> bool:
    """Return whether there is nothing in a hook but what `made` writes."""
    begins, ends = _bounds(content)
    is_ours = _MADE.encode() in content[begins:].partition(b"\n")[0]
    return is_ours and content[:begins] == _FIRST_LINE and ends == len(content)


def aside_of(content: bytes) -> str | None:
    """Return the name of the hook that one made by us calls next, None if it calls none."""
    _, mark, rest = content.partition(b'exec "${0%/*}/')
    return rest.partition(b'"')[0].decode("utf-8", "surrogateescape") if mark else None


def without(content: bytes) -> bytes:
    """Return a hook without our lines; all others are as they were, byte for byte."""
    begins, ends = _bounds(content)
    return content[:begins] + content[ends:]


def _bounds(content: bytes) -> tuple[int, int]:
    begins = content.index(_BEGIN)
    ends = content.find(b"\n", content.index(_END, begins)) + 1
    return begins, ends or len(content)


# Judging what is there


def is_shell(content: bytes, *, executable: bool) -> bool:
    """Return whether lines of shell may be put into a hook: git runs it, and a shell reads it."""
    if not executable or b"\0" in content:
        return False
    if not content.startswith(b"#!"):
        return True  # the system cannot run it, so git hands it to the shell
    first, newline, _ = content.partition(b"\n")
    words = first[2:].decode(errors="replace").split()
    if words and words[0].rpartition("/")[2] == "env":
        words = [word for word in words[1:] if not word.startswith("-")]
    return bool(newline) and bool(words) and words[0].rpartition("/")[2] in _SHELLS


def is_of_pre_commit(content: bytes) -> bool:
    """Return whether the pre-commit framework wrote a hook."""
    return b"File generated by pre-commit: https://pre-commit.com" in content


def is_of_lefthook(content: bytes) -> bool:
    """Return whether lefthook wrote a hook."""
    return b"lefthook" in content.lower()


def lefthook_snippet(stage: str) -> str:
    """Return what to put into lefthook.yml."""
    refs = "\n      use_stdin: true" if stage == "pre-push" else ""
    return f"{stage}:\n  commands:\n    atms:\n      run: atms hook run {stage} {{0}}{refs}"


def is_version(words: str, least: tuple[int, ...]) -> bool:
    """Return whether `git version 2.54.0` names this version or a later one."""
    numbers = words.removeprefix("git version ").split(".")
    found = tuple(int(number) for number in numbers[: len(least)] if number.isdigit())
    return len(found) == len(least) and found >= least


# What is pushed


def pushed(given: str) -> list[tuple[str, str]]:
    """Return what each line on a pre-push hook's standard input pushes: the commit, and the one it takes the place of.

    Deletions push nothing. The second is empty for a new branch.
    """
    found: dict[tuple[str, str], None] = {}
    for line in given.splitlines():
        words = line.split(" ")
        if len(words) == _WORDS and words[1].strip("0"):
            found[words[1], words[3] if words[3].strip("0") else ""] = None
    return list(found)


#: Local ref, local object, remote ref, remote object.
_WORDS = 4


def of_pre_commit(environ: Mapping[str, str]) -> str:
    """Return what git would say, from what the pre-commit framework tells the hooks that it calls before a push."""
    pushed_, replaced = environ.get("PRE_COMMIT_TO_REF"), environ.get("PRE_COMMIT_FROM_REF", "0")
    return f"- {pushed_} - {replaced}\n" if pushed_ else ""


def with_message_file(command: str | Sequence[str], path: str) -> str | list[str]:
    """Return a gate's command with the file that holds the commit message filled in."""
    if isinstance(command, str):
        return command.replace(MESSAGE_FILE, quoted(path))
    return [word.replace(MESSAGE_FILE, path) for word in command]


def skips(environ: Mapping[str, str]) -> bool:
    """Return whether this process is to let a commit pass: it was told so, or it works for a gate already."""
    return environ.get(SKIP) == "1" or "ATMS_GATE" in environ
