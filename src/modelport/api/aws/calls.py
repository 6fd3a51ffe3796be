"""The seam between the door and its operations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from modelport.access.principals import Principal
from modelport.access.scopes import Scope
from modelport.api.aws.errors import VALIDATION
from modelport.api.platform import Platform

ACCOUNT = "123456789012"
"""The account of everything here; the one AWS's own examples use."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request of an AWS client.

    Args:
        operation: For example `CreateModel`.
        parameters: Checked against the operation's shape, in AWS's spelling; times are aware.
        region: From the credential's scope.
        principal: Who asks.
        platform: What the operation stands on.
        account: Twelve digits.
    """

    operation: str
    parameters: dict[str, Any]
    region: str
    principal: Principal
    platform: Platform
    account: str = ACCOUNT


Operation = Callable[[Call], dict[str, Any] | None]
"""Does what a call asks for, and returns the members of its output; those that are None are left out."""


@dataclass(frozen=True, slots=True)
class Service:
    """A service of AWS.

    Args:
        name: As tables and credential scopes name it.
        operations: Each with the scope its caller needs.
        violation: Code of the error of a request that is not of its operation's shape.
    """

    name: str
    operations: Mapping[str, tuple[Scope, Operation]]
    violation: str = VALIDATION
