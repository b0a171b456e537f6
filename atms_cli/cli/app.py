"""The Typer lane: help, errors, completion, and every spelling that the fast lane leaves alone.

A handler's signature is the one declaration of a command. Its annotations are names in `options.py`, which cost
nothing until this module looks them up.
"""

from __future__ import annotations

import inspect
import sys
from importlib import import_module
from typing import Any

import typer
from typer import _click as click
from typer.core import TyperGroup
from typer.main import get_command, get_command_from_info
from typer.models import CommandInfo

from atms_cli.cli import options
from atms_cli.cli.call import COMMON, Call, invoke
from atms_cli.cli.registry import GROUPS, SINGLE, command_name
from atms_cli.cli.unknown import unknown
from atms_cli.errors import EXIT_INTERRUPTED, UsageError

_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


def declared(target: str) -> Any:  # noqa: ANN401  a function made for Typer to inspect
    """Return a function with the handler's options and the common ones, resolved for Typer."""
    module_name, _, function_name = target.partition(":")
    handler = getattr(import_module(module_name), function_name)
    own = [
        parameter.replace(annotation=getattr(options, parameter.annotation.removeprefix("o.")))
        for parameter in list(inspect.signature(handler).parameters.values())[1:]
    ]
    common = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=options.COMMON[name])
        for name in COMMON
    ]

    def command(**values: Any) -> int:  # noqa: ANN401
        return invoke(target, {name: value for name, value in values.items() if value is not None})

    ordered = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own] + common
    command.__signature__ = inspect.Signature(ordered)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in ordered}
    command.__doc__ = handler.__doc__
    return command


def built(name: str, target: str) -> Any:  # noqa: ANN401  Typer's command class is private
    """Return the Typer command of a handler."""
    info = CommandInfo(name=name, callback=declared(target), context_settings=_SETTINGS)
    return get_command_from_info(info, pretty_exceptions_short=False, rich_markup_mode=None)


class LazyGroup(TyperGroup):
    """A group that imports and builds a command only when it is called."""

    targets: dict[str, str]

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the registry."""
        del ctx
        return list(self.targets)

    def get_command(self, ctx: click.Context, cmd_name: str) -> Any:  # noqa: ANN401
        """Return one command, built now."""
        del ctx
        target = self.targets.get(cmd_name)
        if target is None:
            return None
        return _group(cmd_name) if target in GROUPS else built(cmd_name, target)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:  # noqa: ANN401
        """Return the command that the first word names; refuse a word that names none."""
        if args and args[0] not in self.targets and not args[0].startswith("-"):
            raise unknown(args[0], self.targets, ctx.command_path)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List commands with the first sentence of their docstrings, without building them."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, _summary(target)) for name, target in self.targets.items()])


def _summary(target: str) -> str:
    module_name, _, function_name = (GROUPS[target][0] if target in GROUPS else target).partition(":")
    module = import_module(module_name)
    text = inspect.getdoc(getattr(module, function_name) if function_name else module) or ""
    return text.partition("\n")[0].rstrip(".")


def _group(name: str) -> Any:  # noqa: ANN401
    module, functions = GROUPS[name]
    app = typer.Typer(
        cls=LazyGroup, rich_markup_mode=None, add_completion=False, context_settings=_SETTINGS, no_args_is_help=True
    )
    app.callback(help=import_module(module).__doc__)(lambda: None)
    group = get_command(app)
    group.name = name
    group.targets = {command_name(function): f"{module}:{function}" for function in functions}  # type: ignore[attr-defined]
    return group


def root() -> Any:  # noqa: ANN401
    """Return the whole command line."""
    app = typer.Typer(cls=LazyGroup, rich_markup_mode=None, add_completion=True, context_settings=_SETTINGS)
    app.callback(
        invoke_without_command=True,
        help="Work through approved work with coding agents, and prove it.",
        epilog="A bare `atms` shows the status of the workspace you are in.",
    )(_root_callback)
    command = get_command(app)
    command.name = "atms"
    groups = {name: name for name in GROUPS}
    command.targets = {"init": SINGLE["init"], "status": SINGLE["status"], "run": SINGLE["run"], **groups, **SINGLE}  # type: ignore[attr-defined]
    return command


def _root_callback(ctx: typer.Context, workspace: options.Workspace = None, version: options.Version = False) -> None:
    if workspace is not None:
        # The subcommand's own option, if given as well, wins.
        ctx.obj = workspace
    if version:
        raise typer.Exit(invoke(SINGLE["version"], {}))
    if ctx.invoked_subcommand is None:
        raise typer.Exit(_bare(ctx, workspace))


def _bare(ctx: typer.Context, workspace: str | None) -> int:
    from atms_cli.errors import NotFoundError

    try:
        _ = Call({"workspace": workspace}).workspace
    except NotFoundError:
        sys.stdout.write(ctx.get_help() + "\n")
        return 0
    return invoke(SINGLE["status"], {"workspace": workspace})


def run(arguments: list[str]) -> int:
    """Parse with Typer and run; what it refuses becomes an error of ours."""
    try:
        code = root().main(args=_root_options_last(arguments), prog_name="atms", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        sys.stdout.write(error.format_message() + "\n")
        return 0
    except click.exceptions.UsageError as error:
        path = error.ctx.command_path if error.ctx is not None else "atms"
        raise UsageError(error.format_message().rstrip("."), f"see: {path} --help") from error
    except typer.Exit as error:
        return int(error.exit_code)
    except click.exceptions.ClickException as error:
        raise UsageError(error.format_message()) from error
    except (typer.Abort, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    return code if isinstance(code, int) else 0


def _root_options_last(arguments: list[str]) -> list[str]:
    """Move `--workspace DIR` and flags given before the command behind it, where every command takes them."""
    moved: list[str] = []
    rest = list(arguments)
    while rest and rest[0].startswith("-"):
        if rest[0] in ("--workspace", "--color") and len(rest) > 1:
            moved += [rest.pop(0), rest.pop(0)]
        elif rest[0] in ("--json", "-q", "--quiet", "--yes", "--no-input") or rest[0].startswith(
            ("--workspace=", "--color=")
        ):
            moved.append(rest.pop(0))
        else:
            break
    if not rest and moved:
        return ["status", *moved]
    if not rest or rest[0].startswith("-"):
        return arguments
    return rest + moved if "--" not in rest else rest[: rest.index("--")] + moved + rest[rest.index("--") :]
