"""Feed messages and route tables survive the wire; anything else is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelport.domain.errors import InvalidInput
from modelport.domain.routes import CaptureRoute, EndpointRoute, RouteTable, VariantRoute
from modelport.wire import feed

MESSAGES = [
    feed.Hello(0, 4711, 3),
    feed.ModelState("ab" * 32, "failed", "no such operator"),
    feed.Prepared(4),
    feed.PrepareFailed(4, "ab" * 32, "too large"),
    feed.Activated(4),
    feed.Drained(3),
]


@pytest.mark.parametrize("message", MESSAGES)
def test_a_worker_is_understood(message):
    framed = feed.frame(message)
    assert int.from_bytes(framed[: feed.LENGTH_BYTES], "big") == len(framed) - feed.LENGTH_BYTES
    assert feed.decode_from_worker(framed[feed.LENGTH_BYTES :]) == message


@pytest.mark.parametrize("message", [feed.Prepare(4), feed.Activate(4)])
def test_control_is_understood(message):
    assert feed.decode_from_control(feed.frame(message)[feed.LENGTH_BYTES :]) == message


@given(st.binary(max_size=64))
def test_garbage_is_refused_and_nothing_else_happens(body):
    with pytest.raises(InvalidInput):
        feed.decode_from_worker(b"\x80" + body)


def test_a_route_table_round_trips_and_knows_its_models():
    table = RouteTable(
        7,
        (
            EndpointRoute(
                "flights",
                (
                    VariantRoute("v1", "flights:1", "a" * 64),
                    VariantRoute("v2", "flights:2", "b" * 64, 0.1, shadow=True),
                    VariantRoute("v3", "flights:3", "", replicas=("v3-0.sock", "v3-1.sock")),
                    VariantRoute("v4", "flights:4", ""),
                ),
                CaptureRoute(12.5, outputs=False),
            ),
        ),
    )
    assert feed.decode_routes(feed.encode_routes(table)) == table
    assert table.digests() == {"a" * 64, "b" * 64}
    assert table.replicas() == {("v3-0.sock", "v3-1.sock")}


def test_a_table_from_before_there_were_replicas_is_read():
    content = (
        b'{"revision":1,"endpoints":[{"endpoint":"e","variants":'
        b'[{"variant":"v","model_version":"m:1","digest":"aa"}]}]}'
    )
    assert feed.decode_routes(content) == RouteTable(
        1, (EndpointRoute("e", (VariantRoute("v", "m:1", "aa"),)),)
    )


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "/a", "a\\n", "\\u0000", "a" * 101, "\u00e9"])
def test_a_replica_outside_its_folder_is_refused(name):
    content = f"""{{"revision":1,"endpoints":[{{"endpoint":"e","variants":[
        {{"variant":"v","model_version":"m:1","digest":"","replicas":["{name}"]}}]}}]}}"""
    with pytest.raises(InvalidInput, match="replica"):
        feed.decode_routes(content.encode())


def test_route_files_sort_by_revision(tmp_path):
    names = [feed.route_file(tmp_path, revision).name for revision in (2, 10, 1_000_000)]
    assert names == sorted(names)
