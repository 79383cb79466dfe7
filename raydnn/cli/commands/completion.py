"""`raydnn completion`: what a shell has to be told so that Tab completes commands, options, runs and components."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from raydnn.cli.printing.terminal import tell

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_RAYDNN_COMPLETE"
"""Where the script asks `raydnn` for what may follow, as click reads it."""


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print the script with which SHELL completes raydnn's commands, options, runs and components.

    \b
    Example:
      echo 'eval "$(raydnn completion bash)"' >> ~/.bashrc
      echo 'eval "$(raydnn completion zsh)"' >> ~/.zshrc
      raydnn completion fish > ~/.config/fish/completions/raydnn.fish
    """
    root = click.get_current_context().find_root().command
    found = get_completion_class(shell)
    assert found is not None, "click knows the three"
    # Not `source()` of bash, which asks the bash that is there for its version and speaks of it.
    script = found(root, {}, "raydnn", VARIABLE)
    tell(script.source_template % script.source_vars())
