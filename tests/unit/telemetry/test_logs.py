"""Logs say what went wrong and where, never with what secrets."""

import io

import pytest
import structlog

from modelport.telemetry.logs import configure_logs


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def _restored():
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_a_traceback_shows_no_values(stream):
    written = stream()
    configure_logs("info", process="test", stream=written)

    def fail(authorization):
        raise ValueError("it failed" + authorization[:0])

    secret = "terces"[::-1] + "-token"
    try:
        fail(secret)
    except ValueError:
        structlog.get_logger().exception("test.failed")
    told = written.getvalue()
    assert "it failed" in told
    assert "in fail" in told or '"name": "fail"' in told
    assert secret not in told
