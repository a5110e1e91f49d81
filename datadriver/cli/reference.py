"""The command reference of the documentation, made from the commands' own help."""

from __future__ import annotations

import click

from datadriver.cli.app import COMMANDS, app

WIDTH = 100
HEAD = """# Commands

<!-- Generated from the commands' help by `make reference`; do not edit. -->

"""


def commands_page() -> str:
    """Return the page: the overview, then the help of every command and subcommand."""
    top = click.Context(app, info_name="datadriver", terminal_width=WIDTH)
    parts = [HEAD, _block(top)]
    for name in COMMANDS:
        command = app.get_command(top, name)
        if command is not None:
            parts += _sections(command, click.Context(command, info_name=name, parent=top, terminal_width=WIDTH))
    return "".join(parts).rstrip() + "\n"


def _sections(command: click.Command, context: click.Context) -> list[str]:
    """Return the section of a command, then those of its subcommands."""
    parts = [f"\n## {context.command_path}\n\n", _block(context)]
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None:
                parts += _sections(below, click.Context(below, info_name=name, parent=context, terminal_width=WIDTH))
    return parts


def _block(context: click.Context) -> str:
    return f"```text\n{context.get_help().strip()}\n```\n"
