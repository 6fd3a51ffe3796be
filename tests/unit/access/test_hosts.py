"""Only requests meant for this server pass."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelport.access.hosts import check_cross_site, check_host, is_loopback, parse_allowed

NONE = frozenset()


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "localhost:8090",
        "LOCALHOST:8090",
        "localhost.:1",
        "127.0.0.1",
        "127.0.0.1:8080",
        "127.9.9.9",
        "[::1]",
        "[::1]:8090",
        "app.localhost:3000",
        "[::ffff:127.0.0.1]:80",
    ],
)
def test_loopback_names_pass(host):
    assert check_host(host, None, NONE) is None
    assert check_host(host, f"http://{host}", NONE) is None


@pytest.mark.parametrize(
    "host",
    [
        None,
        "",
        "evil.example",
        "evil.example:8090",
        "localhost.evil.example",
        "127.0.0.1.nip.io",
        "127.0.0.1@evil.example",
        "localhost:8090:1",
        "localhost evil",
        "2130706433",
        "0x7f000001",
        "0.0.0.0",
        "[::]",
        "192.168.1.7",
        "[::1",
        "xlocalhost",
    ],
)
def test_other_names_are_refused(host):
    assert check_host(host, None, NONE)


@pytest.mark.parametrize(
    "origin",
    ["null", "", "http://evil.example", "https://localhost.evil.example", "file://", "http://a@localhost"],
)
def test_pages_of_other_sites_are_refused(origin):
    assert check_host("localhost:8090", origin, NONE)


def test_configured_names_and_the_bound_address_pass():
    allowed = parse_allowed("models.example, *.team.example", bound="10.0.0.7")
    for host in ("models.example", "MODELS.example:8090", "a.team.example", "a.b.team.example", "10.0.0.7"):
        assert check_host(host, None, allowed) is None
    for host in ("team.example", "other.example", "10.0.0.8", "xteam.example"):
        assert check_host(host, None, allowed)


def test_a_wildcard_bind_is_no_name():
    assert parse_allowed("", bound="0.0.0.0") == frozenset()


def test_a_page_of_another_site_may_look_but_not_change():
    assert check_cross_site("GET", "cross-site") is None
    assert check_cross_site("POST", "same-origin") is None
    assert check_cross_site("POST", None) is None
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert check_cross_site(method, "cross-site")


@given(st.text(max_size=40))
def test_any_text_gets_an_answer(host):
    verdict = check_host(host, None, NONE)
    assert verdict is None or isinstance(verdict, str)
    if verdict is None:
        name = host.rpartition(":")[0] if host.count(":") == 1 else host
        assert is_loopback(name) or host.startswith("[")
