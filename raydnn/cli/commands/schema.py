"""`raydnn schema`: the JSON Schema of job files."""

from __future__ import annotations

import click

from raydnn.cli.printing.output import print_json


@click.command()
def schema() -> None:
    """Print the JSON Schema of job files, for editors and other programs.

    \b
    Example:
      raydnn schema > raydnn.schema.json
    """
    from raydnn.spec.catalogue.schema import job_schema

    print_json(job_schema())
