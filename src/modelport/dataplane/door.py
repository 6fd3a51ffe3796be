"""Which request goes where, and who may ask: everything a head decides, decided once per head."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from modelport.access.hosts import check_cross_site, check_host, check_host_form
from modelport.access.principals import Callers
from modelport.access.scopes import Scope
from modelport.dataplane.exchange import Exchange, Plan
from modelport.dataplane.heads import RequestHead, want
from modelport.dataplane.pages import Page
from modelport.dataplane.protocols import Ask, Dialect
from modelport.dataplane.replies import plain_error, refuse_plainly, status_in, without_body
from modelport.domain.errors import InvalidInput, ModelportError

DECISIONS_MAX = 1024
ELSEWHERE = InvalidInput(
    "the inference port takes no asynchronous requests",
    hint="send them to the control port, where their answers are kept too",
)


class Door:
    """Maps heads to plans.

    Args:
        dialects: The protocols predictions are asked for in.
        pages: Path to page.
        invoke: Takes an exchange whose plan has an `ask`.
        allowed_hosts: Host names accepted besides loopback's.
        callers: Who may ask; None: everybody.
        count_refused: Called with the status of a request refused before it reached an endpoint.
    """

    def __init__(
        self,
        dialects: Sequence[Dialect],
        pages: dict[str, Page],
        invoke: Callable[[Exchange], None],
        *,
        allowed_hosts: frozenset[str] = frozenset(),
        callers: Callers | None = None,
        count_refused: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._dialects = tuple(dialects)
        self._pages = pages
        self._invoke = invoke
        self._allowed_hosts = allowed_hosts
        self._callers = None if callers is None or callers.everybody else callers
        self._count_refused = count_refused
        self._decided: dict[tuple[object, ...], Decision] = {}
        self.wanted = want(name for dialect in self._dialects for name in dialect.headers)

    def plan_for(self, head: RequestHead) -> Plan:
        """Return what is to be done with requests of this head.

        Heads that differ only in what nobody looks at (a trace id, a signature) share a decision.
        """
        return self._plan(head, self._allowed_hosts)

    def plan_for_local(self, head: RequestHead) -> Plan:
        """Like `plan_for`, for a Unix socket: no browser gets there, so every name is this server's."""
        return self._plan(head, None)

    def _plan(self, head: RequestHead, allowed_hosts: frozenset[str] | None) -> Plan:
        key = (allowed_hosts is None, head.method, head.path, *head.headers.items())
        decision = self._decided.get(key)
        if decision is None:
            if len(self._decided) >= DECISIONS_MAX:
                self._decided.clear()
            decision = self._decided[key] = self._decide(head, allowed_hosts)
        return decision.plan(head, self._callers, self._count_refused)

    def _decide(self, head: RequestHead, allowed_hosts: frozenset[str] | None) -> Decision:
        headers = head.headers
        if allowed_hosts is None:
            problem = check_host_form(headers["host"])
        else:
            problem = check_host(headers["host"], headers.get("origin"), allowed_hosts)
        problem = problem or check_cross_site(head.method, headers.get("sec-fetch-site"))
        if problem is not None:
            return _refusal(head, plain_error(421, problem))
        page = self._pages.get(head.path) or self._page_of_a_protocol(head.path)
        if page is not None:
            if head.method == "HEAD":
                return Decision(lambda exchange: exchange.reply(without_body(page.show())), page.scope)
            if head.method != "GET":
                return _refusal(head, _wrong_method(head.method, "GET, HEAD"))
            return Decision(page.answer, page.scope)
        for dialect in self._dialects:
            try:
                ask = dialect.claim(head)
            except ModelportError as error:
                return _refusal(head, dialect.refuse(error))
            if ask is None:
                continue
            return self._decide_ask(dialect, ask, head, local=allowed_hosts is None)
        return _refusal(head, plain_error(404, "nothing is at this path"))

    def _decide_ask(self, dialect: Dialect, ask: Ask, head: RequestHead, *, local: bool) -> Decision:
        if dialect.asynchronous and not local:
            return _refusal(head, dialect.refuse(ELSEWHERE))
        if head.method != "POST":
            return _refusal(head, _wrong_method(head.method, "POST"))
        return Decision(
            self._invoke,
            # Control has asked who the caller is, and nobody else reaches its socket.
            Scope.PUBLIC if dialect.asynchronous else Scope.ENDPOINTS_INVOKE,
            dialect.refuse,
            refuse_form=dialect.refuse_form,
            ask=ask,
        )

    def _page_of_a_protocol(self, path: str) -> Page | None:
        pages = (dialect.page(path) for dialect in self._dialects)
        return next((page for page in pages if page is not None), None)


