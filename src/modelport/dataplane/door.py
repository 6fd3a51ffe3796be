"""Which request goes where, and who may ask: everything a head decides, decided once per head."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from modelport.access.hosts import check_cross_site, check_host
from modelport.access.principals import Principal
from modelport.access.scopes import Scope
from modelport.dataplane.exchange import Exchange, Plan
from modelport.dataplane.heads import RequestHead
from modelport.dataplane.protocols import Dialect
from modelport.dataplane.replies import describe, plain_error, status_of
from modelport.domain.errors import ModelportError

Authenticate = Callable[[str | None], Principal]


@dataclass(frozen=True, slots=True)
class Page:
    """A path that answers GET by itself: the scope it asks for, and its reply."""

    scope: Scope
    show: Callable[[], bytes]


class Door:
    """Maps heads to plans.

    Args:
        dialects: The protocols predictions are asked for in.
        pages: Path to page.
        invoke: Takes an exchange whose plan has an `ask`.
        allowed_hosts: Host names accepted besides loopback's.
        authenticate: Says who asks; None: everybody may.
    """

    def __init__(
        self,
        dialects: Sequence[Dialect],
        pages: dict[str, Page],
        invoke: Callable[[Exchange], None],
        *,
        allowed_hosts: frozenset[str] = frozenset(),
        authenticate: Authenticate | None = None,
    ) -> None:
        self._dialects = tuple(dialects)
        self._pages = pages
        self._invoke = invoke
        self._allowed_hosts = allowed_hosts
        self._authenticate = authenticate

    def plan_for(self, head: RequestHead) -> Plan:
        """Return what is to be done with requests of this head."""
        headers = head.headers
        problem = check_host(headers["host"], headers.get("origin"), self._allowed_hosts)
        problem = problem or check_cross_site(head.method, headers.get("sec-fetch-site"))
        if problem is not None:
            return _refusal(head, plain_error(421, problem))
        page = self._pages.get(head.path)
        if page is not None:
            if head.method != "GET":
                return _refusal(head, _wrong_method(head.method, "GET"))
            return self._guarded(
                head, page.scope, lambda exchange: exchange.reply(page.show()), _refuse_plainly
            )
        for dialect in self._dialects:
            try:
                ask = dialect.claim(head)
            except ModelportError as error:
                return _refusal(head, dialect.refuse(error))
            if ask is None:
                continue
            if head.method != "POST":
                return _refusal(head, _wrong_method(head.method, "POST"))
            plan = self._guarded(head, Scope.ENDPOINTS_INVOKE, self._invoke, dialect.refuse)
            plan.ask = ask
            plan.refuse = dialect.refuse_form
            return plan
        return _refusal(head, plain_error(404, "nothing is at this path"))

    def _guarded(
        self,
        head: RequestHead,
        scope: Scope,
        handle: Callable[[Exchange], None],
        refuse: Callable[[ModelportError], bytes],
    ) -> Plan:
        """Return a plan that lets only callers through who hold `scope`.

        Who a token stands for is asked anew for each request, since tokens can be revoked.
        """
        if self._authenticate is None or scope is Scope.PUBLIC:
            return _plan(head, handle)
        check = partial(_check, self._authenticate, head.headers.get("authorization"), scope, refuse)

        def handle_checked(exchange: Exchange) -> None:
            refusal = check()
            if refusal is None:
                handle(exchange)
            else:
                exchange.reply(refusal)

        plan = _plan(head, handle_checked)
        plan.refuse_early = check
        return plan


def _check(
    authenticate: Authenticate,
    authorization: str | None,
    scope: Scope,
    refuse: Callable[[ModelportError], bytes],
) -> bytes | None:
    try:
        authenticate(authorization).require(scope)
    except ModelportError as error:
        return refuse(error)
    return None


def _plan(head: RequestHead, handle: Callable[[Exchange], None]) -> Plan:
    return Plan(
        handle, length=head.length, keep_alive=head.keep_alive, expects_continue=head.expects_continue
    )


def _refusal(head: RequestHead, reply: bytes) -> Plan:
    if head.method == "HEAD":  # its reply has no body, or the client would take it for the next reply
        reply = reply[: reply.index(b"\r\n\r\n") + 4]
    plan = _plan(head, lambda exchange: exchange.reply(reply))
    plan.refuse_early = lambda: reply
    return plan


def _refuse_plainly(error: ModelportError) -> bytes:
    status = status_of(error)
    headers = [("WWW-Authenticate", "Bearer")] if status == 401 else []
    return plain_error(status, describe(error), headers)


def _wrong_method(method: str, allowed: str) -> bytes:
    return plain_error(405, f"found {method[:20]}, expected {allowed}", [("Allow", allowed)])
