"""`datadriver schema`: the JSON Schema of usecase.yaml, for editors."""

from __future__ import annotations

import json

import click

from datadriver.cli import options
from datadriver.cli.output import Output


@click.command("schema", short_help="Print the JSON Schema of usecase.yaml, for editors.")
@options.speaks
def command(output: Output) -> None:
    """Print the JSON Schema of usecase.yaml; editors complete and check with it."""
    from datadriver.config.schema import json_schema

    schema = json_schema()
    output.document(schema)
    output.line(json.dumps(schema, indent=2))
