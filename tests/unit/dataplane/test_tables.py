"""A table of a thousand endpoints is light, and what it does not change goes over from the one before."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from fakes.serving import endpoint
from modelport.dataplane.handles import Dormant, ModelHandle
from modelport.dataplane.tables import ServingTable, Tables
from modelport.domain.errors import NotFound, Unavailable
from modelport.domain.routes import RouteTable
from modelport.telemetry.slots import MetricSlot


class Home:
    """Handles by digest, and the tables made with them."""

    def __init__(self, folder):
        self.slot = MetricSlot(folder, "test")
        self.known = {}
        self.drained = []
        self.tables = Tables(self.table(0), lambda table: self.drained.append(table.routes.revision))

    def handle(self, digest):
        return self.known.setdefault(digest, ModelHandle(digest))

    def table(self, revision, **digests):
        routes = tuple(endpoint(name, ("v", f"{digest}:1", digest, 1.0)) for name, digest in digests.items())
        return ServingTable(RouteTable(revision, routes), self.handle, None, self.slot)


@pytest.fixture
def home(tmp_path):
    made = Home(tmp_path)
    yield made
    made.slot.close()


def test_an_endpoint_takes_shape_when_it_is_asked(home):
    table = home.table(1, a="x", b="y")
    assert table.endpoints == {}
    opened = table.open_endpoint("a")
    assert table.endpoints == {"a": opened}
    assert list(home.known) == ["x"]
    with pytest.raises(NotFound) as caught:
        table.open_endpoint("c")
    assert caught.value.hint == "in service: a, b"


def test_what_a_table_does_not_change_goes_over(home):
    first = home.table(1, a="x", b="y", c="z")
    home.tables.activate(first)
    opened = {name: first.open_endpoint(name) for name in "abc"}
    opened["a"].waiting = 3
    lanes = {name: served.variants[0].lanes for name, served in opened.items()}
    for kept in lanes.values():
        kept["json"] = object()
    second = home.table(2, a="x", b="other")
    home.tables.activate(second)
    assert second.endpoints == {"a": opened["a"]}
    assert second.endpoints["a"].waiting == 3
    assert second.open_endpoint("b") is not opened["b"]
    assert [bool(lanes[name]) for name in "abc"] == [True, False, False]  # the others let go of their models
    assert home.drained == [0, 1]


def test_a_table_drains_before_its_endpoints_close(home):
    first = home.table(1, a="x")
    home.tables.activate(first)
    kept = first.open_endpoint("a").variants[0].lanes
    kept["json"] = object()
    first.open = 1
    home.tables.activate(home.table(2))
    assert kept
    first.leave()
    assert not kept


def test_a_variant_asks_its_handle_where_the_model_is(home):
    variant = home.table(1, a="x").open_endpoint("a").variants[0]
    handle = home.handle("x")
    with pytest.raises(Dormant) as caught:
        variant.batcher()
    assert caught.value.handle is handle
    handle.fail("it is damaged")
    with pytest.raises(Unavailable, match="x:1 of variant 'v' is not loaded: it is damaged"):
        variant.batcher()
    batcher = SimpleNamespace(model=SimpleNamespace(signature=None))
    handle.settle(batcher, None, 1)
    assert variant.batcher() is batcher