@dataclass(frozen=True, slots=True)
class Decision:
    """What path and headers decide, before who asks and how the body is framed.

    Args:
        handle: Takes the exchange.
        scope: What the caller must be allowed to do.
        refuse: Words an error in the protocol's own way; None: plainly.
        refuse_form: Words a refusal for form.
        ask: For predictions.
        refusal: The reply, where the request is refused whoever asks.
    """

    handle: Callable[[Exchange], None]
    scope: Scope = Scope.PUBLIC
    refuse: Callable[[ModelportError], bytes] | None = None
    refuse_form: Callable[[int, str], bytes] = plain_error
    ask: Ask | None = None
    refusal: bytes | None = None

    def plan(self, head: RequestHead, callers: Callers | None, count_refused: Callable[[int], None]) -> Plan:
        """Return the plan of one head.

        Who a token stands for is asked anew for each request, since tokens can be revoked.
        """
        streams = self.ask is not None and self.ask.dialect.streams
        if streams and not head.takes_chunks:
            return _refusal(head, plain_error(505, "replies in parts need HTTP/1.1")).plan(
                head, callers, count_refused
            )
        plan = Plan(
            self.handle,
            length=head.length,
            keep_alive=head.keep_alive and not streams,  # such a reply is the last of its connection
            expects_continue=head.expects_continue,
            refuse=self.refuse_form,
            ask=self.ask,
        )
        if self.refusal is not None:
            plan.refuse_early = lambda: self.refusal
            plan.handle = partial(_handle_checked, lambda _: self.refusal, self.handle, count_refused)
        elif callers is not None and self.scope is not Scope.PUBLIC:
            refuse = self.refuse or refuse_plainly
            check = partial(_check, callers, head, self.scope, refuse)
            plan.refuse_early = partial(check, None)
            plan.handle = partial(_handle_checked, check, self.handle, count_refused)
        return plan


def _handle_checked(
    check: Callable[[Exchange], bytes | None],
    handle: Callable[[Exchange], None],
    count_refused: Callable[[int], None],
    exchange: Exchange,
) -> None:
    refusal = check(exchange)
    if refusal is None:
        handle(exchange)
    else:
        count_refused(status_in(refusal))
        exchange.reply(refusal)


def _check(
    callers: Callers,
    head: RequestHead,
    scope: Scope,
    refuse: Callable[[ModelportError], bytes],
    exchange: Exchange | None,
) -> bytes | None:
    """Return why a request is refused; what a signature says of the body is asked once that is there."""
    try:
        if head.signed is None:
            principal = callers.by_token(head.authorization)
        elif exchange is None:
            principal = callers.claimed(head.signed)
        else:
            principal, _ = callers.by_signature(head.signed, hashlib.sha256(exchange.body).hexdigest())
        principal.require(scope)
    except ModelportError as error:
        return _fit(head, refuse(error))
    return None


def _refusal(head: RequestHead, reply: bytes) -> Decision:
    reply = _fit(head, reply)
    return Decision(lambda exchange: exchange.reply(reply), refusal=reply)


def _fit(head: RequestHead, reply: bytes) -> bytes:
    return without_body(reply) if head.method == "HEAD" else reply


def _wrong_method(method: str, allowed: str) -> bytes:
    return plain_error(405, f"found {method[:20]}, expected {allowed}", [("Allow", allowed)])
