"""What all command lines share: exit codes, and one clear line for whatever goes wrong."""

from __future__ import annotations

import errno
import gc
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import Annotated, Any, TextIO, TypeVar

import typer

from .._version import __version__
from ..errors import InputError, Notice, UsageError, did_you_mean, with_notes
from ..io.addresses import without_secrets

INTERRUPTED = 130
# What writing to a full disk or to a terminal that is gone says. Files of ours are named in their errors.
_UNWRITABLE = {errno.ENOSPC, errno.EIO, errno.EBADF, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}

Quiet = Annotated[bool, typer.Option("--quiet", help="No progress and no summary.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
HELP = {"help_option_names": ["-h", "--help"]}

F = TypeVar("F", bound=Callable[..., Any])


class Program:
    """A command line under its name: how it takes commands, is run and speaks on stderr.

    Attributes:
        name: for messages.
        app: Typer's.
        version_option: ``--version``, which shows name and version and ends.

    Args:
        name: as above.
        on_interrupt, elsewhere: see ``run_app``.
        no_args_is_help: show the help where no arguments are given.
    """

    def __init__(
        self,
        name: str,
        *,
        on_interrupt: str | None = "interrupted",
        elsewhere: Mapping[str, str] = MappingProxyType({}),
        no_args_is_help: bool = False,
    ) -> None:
        self.name = name
        self.app = typer.Typer(
            add_completion=False, pretty_exceptions_enable=False, no_args_is_help=no_args_is_help
        )
        self.version_option = _version_option(name)
        self._on_interrupt, self._elsewhere = on_interrupt, elsewhere

    def command(self, function: F) -> F:
        """Make ``function`` a command, the only one or one of several; a decorator."""
        return self.app.command(context_settings=HELP)(function)

    def run(self, arguments: Sequence[str]) -> int:
        """Run the command line with ``arguments`` (without the program's name); returns the exit code."""
        return run_app(
            self.app, self.name, arguments, on_interrupt=self._on_interrupt, elsewhere=self._elsewhere
        )

    def main(self) -> None:
        """The entry point: run with the arguments of the process and exit."""
        # Frames that wait are thousands of objects and no cycles; Python would look through them every 700.
        gc.set_threshold(10_000, 10, 10)
        code = self.run(sys.argv[1:])
        # At the end the system takes all memory at once: a quarter of a second less than object by object.
        # Triton, which torch brings with CUDA, would call all that is left a leak, in dozens of lines.
        if "torch" not in sys.modules:
            gc.freeze()
        sys.exit(code)

    def warn(self, message: str) -> None:
        """A warning on stderr."""
        say(f"{self.name}: warning: {message}")


def run_app(
    app: typer.Typer,
    program: str,
    arguments: Sequence[str],
    *,
    on_interrupt: str | None = "interrupted",
    elsewhere: Mapping[str, str] = MappingProxyType({}),
) -> int:
    """Run a command line and answer every error in one line on stderr, without traceback unless ``--debug``.

    Args:
        app: the command, or the commands.
        program: its name, for messages.
        arguments: without the program's name.
        on_interrupt: what to say at Ctrl-C; None for a command that reports by itself and exits with 130.
        elsewhere: options of other programs, and what says the same here.

    Returns:
        Exit code: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
    """
    debug = "--debug" in arguments
    command = typer.main.get_command(app)
    _show_flags_bare(command)

    def answer(message: str, code: int) -> int:
        if debug:
            # The libraries below name the address of a stream with its password.
            typer.echo(without_secrets(traceback.format_exc()), err=True, nl=False)
        return fail(program, message, code)

    def hint(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
        if issubclass(category, Notice):
            say(f"{program}: warning: {message}")
        else:
            shown(message, category, *where, **more)

    shown, warnings.showwarning = warnings.showwarning, hint
    try:
        code = command.main(list(arguments), prog_name=program, standalone_mode=False) or 0
        if sys.stdout is not None:  # closed by the caller
            sys.stdout.flush()
        # Typer makes an exit code of Ctrl-C by itself, from 0.20-odd on.
        if code == INTERRUPTED and on_interrupt is not None:
            return answer(on_interrupt, INTERRUPTED)
        return code
    except (KeyboardInterrupt, typer.Abort):
        return answer(on_interrupt or "interrupted", INTERRUPTED)
    except BrokenPipeError:
        _silence(sys.stdout)
        return InputError.exit_code
    except InputError as error:
        return answer(with_notes(error, str(error)), error.exit_code)
    except Exception as error:
        if isinstance(error, OSError) and error.filename is None and error.errno in _UNWRITABLE:
            _silence(sys.stdout)
            return answer(f"standard output cannot be written: {error.strerror}", InputError.exit_code)
        usage = _usage_message(error, command, program, arguments, elsewhere)
        if usage is not None:
            return answer(usage, UsageError.exit_code)
        mend = "" if debug else "; run again with --debug for the traceback"
        return answer(with_notes(error, f"{type(error).__name__}: {error}") + mend, InputError.exit_code)
    finally:
        warnings.showwarning = shown


def _show_flags_bare(command: Any) -> None:
    """Let --help show ``--link``, not ``--link <bool>`` as Typer 0.29 does: a flag takes no value."""
    with command.context_class(command, **command.context_settings) as context:
        for parameter in command.get_params(context):
            if getattr(parameter, "is_flag", False) and parameter.metavar is None:
                parameter.metavar = ""
    for inner in getattr(command, "commands", {}).values():
        _show_flags_bare(inner)


def _version_option(program: str) -> Any:

    def show(wanted: bool) -> None:
        if wanted:
            typer.echo(f"{program} {__version__}")
            raise typer.Exit

    return typer.Option("--version", is_eager=True, callback=show, help="Show the version.")


def fail(program: str, message: str, code: int) -> int:
    """Say in one line on stderr what went wrong; returns ``code``."""
    say(f"{program}: error: {without_secrets(' '.join(message.split()))}")
    return code


def say(line: str) -> None:
    """A line on stderr; a terminal that has closed is no reason to fail."""
    with suppress(OSError):
        typer.echo(line, err=True)


def _silence(stream: TextIO) -> None:
    """Lead ``stream`` to nowhere: else the interpreter fails at its end with what is left in it, code 120."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _usage_message(
    error: Exception,
    command: Any,
    program: str,
    arguments: Sequence[str],
    elsewhere: Mapping[str, str],
) -> str | None:
    """What the parser of the command line has to say, in one line; None for an error of another kind."""
    # Typer carries a copy of Click since 0.20-odd, so its classes are told by their methods.
    if not hasattr(error, "format_message"):
        return None
    commands = getattr(command, "commands", None)
    sub = commands.get(arguments[0]) if commands and arguments else None
    option = getattr(error, "option_name", None)
    if option is not None and hasattr(error, "possibilities"):
        parameters = (sub or command).params
        known = [name for parameter in parameters for name in parameter.opts if name.startswith("--")]
        if option in elsewhere:
            return f"no such option {option}; here it is {elsewhere[option]}"
        return f"no such option {option}{did_you_mean(option, known)}"
    if commands and sub is None and arguments and not arguments[0].startswith("-"):
        return f"no such command {arguments[0]!r}{did_you_mean(arguments[0], commands)}"
    message = str(error.format_message()).rstrip(".")
    place = f"{program} {arguments[0]}" if sub is not None else program
    return f"{message[:1].lower()}{message[1:]}; see {place} --help"
