"""The services that speak AWS's query protocol: form in, XML out. What SDKs ask before they do anything.

Source: AWS query protocol; STS GetCallerIdentity; IAM GetRole, SimulatePrincipalPolicy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

from modelport.access.principals import Principal
from modelport.api.aws.calls import ACCOUNT
from modelport.api.aws.documents import element, render
from modelport.api.aws.errors import AwsError
from modelport.api.aws.protocols import Asked, Told

FIELDS_MAX = 1_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TRUST = (
    '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"sagemaker.amazonaws.com"},'
    '"Action":"sts:AssumeRole"}]}'
)

Form = Mapping[str, str]
Answer = Callable[[Form, Principal], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class QueryService:
    """A service: the namespace of its replies, and its operations."""

    namespace: str
    operations: Mapping[str, Answer]


def read_form(body: bytes) -> dict[str, str]:
    """Return the fields of a form.

    Raises:
        AwsError: It is none.
    """
    try:
        fields = parse_qs(body.decode("ascii"), keep_blank_values=True, max_num_fields=FIELDS_MAX)
    except (UnicodeDecodeError, ValueError) as error:
        raise AwsError("MalformedQueryString", f"the body is not a form: {error}") from error
    return {name: values[-1] for name, values in fields.items()}


class Query:
    """The query protocol: a field of the form names the operation.

    Args:
        name: Of the service.
    """

    content_type = b"text/xml"

    def __init__(self, name: str) -> None:
        self._name = name

    def answer(self, asked: Asked) -> bytes:
        """Do what the form says; return the XML of its result.

        Raises:
            AwsError: There is no such operation, or a field is missing.
        """
        form = read_form(asked.body)
        service, action = QUERY_SERVICES.get(self._name), form.get("Action", "")
        operation = None if service is None else service.operations.get(action)
        if service is None or operation is None:
            raise AwsError("InvalidAction", f"modelport does not offer {action[:80]!r} of {self._name}")
        content = {
            f"{action}Result": operation(form, asked.principal),
            "ResponseMetadata": {"RequestId": asked.id},
        }
        return render(element(f"{action}Response", content, namespace=service.namespace))

    def tell(self, error: AwsError, _: Mapping[str, str], request_id: str, /) -> Told:
        """Write all of an error into its body."""
        side = "Receiver" if error.status >= 500 else "Sender"
        told = {"Type": side, "Code": error.code, "Message": error.message}
        return {}, render(element("ErrorResponse", {"Error": told, "RequestId": request_id}))


def _get_caller_identity(_: Form, principal: Principal) -> dict[str, Any]:
    return {
        "Arn": f"arn:aws:iam::{ACCOUNT}:user/{principal.name}",
        "UserId": principal.name,
        "Account": ACCOUNT,
    }


def _get_role(form: Form, _: Principal) -> dict[str, Any]:
    """Every role is there: modelport echoes roles and asks nobody for them."""
    name = _field(form, "RoleName")
    return {
        "Role": {
            "Path": "/",
            "RoleName": name,
            "RoleId": "AROAMODELPORT0000000",
            "Arn": f"arn:aws:iam::{ACCOUNT}:role/{name}",
            "CreateDate": EPOCH.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "AssumeRolePolicyDocument": TRUST,
        }
    }


def _simulate_principal_policy(form: Form, _: Principal) -> dict[str, Any]:
    """Everything is allowed to who got in: modelport's own scopes decide."""
    _field(form, "PolicySourceArn")
    actions = [value for name, value in form.items() if name.startswith("ActionNames.member.")]
    return {
        "EvaluationResults": {
            "member": [
                {"EvalActionName": action, "EvalResourceName": "*", "EvalDecision": "allowed"}
                for action in actions
            ]
        },
        "IsTruncated": False,
    }


def _field(form: Form, name: str) -> str:
    if not form.get(name):
        raise AwsError("ValidationError", f"the field {name} is missing")
    return form[name]


QUERY_SERVICES = {
    "sts": QueryService(
        "https://sts.amazonaws.com/doc/2011-06-15/", {"GetCallerIdentity": _get_caller_identity}
    ),
    "iam": QueryService(
        "https://iam.amazonaws.com/doc/2010-05-08/",
        {"GetRole": _get_role, "SimulatePrincipalPolicy": _simulate_principal_policy},
    ),
}
