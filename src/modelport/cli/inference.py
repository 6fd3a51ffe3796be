"""`predict` and `feedback`: rows out and in."""

from __future__ import annotations

from typing import Any, get_args

import click
from click.exceptions import Exit

from modelport.cli.exits import FAILED, report
from modelport.cli.files import MEDIA_TYPES, Format, read_content, read_pairs, read_table
from modelport.cli.output import print_json, print_table, say
from modelport.cli.parameters import Argument, Command, Output, endpoint_argument, output_option
from modelport.domain.errors import Conflict, PayloadTooLarge
from modelport.sdk.client import Client

format_option = click.option(
    "--format",
    "given",
    type=click.Choice(get_args(Format)),
    help="Of the file; told by its name or content otherwise.",
)


@click.command(cls=Command)
@endpoint_argument
@click.argument("file", cls=Argument, help="JSON, JSON Lines, CSV or Parquet; - for standard input.")
@click.option("--variant", help="Ask this variant, whatever the weights.")
@format_option
@output_option
def predict(endpoint: str, file: str, variant: str | None, given: Format | None, output: Output) -> None:
    """Predict the rows of a file, in the words of the labels.

    Example: modelport predict flights rows.csv
    """
    from modelport.sdk.replies import join_answers

    rows = read_content(file, given)
    with Client() as client:
        found = client.endpoint(endpoint)
        try:
            if rows.format == "parquet":
                reply = found.predict(read_table(rows), variant=variant)
            else:
                answer = found.invoke(rows.content, MEDIA_TYPES[rows.format], variant=variant)
                reply = join_answers([answer], None)
        except PayloadTooLarge as error:
            error.hint = f"score large files as a job: modelport batch {found.version()} {file} OUTPUT"
            raise
    say(f"{reply.model_version}, variant {reply.variant}, {len(reply)} rows")
    predictions = reply.predictions.tolist()
    probabilities = None if reply.probabilities is None else reply.probabilities.tolist()
    if output == "json":
        document = {
            "predictions": predictions,
            "probabilities": probabilities,
            "classes": reply.classes or None,
            "ids": reply.ids,
            "variant": reply.variant,
            "model_version": reply.model_version,
        }
        print_json({key: value for key, value in document.items() if value is not None}, indent=None)
        return
    table: list[dict[str, Any]] = []
    for row, (prediction, key) in enumerate(zip(predictions, reply.ids, strict=True)):
        line = {"prediction": prediction if isinstance(prediction, str) else repr(prediction)}
        if probabilities is not None:
            line |= {
                f"p({label})": f"{value:.4f}"
                for label, value in zip(reply.classes, probabilities[row], strict=True)
            }
        table.append(line | {"id": key})
    print_table(table, empty="no rows")


@click.command(cls=Command)
@endpoint_argument
@click.argument("file", cls=Argument, help="CSV, JSON, JSON Lines or Parquet with id and label; -.")
@format_option
@output_option
def feedback(endpoint: str, file: str, given: Format | None, output: Output) -> None:
    """Tell what the right answers were, by prediction id. Labels may come late, shuffled, twice.

    Example: modelport feedback flights labels.csv
    """
    pairs = read_content(file, given)
    with Client() as client:
        found = client.endpoint(endpoint)
        ids, labels = read_pairs(pairs, lambda: found.signature().output.labels)
        try:
            accepted = found.feedback(ids, labels)
        except Conflict as error:  # it captures nothing: a failure with a remedy, no conflict of names
            report(error)
            raise Exit(FAILED) from error
    if output == "json":
        print_json(accepted)
    else:
        say(f"{accepted['accepted']} labels accepted, {accepted['doubled']} of them for rows that had one")
