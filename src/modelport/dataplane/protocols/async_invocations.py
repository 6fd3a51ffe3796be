"""What control asks for asynchronous requests: `POST /endpoints/{endpoint}/async-invocations`.

The request of a program is taken in by the control port, which keeps it and asks here when it is its turn; a
worker answers as always, with more patience.

Source: SageMaker runtime API, InvokeEndpointAsync.
"""

from __future__ import annotations

import re

from modelport.dataplane.protocols.invocations import Invocations


class AsyncInvocations(Invocations):
    """Control's way of asking for programs that do not wait.

    Args:
        limits: What packed bodies may unpack to.
    """

    name = "async-invocations"
    path = re.compile(r"/endpoints/([^/]{1,200})/async-invocations")
    asynchronous = True
    timeout_s_max: float | None = 3600.0
