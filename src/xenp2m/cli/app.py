"""The click group behind ``xenp2m``: verbs load when named, errors become one line and status 2."""

from __future__ import annotations

import errno
import os
import sys
from importlib import import_module

import click

from xenp2m.cli import VERBS
from xenp2m.cli.guard import guarded_output
from xenp2m.errors import XenP2MError

__all__ = ["run", "verbs"]

_PACKAGES = {"numpy": "python3-numpy", "elftools": "python3-pyelftools"}
"""What some verbs do without, and a zipapp may not find: the module, and where Debian has it."""


class _Verbs(click.Group):
    """A group whose commands are ``xenp2m.cli.VERB.command``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command: click.Command = import_module(f"xenp2m.cli.{cmd_name.replace('-', '_')}").command
        return command


def verbs() -> click.Group:
    """The group of all verbs."""
    return _Verbs(
        "xenp2m",
        help="The memory of a Xen PV host, worked out exactly.",
        context_settings={"help_option_names": ["--help", "-h"]},
    )


def run(arguments: list[str]) -> int:
    """Run one verb.

    Returns:
        The exit status: 0, 1 or 2.
    """
    from xenp2m.cli.redaction import forget

    forget()
    with guarded_output():
        return _run(arguments)


def _run(arguments: list[str]) -> int:
    group = verbs()
    try:
        status = group.main(arguments, prog_name="xenp2m", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Abort:
        return _complain("interrupted")
    except click.UsageError as error:
        context = f" (xenp2m {error.ctx.info_name} --help)" if error.ctx and error.ctx.parent else ""
        return _complain(error.format_message().rstrip(".") + context)
    except click.ClickException as error:
        return _complain(error.format_message())
    except XenP2MError as error:
        return _complain(str(error))
    except OSError as error:
        if error.errno != errno.EPIPE:
            _drop_output()
            return _complain(f"output: expected a place that can be written, got {error.strerror}")
        return _gone()
    except SystemExit:
        return _gone()
    except ModuleNotFoundError as error:
        name = (error.name or "").partition(".")[0]
        if name not in _PACKAGES:
            raise
        return _complain(f"this verb: expected {name} (apt install {_PACKAGES[name]}), got none")
    return status if isinstance(status, int) else 0


def _gone() -> int:
    """The reader went away (`xenp2m plan | head`), which click turns into an exit: nothing is wrong."""
    _drop_output()
    return 0


def _drop_output() -> None:
    """Send what is still buffered to nowhere, so that closing does not fail once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _complain(message: str) -> int:
    from xenp2m.cli.redaction import active

    click.echo(f"xenp2m: {active().text(' '.join(message.split()))}", err=True)
    return 2
