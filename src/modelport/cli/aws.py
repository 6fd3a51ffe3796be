"""`sdk-config`: the settings that point AWS tools here."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from modelport.cli.output import print_json, say
from modelport.cli.parameters import PATH, Command, Output, output_option
from modelport.durable import write_durably
from modelport.sdk.aws_config import aws_variables, sagemaker_configuration
from modelport.sdk.client import Client
from modelport.settings import default_cache


@click.command(name="sdk-config", cls=Command)
@click.option("--bucket", default="modelport-sdk", help="Where the SageMaker SDK keeps what it uploads.")
@click.option("--region", default="us-east-1", help="Any; ARNs carry it.")
@click.option("--to", "path", type=PATH, help="File for the SageMaker SDK's configuration.")
@output_option
def sdk_config(bucket: str, region: str, path: Path | None, output: Output) -> None:
    """Print the settings that point AWS tools here, and write the SageMaker SDK's configuration.

    A shell takes what is printed: eval "$(modelport sdk-config)".

    Example: modelport sdk-config --region eu-west-1
    """
    configuration = sagemaker_configuration(bucket)
    with Client() as client:
        url = client.url
    path = (path or default_cache() / "sagemaker-sdk.yaml").absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_durably(path, configuration.encode())
    say(f"wrote {path}")
    variables = aws_variables(url, region, path)
    if output == "json":
        print_json(variables)
        return
    for name, value in variables.items():
        click.echo(f"export {name}={shlex.quote(value)}")
