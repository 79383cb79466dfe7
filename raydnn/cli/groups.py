"""Groups of commands that answer a mistyped name with the nearest of all commands, wherever it stands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher

import click

NEVER_GUESSED = ("stop",)
"""Commands that end something: who mistypes another one is not led to them."""
NEAR = 0.6
"""Least similarity of what is suggested."""


class Group(click.Group):
    """A group whose help lists the commands in the order in which they are written."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, first written first."""
        return list(self.commands)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or name the one that was probably meant."""
        allowed = self.list_commands(ctx)
        if args[0] not in allowed and not args[0].startswith("-"):
            root = ctx.find_root()
            within = ctx.command_path.split()[1:]
            asked = " ".join([*within, args[0]])
            names = f"allowed: {', '.join(allowed)}"
            found = nearest_command(args[0], paths(root.command, root), within)
            raise click.UsageError(
                f"unknown command '{asked}'; {names}" + (f". Did you mean '{found}'?" if found else "")
            )
        return super().resolve_command(ctx, args)


def paths(command: click.Command, ctx: click.Context) -> Iterator[tuple[str, ...]]:
    """Yield the words of every command below a group: `("results", "top")`; those of groups come before theirs."""
    if isinstance(command, click.Group):
        for name in command.list_commands(ctx):
            member = command.get_command(ctx, name)
            if member is not None:
                yield (name,)
                yield from ((name, *below) for below in paths(member, ctx))


def nearest_command(given: str, known: Iterable[tuple[str, ...]], within: list[str]) -> str | None:
    """Return the command whose last word is most like the given one, or None where none is like it.

    Args:
        given: What was typed.
        known: The words of every command.
        within: The group it was typed in; of two that are equally like it, the one in there is meant.
    """
    likeness = {
        path: (SequenceMatcher(None, given, path[-1]).ratio(), list(path[:-1]) == within, -len(path))
        for path in known
        if path[-1] not in NEVER_GUESSED
    }
    best = max(likeness, key=lambda path: likeness[path])
    return " ".join(best) if likeness[best][0] >= NEAR else None
