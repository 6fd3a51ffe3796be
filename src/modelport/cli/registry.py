"""`register`, `verify`, `models`, `approve`, `reject`, `alias`, `delete`: versions of models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from modelport.cli.output import moment, print_facts, print_json, print_table, say
from modelport.cli.parameters import (
    PATH,
    Argument,
    Command,
    Output,
    dry_run_option,
    output_option,
    version_argument,
)
from modelport.domain.errors import InvalidInput
from modelport.domain.names import parse_version
from modelport.sdk.client import Client
from modelport.sdk.versions import ModelVersion

reason_option = click.option("--reason", default="", show_default=False, help="Kept with the decision.")


@click.command(cls=Command)
@click.argument("path", cls=Argument, type=PATH, help="ONNX, skops, joblib or pickle file of a fitted model.")
@click.option("--name", required=True, help="The model's name; made when there is none.")
@click.option("--example", type=PATH, help="Rows of the training features: Parquet, CSV or npy.")
@click.option("--labels", type=PATH, help="Words for the classes: a JSON list, or one on each line.")
@click.option("--trust", is_flag=True, help="Let a pickle run its code, in a sandbox without network.")
@click.option(
    "--approval",
    type=click.Choice(["manual"]),
    help="Wait for `modelport approve` before it may be deployed.",
)
@click.option("--alias", help="An alias for the new version.")
@click.option("--unit", multiple=True, metavar="FEATURE=UNIT", help="Unit of a feature; repeatable.")
@click.option("--metric", multiple=True, metavar="NAME=NUMBER", help="A measured quality; repeatable.")
@click.option("--description", help="For people.")
@click.option("--no-example-data", is_flag=True, help="Keep only made-up rows in the proof.")
@output_option
def register(  # noqa: PLR0913 - options of the command line
    *,
    path: Path,
    name: str,
    example: Path | None,
    labels: Path | None,
    trust: bool,
    approval: str | None,
    alias: str | None,
    unit: tuple[str, ...],
    metric: tuple[str, ...],
    description: str | None,
    no_example_data: bool,
    output: Output,
) -> None:
    """Convert a model file, prove that its answers do not change, and register it.

    Prints NAME:VERSION. Exits 3 where the proof does not hold, 4 for a pickle without --trust.

    Example: modelport register model.skops --name flights --example X_train.parquet
    """
    units, metrics = _pairs(unit, "--unit"), _pairs(metric, "--metric")
    with Client() as client:
        say(f"converting {path.name} and comparing it with the original …")
        version = client.register(
            path,
            name,
            example=example,
            labels=None if labels is None else read_labels(labels),
            units=units,
            metrics={key: _number(value, f"--metric {key}") for key, value in metrics.items()},
            approval=approval,
            alias=alias,
            trust=trust,
            example_data=not no_example_data,
            description=description,
        )
    if output == "json":
        print_json(version.document)
        return
    say(tell_proof(version))
    click.echo(str(version))


@click.command(cls=Command)
@version_argument
@output_option
def verify(reference: str, output: Output) -> None:
    """Replay the rows of a version's proof. Exits 3 where it does not hold.

    Example: modelport verify flights:3
    """
    with Client() as client:
        version = client.version(reference)
        found = version.verify()
    facts = {
        "version": str(version),
        "rows": found.rows,
        "refused": found.refused,
        "max_absolute": found.max_absolute,
        "flips": found.flips,
        "ties": found.ties,
    }
    if output == "json":
        print_json(facts)
    else:
        print_facts(facts)
        say("the proof holds")


@click.command(cls=Command)
@click.argument(
    "name",
    cls=Argument,
    metavar="[NAME]",
    required=False,
    help="A model to list the versions of, or NAME:VERSION to describe one.",
)
@output_option
def models(name: str | None, output: Output) -> None:
    """List the models, the versions of one, or describe a version.

    Example: modelport models flights
    """
    with Client() as client:
        if name is None:
            groups = client.models()
            documents: Any = [group.document for group in groups]
            rows: list[dict[str, Any]] = [
                {
                    "name": group.name,
                    "newest": group.last_version or "",
                    "aliases": ", ".join(f"@{alias} {number}" for alias, number in group.aliases.items()),
                    "changed": moment(group.document.get("modified_at")),
                }
                for group in groups
            ]
            empty = "no models yet; begin with `modelport register`"
        elif set(name) & {":", "@"}:
            version = client.version(name)
            if output == "json":
                print_json(version.document)
            else:
                print_facts(_facts(version))
            return
        else:
            versions = client.versions(name)
            documents = [version.document for version in versions]
            rows = [
                {
                    "version": str(version),
                    "approval": version.approval,
                    "estimator": version.notes.get("estimator"),
                    "framework": version.framework,
                    "metrics": version.metrics,
                    "registered": moment(version.document.get("created_at")),
                }
                for version in versions
            ]
            empty = f"{name} has no versions"
    if output == "json":
        print_json(documents)
    else:
        print_table(rows, empty=empty)


@click.command(cls=Command)
@version_argument
@reason_option
def approve(reference: str, reason: str) -> None:
    """Allow a version to be deployed.

    Example: modelport approve flights:3 --reason "better in July"
    """
    with Client() as client:
        version = client.version(reference).approve(reason)
    say(f"{version} is {version.approval}")


@click.command(cls=Command)
@version_argument
@reason_option
def reject(reference: str, reason: str) -> None:
    """Forbid a version to be deployed. What serves it already goes on.

    Example: modelport reject flights:3 --reason "worse for short flights"
    """
    with Client() as client:
        version = client.version(reference).reject(reason)
    say(f"{version} is {version.approval}")


@click.command(cls=Command)
@version_argument
@click.argument("name", cls=Argument, metavar="ALIAS", help="For example champion.")
def alias(reference: str, name: str) -> None:
    """Point an alias at a version. Traffic does not move.

    Example: modelport alias flights:3 champion
    """
    with Client() as client:
        version = client.version(reference).alias(name)
    say(f"{version.group}@{name} is {version}")


@click.command(cls=Command)
@version_argument
@dry_run_option
def delete(reference: str, *, dry_run: bool) -> None:
    """Delete a version that no endpoint serves. Its number is never given again.

    Example: modelport delete flights:1
    """
    if parse_version(reference).version is None:
        raise InvalidInput(
            f"{reference!r} does not say which version",
            hint=f"write {reference.partition('@')[0]}:1, for example",
        )
    with Client() as client:
        version = client.version(reference)
        if dry_run:
            version.delete(dry_run=True)
            say(f"would delete {version}, registered {moment(version.document.get('created_at'))}")
            return
        version.delete()
    say(f"deleted {version}")


def read_labels(path: Path) -> list[Any]:
    """Read words for classes: a JSON list, or one word on each line.

    Raises:
        InvalidInput: The file cannot be read, or is JSON but no list.
    """
    import json

    try:
        text = path.read_text("utf-8")
        words = json.loads(text) if text.lstrip().startswith("[") else text.splitlines()
    except (OSError, ValueError) as error:
        raise InvalidInput(f"cannot read the labels in {path}: {error}") from error
    return [word for word in words if word != ""]


def tell_proof(version: ModelVersion) -> str:
    """Return what was proven of a version in a line, and a line for each note of the proof."""
    proof = version.proof
    if "rows" not in proof:
        return "not proven"
    measured = (
        f"proven on {proof['rows']:,} rows: largest difference {proof['max_absolute']:.3g} "
        f"(bar {proof.get('bar', 'unknown')}), {proof['flips']} label flips"
    )
    notes = list(proof.get("notes", ()))
    if difference := proof.get("batch_difference"):
        notes.append(
            f"answers depend on the rows beside them, by up to {difference:.1e}: requests run one by one "
            "where the setting batch_difference_max is less"
        )
    return "\n".join([measured, *(f"note: {note}" for note in notes)])


def _facts(version: ModelVersion) -> dict[str, Any]:
    return {
        "version": str(version),
        "approval": version.approval,
        "reason": version.status_document.get("approval_description"),
        "description": version.spec.get("model_package_description"),
        "estimator": version.notes.get("estimator"),
        "framework": version.framework,
        "metrics": version.metrics,
        "proof": tell_proof(version),
        "parent": version.notes.get("parent_version"),
        "digest": version.digest,
        "files": [f"{name}  {digest[:12]}…" for name, digest in version.files.items()],
        "registered": moment(version.document.get("created_at")),
    }


def _pairs(given: Sequence[str], option: str) -> dict[str, str]:
    pairs = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise InvalidInput(f"{option} {text!r} is not of the form NAME=VALUE")
        pairs[name] = value
    return pairs


def _number(text: str, what: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InvalidInput(f"{what} is {text!r}, expected a number") from None
