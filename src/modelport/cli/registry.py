"""`register`, `verify`, `models`, `approve`, `reject`, `alias`, `delete`: versions of models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from modelport.cli.output import AsOutput, DryRun, moment, print_facts, print_json, print_table, say
from modelport.domain.errors import InvalidInput
from modelport.domain.names import parse_version
from modelport.sdk.client import Client
from modelport.sdk.versions import ModelVersion

app = typer.Typer()
Reference = Annotated[str, typer.Argument(metavar="NAME:VERSION", help="A version, or NAME@ALIAS.")]
Reason = Annotated[str, typer.Option(help="Kept with the decision.")]


@app.command()
def register(  # noqa: PLR0913 - options of the command line
    path: Annotated[Path, typer.Argument(help="ONNX, skops, joblib or pickle file of a fitted model.")],
    *,
    name: Annotated[str, typer.Option(help="The model's name; made when there is none.")],
    example: Annotated[
        Path | None, typer.Option(help="Rows of the training features: Parquet, CSV or npy.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="Words for the classes: a JSON list, or one on each line.")
    ] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="Let a pickle run its code, in a sandbox without network.")
    ] = False,
    approval: Annotated[
        Literal["manual"] | None, typer.Option(help="Wait for `modelport approve` before it may be deployed.")
    ] = None,
    alias: Annotated[str | None, typer.Option(help="An alias for the new version.")] = None,
    unit: Annotated[
        list[str] | None, typer.Option(metavar="FEATURE=UNIT", help="Unit of a feature; repeatable.")
    ] = None,
    metric: Annotated[
        list[str] | None, typer.Option(metavar="NAME=NUMBER", help="A measured quality; repeatable.")
    ] = None,
    description: Annotated[str | None, typer.Option(help="For people.")] = None,
    no_example_data: Annotated[
        bool, typer.Option("--no-example-data", help="Keep only made-up rows in the proof.")
    ] = False,
    output: AsOutput = "table",
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
    typer.echo(str(version))


@app.command()
def verify(reference: Reference, output: AsOutput = "table") -> None:
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


@app.command()
def models(
    name: Annotated[
        str | None, typer.Argument(help="A model to list the versions of, or NAME:VERSION to describe one.")
    ] = None,
    output: AsOutput = "table",
) -> None:
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


@app.command()
def approve(reference: Reference, reason: Reason = "") -> None:
    """Allow a version to be deployed.

    Example: modelport approve flights:3 --reason "better in July"
    """
    with Client() as client:
        version = client.version(reference).approve(reason)
    say(f"{version} is {version.approval}")


@app.command()
def reject(reference: Reference, reason: Reason = "") -> None:
    """Forbid a version to be deployed. What serves it already goes on.

    Example: modelport reject flights:3 --reason "worse for short flights"
    """
    with Client() as client:
        version = client.version(reference).reject(reason)
    say(f"{version} is {version.approval}")


@app.command()
def alias(
    reference: Reference, name: Annotated[str, typer.Argument(metavar="ALIAS", help="For example champion.")]
) -> None:
    """Point an alias at a version. Traffic does not move.

    Example: modelport alias flights:3 champion
    """
    with Client() as client:
        version = client.version(reference).alias(name)
    say(f"{version.group}@{name} is {version}")


@app.command()
def delete(reference: Reference, *, dry_run: DryRun = False) -> None:
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


def _pairs(given: list[str] | None, option: str) -> dict[str, str]:
    pairs = {}
    for text in given or ():
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
