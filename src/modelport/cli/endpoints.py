"""`deploy`, `endpoints`, `traffic`, `promote`, `rollback`, `undeploy`: what serves, and how much of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

from modelport.cli.output import moment, print_facts, print_json, print_table, say, shares
from modelport.cli.parameters import (
    Argument,
    Command,
    Output,
    dry_run_option,
    endpoint_argument,
    output_option,
    timeout_option,
    version_argument,
)
from modelport.domain.errors import InvalidInput
from modelport.sdk.client import Client
from modelport.sdk.endpoints import Endpoint


@click.command(cls=Command)
@version_argument
@click.option("--endpoint", required=True, help="The endpoint's name; made when there is none.")
@click.option("--traffic", metavar="10%", help="Its true share; the others are scaled. Default: all.")
@click.option("--shadow", is_flag=True, help="Give it a copy of each request and drop its answers.")
@click.option("--capture", metavar="100%", help="Share of the traffic kept for monitoring.")
@timeout_option(120.0)
@output_option
def deploy(
    *,
    reference: str,
    endpoint: str,
    traffic: str | None,
    shadow: bool,
    capture: str | None,
    timeout: float,
    output: Output,
) -> None:
    """Serve a version under an endpoint's name, and wait until it is InService.

    Example: modelport deploy flights:3 --endpoint flights --traffic 10% --capture 100%
    """
    with Client() as client:
        wish = client.request_deployment(reference, endpoint, traffic=traffic, shadow=shadow, capture=capture)
        _finish(wish.wait(timeout_s=timeout, on_change=_teller(wish)), output)


@click.command(cls=Command)
@click.argument("name", cls=Argument, metavar="[NAME]", required=False, help="An endpoint to describe.")
@output_option
def endpoints(name: str | None, output: Output) -> None:
    """List the endpoints, or describe one.

    Example: modelport endpoints flights
    """
    with Client() as client:
        if name is None:
            found = client.endpoints()
            if output == "json":
                print_json([endpoint.document for endpoint in found])
            else:
                rows = [
                    {
                        "name": endpoint.name,
                        "status": endpoint.status,
                        "traffic": shares(endpoint.variants),
                        "changed": moment(endpoint.document.get("modified_at")),
                    }
                    for endpoint in found
                ]
                print_table(rows, empty="no endpoints yet; begin with `modelport deploy`")
            return
        endpoint = client.endpoint(name)
        if output == "json":
            print_json(endpoint.document)
        else:
            print_facts(_facts(endpoint))


@click.command(cls=Command)
@endpoint_argument
@click.argument(
    "weights",
    cls=Argument,
    nargs=-1,
    required=True,
    metavar="VARIANT=WEIGHT...",
    help="Relative weights, for example v1=9 v2=1.",
)
@timeout_option(60.0)
@output_option
def traffic(endpoint: str, weights: tuple[str, ...], timeout: float, output: Output) -> None:
    """Set the variants' relative weights; those left out keep theirs.

    Example: modelport traffic flights v1=90 v2=10
    """
    wish = parse_weights(weights)
    with Client() as client:
        _finish(client.endpoint(endpoint).traffic(wish, timeout_s=timeout), output)


@click.command(cls=Command)
@endpoint_argument
@click.argument("variant", cls=Argument, help="The variant's name, for example v2.")
@timeout_option(60.0)
@output_option
def promote(endpoint: str, variant: str, timeout: float, output: Output) -> None:
    """Give all traffic to one variant; the others go.

    Example: modelport promote flights v2
    """
    with Client() as client:
        _finish(client.endpoint(endpoint).promote(variant, timeout_s=timeout), output)


@click.command(cls=Command)
@endpoint_argument
@timeout_option(60.0)
@output_option
def rollback(endpoint: str, timeout: float, output: Output) -> None:
    """Go back to the config and weights served before.

    Example: modelport rollback flights
    """
    with Client() as client:
        _finish(client.endpoint(endpoint).rollback(timeout_s=timeout), output)


@click.command(cls=Command)
@endpoint_argument
@dry_run_option
@timeout_option(60.0)
def undeploy(endpoint: str, *, dry_run: bool, timeout: float) -> None:
    """Delete an endpoint. Its model versions, captures and labels stay.

    Example: modelport undeploy flights
    """
    with Client() as client:
        found = client.endpoint(endpoint)
        if dry_run:
            say(f"would delete endpoint {found}, which serves {shares(found.variants) or 'nothing'}")
            return
        found.delete(timeout_s=timeout)
    say(f"deleted endpoint {endpoint}")


def parse_weights(texts: Sequence[str]) -> dict[str, float]:
    """Read `VARIANT=WEIGHT` words.

    Raises:
        InvalidInput: A word has another form, or names a variant again.
    """
    weights: dict[str, float] = {}
    for text in texts:
        variant, equals, weight = text.partition("=")
        try:
            number = float(weight)
        except ValueError:
            number = -1.0
        if not (variant and equals and 0 <= number < float("inf")) or variant in weights:
            raise InvalidInput(
                f"{text!r} is not VARIANT=WEIGHT, each variant once and each weight at least 0",
                hint="write v1=90 v2=10, for example",
            )
        weights[variant] = number
    return weights


def _teller(endpoint: Endpoint) -> Callable[[str], None]:
    started = endpoint.client.clock.monotonic()

    def tell(status: str) -> None:
        say(f"{endpoint.name} {status} ({endpoint.client.clock.monotonic() - started:.2f} s)")

    return tell


def _finish(endpoint: Endpoint, output: str) -> None:
    if output == "json":
        print_json(endpoint.document)
        return
    row = {
        "endpoint": endpoint.name,
        "status": endpoint.status,
        "traffic": shares(endpoint.variants),
        "url": endpoint.invocation_url,
    }
    print_table([row], empty="")


def _facts(endpoint: Endpoint) -> dict[str, Any]:
    config = endpoint.config()
    variants = {
        variant["variant_name"]: variant["model_name"] or "inference components"
        for variant in config.get("production_variants", ())
    }
    shadows = [
        f"{variant['variant_name']}  {variant['model_name']}"
        for variant in config.get("shadow_production_variants", ())
    ]
    capture = config.get("data_capture_config") or {}
    weights = endpoint.variants
    total = sum(weights.values()) or 1.0
    return {
        "endpoint": endpoint.name,
        "status": endpoint.status,
        "reason": endpoint.failure_reason,
        "variants": [
            f"{name}  {variants.get(name, '')}  {100 * weight / total:.3g} % (weight {weight:g})"
            for name, weight in weights.items()
        ],
        "shadows": shadows,
        "capture": f"{capture['initial_sampling_percentage']:g} %" if capture else "off",
        "config": endpoint.status_document.get("endpoint_config_name"),
        "url": endpoint.invocation_url,
        "in service": moment(endpoint.notes.get("in_service_at")),
        "changed": moment(endpoint.document.get("modified_at")),
    }
