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


def answer_query(name: str, form: Form, principal: Principal, request_id: str) -> bytes:
    """Return the XML of an operation's result.

    Args:
        name: Of the service.
        form: What is asked.
        principal: Who asks.
        request_id: Told in the reply.

    Raises:
        AwsError: There is no such operation, or a field is missing.
    """
    service, action = QUERY_SERVICES[name], form.get("Action", "")
    operation = service.operations.get(action)
    if operation is None:
        raise AwsError("InvalidAction", f"modelport does not offer {action[:80]!r} of {name}")
    content = {
        f"{action}Result": operation(form, principal),
        "ResponseMetadata": {"RequestId": request_id},
    }
    return render(element(f"{action}Response", content, namespace=service.namespace))


def query_error(error: AwsError, request_id: str) -> bytes:
    """Return the XML of an error."""
    side = "Receiver" if error.status >= 500 else "Sender"
    told = {"Type": side, "Code": error.code, "Message": error.message}
    return render(element("ErrorResponse", {"Error": told, "RequestId": request_id}))


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
