"""modelport: a trained model, in production, healthy.

    import modelport as mp

    version = mp.register(pipeline, "flights", example=X_train.head(100))
    endpoint = mp.deploy(version, "flights", capture="100%")
    reply = endpoint.predict(X_new)

Everything is imported on first use, so that `import modelport` costs next to nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelport.domain.errors import (
        CheckFailed,
        Conflict,
        ConversionFailed,
        InvalidInput,
        ModelportError,
        NotFound,
        Refused,
        TimedOut,
        Unavailable,
        Unreachable,
    )
    from modelport.sdk.calls import (
        batch,
        connect,
        deploy,
        endpoint,
        endpoints,
        events,
        job,
        models,
        monitor,
        register,
        status,
        version,
    )
    from modelport.sdk.client import Client
    from modelport.sdk.endpoints import Endpoint
    from modelport.sdk.jobs import Job
    from modelport.sdk.replies import Reply
    from modelport.sdk.starting import start
    from modelport.sdk.versions import ModelGroup, ModelVersion

__version__ = "0.1.0"

_HOMES = {
    "modelport.sdk.calls": (
        "batch",
        "connect",
        "deploy",
        "endpoint",
        "endpoints",
        "events",
        "job",
        "models",
        "monitor",
        "register",
        "status",
        "version",
    ),
    "modelport.sdk.client": ("Client",),
    "modelport.sdk.endpoints": ("Endpoint",),
    "modelport.sdk.jobs": ("Job",),
    "modelport.sdk.replies": ("Reply",),
    "modelport.sdk.starting": ("start",),
    "modelport.sdk.versions": ("ModelGroup", "ModelVersion"),
    "modelport.domain.errors": (
        "CheckFailed",
        "Conflict",
        "ConversionFailed",
        "InvalidInput",
        "ModelportError",
        "NotFound",
        "Refused",
        "TimedOut",
        "Unavailable",
        "Unreachable",
    ),
}
_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "CheckFailed",
    "Client",
    "Conflict",
    "ConversionFailed",
    "Endpoint",
    "InvalidInput",
    "Job",
    "ModelGroup",
    "ModelVersion",
    "ModelportError",
    "NotFound",
    "Refused",
    "Reply",
    "TimedOut",
    "Unavailable",
    "Unreachable",
    "__version__",
    "batch",
    "connect",
    "deploy",
    "endpoint",
    "endpoints",
    "events",
    "job",
    "models",
    "monitor",
    "register",
    "start",
    "status",
    "version",
]


def __getattr__(name: str) -> Any:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module 'modelport' has no attribute {name!r}")
    value = getattr(importlib.import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
