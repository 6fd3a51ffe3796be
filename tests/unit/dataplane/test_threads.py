"""One thing after the other, and errors go to who waits for them."""

import threading

import pytest

from modelport.dataplane.threads import OneThread


def test_tasks_run_in_order_on_one_daemon_thread():
    thread = OneThread("one")
    seen = []

    def note(number):
        current = threading.current_thread()
        seen.append((number, current.name, current.daemon))
        return number

    futures = [thread.submit(note, number) for number in range(5)]
    assert [future.result(5) for future in futures] == [0, 1, 2, 3, 4]
    assert seen == [(number, "one", True) for number in range(5)]
    thread.close()


def test_an_error_is_the_result_and_the_thread_goes_on():
    thread = OneThread("one")
    broken = thread.submit(int, "x")
    with pytest.raises(ValueError, match="invalid literal"):
        broken.result(5)
    assert thread.submit(int, "7").result(5) == 7
    thread.close()


def test_what_was_cancelled_is_not_done():
    thread = OneThread("one")
    gate, seen = threading.Event(), []
    first = thread.submit(gate.wait, 5)
    second = thread.submit(seen.append, 1)
    assert second.cancel()
    gate.set()
    assert first.result(5)
    assert thread.submit(len, seen).result(5) == 0
    thread.close()
