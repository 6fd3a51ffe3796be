"""Write the reference pages that the code itself describes.

    .venv/bin/python docs/generate_reference.py

A test compares the pages with what this writes.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from pathlib import Path
from typing import Any

import click
from fastapi import FastAPI
from fastapi.routing import APIRoute

from modelport.access import signatures
from modelport.access.scopes import GRANTABLE, Scope
from modelport.api import operation
from modelport.api.aws.autoscaling import AUTOSCALING
from modelport.api.aws.calls import Service
from modelport.api.aws.cloudwatch import CLOUDWATCH
from modelport.api.aws.logs import LOGS
from modelport.api.aws.query import QUERY_SERVICES
from modelport.api.aws.s3.app import OPERATIONS
from modelport.api.aws.sagemaker.metrics import SAGEMAKER_METRICS
from modelport.api.aws.sagemaker.service import SAGEMAKER
from modelport.api.aws.shapes import load_table
from modelport.api.callers import calls_of, scope_of
from modelport.api.rest import artifacts, endpoints, history, jobs, registry
from modelport.api.rest.bodies import kind_of_body
from modelport.api.rest.problems import status_of
from modelport.cli.commands import MODULE_OF, load
from modelport.cli.exits import MEANINGS, code_of
from modelport.cli.parameters import Argument
from modelport.domain import errors, objects
from modelport.domain.errors import ModelportError
from modelport.settings import Settings

FOLDER = Path(__file__).parent / "reference"
MARK = "<!-- written by docs/generate_reference.py -->\n"


def pages() -> dict[str, str]:
    """Return file name to content."""
    return {
        "cli.md": cli_page(),
        "settings.md": settings_page(),
        "errors.md": errors_page(),
        "exit-codes.md": exit_codes_page(),
        "rest.md": rest_page(),
        "aws.md": aws_page(),
    }


def cli_page() -> str:
    """Return every command with its arguments and options."""
    lines = [
        "# Command line",
        "",
        MARK,
        "Data goes to standard output, talk and progress to standard error. `-o json` prints data for",
        "programs. `NO_COLOR` is respected. Commands find the server by `MODELPORT_URL` (default",
        "`http://127.0.0.1:8090`) and show it `MODELPORT_TOKEN` where that is set. A version is written",
        "`name:3`, an alias `name@champion`. What the exit codes mean: [exit codes](exit-codes.md).",
    ]
    for name in MODULE_OF:
        command = load(name)
        text, _, example = inspect.cleandoc(command.help or "").partition("Example:")
        lines += ["", f"## modelport {name}", "", _joined(text), ""]
        lines += ["```", f"$ {example.strip()}", "```", ""]
        lines += ["| | |", "|---|---|"]
        lines += [_parameter(parameter) for parameter in command.params]
    return "\n".join(lines) + "\n"


def _parameter(parameter: click.Option | Argument) -> str:
    told = parameter.help
    if isinstance(parameter, Argument):
        spelled = parameter.human_readable_name.strip("[]")
        return f"| `{spelled}`{'' if parameter.required else ' (optional)'} | {told} |"
    spelled = ", ".join(f"`{option}`" for option in parameter.opts)
    default = parameter.to_info_dict()["default"]
    if parameter.required:
        told += " Required."
    elif default not in (None, False, "", ()):
        told += f" Default: `{default}`."
    return f"| {spelled} | {told} |"


def settings_page() -> str:
    """Return every setting."""
    lines = [
        "# Settings",
        "",
        MARK,
        "A flag wins over an environment variable, that over `modelport.toml` or `[tool.modelport]` of",
        "`pyproject.toml` in the current folder, that over the default. They are read once, when the",
        "platform starts.",
        "",
        "| setting | variable | default | |",
        "|---|---|---|---|",
    ]
    for field in dataclasses.fields(Settings):
        default = "" if field.default is dataclasses.MISSING else field.default
        shown = "empty" if default == "" else f"`{default}`"
        if field.name == "home":
            shown = "`modelport` in the XDG data directory"
        elif field.name == "cache":
            shown = "`modelport` in the XDG cache directory"
        variable = f"MODELPORT_{field.name.upper()}"
        lines.append(f"| `{field.name}` | `{variable}` | {shown} | {field.metadata['doc']} |")
    lines += [
        "",
        "Clients read two variables of their own: `MODELPORT_URL`, where the server is, and",
        "`MODELPORT_TOKEN`.",
        "",
        "## Scopes",
        "",
        "What a line of the token file may grant. A `write` holds the `read` of its noun; `admin` holds all.",
        "",
        *(f"- `{scope.value}`" for scope in GRANTABLE),
    ]
    return "\n".join(lines) + "\n"


def errors_page() -> str:
    """Return every error code."""
    lines = [
        "# Errors",
        "",
        MARK,
        "In Python an error is a class (`modelport.domain.errors`), in REST a problem document (RFC 9457)",
        "with a stable `code`, on the command line a message and an exit code. Each says what was found and",
        "what was expected, and `hint` is the next thing to try; `row` (from 0) and `feature` give the",
        "position where there is one.",
        "",
        "| code | class | HTTP status | exit code | |",
        "|---|---|---|---|---|",
    ]
    for kind in _error_classes():
        told = inspect.cleandoc(kind.__doc__ or "").splitlines()[0]
        if kind is ModelportError:
            told = "Anything else that modelport can explain."
        lines.append(f"| `{kind.code}` | `{kind.__name__}` | {status_of(kind)} | {code_of(kind)} | {told} |")
    lines += [
        "",
        "Two rules beside the table: a row that does not fit the model's signature exits 4 instead of 2; a",
        "request with a foreign Host or Origin, or from a page of another site, is answered with 421.",
        "",
        "The inference port speaks the words of each protocol: see [inference requests](inference.md).",
    ]
    return "\n".join(lines) + "\n"


def _error_classes() -> list[type[ModelportError]]:
    """Return the classes in the order of their file."""
    return [
        kind
        for module in (errors, objects, signatures)
        for kind in vars(module).values()
        if inspect.isclass(kind) and issubclass(kind, ModelportError) and kind.__module__ == module.__name__
    ]


def exit_codes_page() -> str:
    """Return every exit code."""
    lines = ["# Exit codes", "", MARK, "| code | meaning | errors |", "|---|---|---|"]
    for code, meaning in MEANINGS.items():
        kinds = ", ".join(f"`{kind.code}`" for kind in _error_classes() if code_of(kind) == code)
        lines.append(f"| {code} | {meaning} | {kinds} |")
    return "\n".join(lines) + "\n"


def aws_page() -> str:
    """Return every operation of the AWS door."""
    table = load_table(SAGEMAKER.name)
    lines = [
        "# AWS operations",
        "",
        MARK,
        "What the control port answers AWS programs: [how to point one here](../how-to/aws-programs.md).",
        f"Requests are checked by the constraints of botocore {table.botocore}. All that AWS has besides",
        "is answered with `UnknownOperationException`, `InvalidAction` or, by S3, `NotImplemented`.",
        "",
        "## SageMaker",
        "",
        "| operation | does | scope |",
        "|---|---|---|",
    ]
    lines += _operations(SAGEMAKER)
    lines += [
        "",
        "Members that AWS gives a meaning and modelport does not yet are refused by name where ignoring them",
        "would change what an endpoint does (`ExplainerConfig`, SNS topics,",
        "`InferenceExecutionConfig` with `Mode: Direct`); all others are kept and described.",
        "",
        "## SageMaker Metrics",
        "",
        "| operation | does | scope |",
        "|---|---|---|",
        *_operations(SAGEMAKER_METRICS),
        "",
        "At most 1,000 metrics of a trial component and 1,000,000 points of a metric are kept; one curve",
        "has at most 5,000 places. `Period` `IterationNumber` goes with `XAxisType` `IterationNumber`, the",
        "others with `Timestamp`: then `Start`, `End` and the places are seconds since 1970.",
        "",
        "## CloudWatch",
        "",
        "| operation | does | scope |",
        "|---|---|---|",
        *_operations(CLOUDWATCH),
        "",
        "`AWS/SageMaker` has `Invocations`, `Invocation4XXErrors`, `Invocation5XXErrors` and `ModelLatency`",
        "(microseconds) by `EndpointName` and `VariantName`, a few seconds after the requests, for 15 days.",
        "",
        "## CloudWatch Logs",
        "",
        "| operation | does | scope |",
        "|---|---|---|",
        *_operations(LOGS),
        "",
        "The logs of jobs need `jobs:read` instead. Filter patterns are words, phrases, `-word` and `?word`.",
        "",
        "## Application Auto Scaling",
        "",
        "| operation | does | scope |",
        "|---|---|---|",
        *_operations(AUTOSCALING),
        "",
        "## SageMaker Runtime",
        "",
        "`InvokeEndpoint`, on this port and, at the data plane's full speed, on the inference port:",
        "[inference requests](inference.md). `InvokeEndpointWithResponseStream`, likewise.",
        "`InvokeEndpointAsync`, on this port: [it answers into a",
        "bucket](../how-to/aws-programs.md#answers-into-a-bucket).",
        "",
        "## S3",
        "",
        "| operation | |",
        "|---|---|",
    ]
    for told in map(_summary, OPERATIONS):
        head, _, rest = told.partition(";")
        name, _, more = head.partition(":")
        lines.append(f"| `{name.strip('.')}` | {(rest or more).strip()} |")
    lines += [
        "",
        "Path style, or `BUCKET.localhost`. Presigned URLs; `aws-chunked` bodies; `Content-MD5` and the",
        "checksums crc32, crc32c, crc64nvme, sha1 and sha256 are verified.",
        "",
        "## STS and IAM",
        "",
        *(
            f"- `{service}`: {', '.join(f'`{name}`' for name in of.operations)}"
            for service, of in QUERY_SERVICES.items()
        ),
    ]
    return "\n".join(lines) + "\n"


def _operations(service: Service) -> list[str]:
    return [
        f"| `{name}` | {_summary(does)} | `{scope.value}` |"
        for name, (scope, does) in service.operations.items()
    ]


def _summary(does: Any) -> str:
    return inspect.cleandoc(does.__doc__ or "").splitlines()[0]


def rest_page() -> str:
    """Return every route of the control port."""
    lines = [
        "# REST",
        "",
        MARK,
        "Our own API lies under `/api/v1` of the control port (8090). Bodies and answers are JSON in",
        "snake_case; their schemas stand in the OpenAPI 3.1 document at `/api/v1/openapi.json`. A resource",
        "is",
        '`{"kind", "name", "parent", "spec", "status", "modelport", "generation", "observed_generation",',
        '"created_at", "modified_at"}`: a wish has come true when `observed_generation` has reached its',
        '`generation`. A list is `{"items", "next"}`; hand `next` back as `?after=` for the next page.',
        "Errors are problem documents: see [errors](errors.md).",
        "",
        "With tokens configured, send `Authorization: Bearer TOKEN`; the last column is the scope it needs.",
    ]
    title = ""
    for route in _routes():
        heading = str(route.tags[0]).capitalize() if route.tags else "Operation"
        if heading != title:
            title = heading
            lines += ["", f"## {title}", "", "| request | body | answer | | scope |", "|---|---|---|---|---|"]
        method = min(route.methods or ())
        body = kind_of_body(calls_of(route))
        told = inspect.cleandoc(route.endpoint.__doc__ or "").splitlines()[0]
        scope = scope_of(route)
        lines.append(
            f"| `{method} {route.path}` | {_spelled(body)} | {route.status_code or 200} | {told} "
            f"| {'' if scope in (None, Scope.PUBLIC) else f'`{scope}`'} |"
        )
    return "\n".join(lines) + "\n"


def _routes() -> list[APIRoute]:
    app = FastAPI(openapi_url=None)
    for door in (registry, endpoints, jobs, artifacts, history, operation):
        app.router.routes.extend(door.router.routes)
    return [route for route in app.routes if isinstance(route, APIRoute)]


def _spelled(kind: Any) -> str:
    if kind is None:
        return ""
    if kind == dict[str, float]:
        return "`{variant: weight}`"
    fields = getattr(kind, "__struct_fields__", None) or [field.name for field in dataclasses.fields(kind)]
    return ", ".join(f"`{name}`" for name in fields)


def _joined(text: str) -> str:
    return re.sub(r"(?<!\n)\n(?!\n)", " ", text).strip()


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, content in pages().items():
        (FOLDER / name).write_text(content, "utf-8")
