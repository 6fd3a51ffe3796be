"""What the generator says is read, and what it is given is whole."""

import pytest
from measuring.wrk import read_output, write_requests

OUTPUT = """Running 1s test @ http://127.0.0.1:1
measured requests=5000 microseconds=2000000 p50=600 p99=2500 max=9000 \
status=40 connect=1 read=2 write=0 timeout=3
Requests/sec:   2500.00
"""


def test_the_line_of_the_script_is_read() -> None:
    told = read_output(OUTPUT)
    assert (told.rate, told.good_rate) == (2500.0, 2480.0)
    assert (told.p50_us, told.p99_us, told.max_us) == (600, 2500, 9000)
    assert (told.refused, told.broken, told.requests) == (40, 6, 5000)


def test_a_run_of_no_time_is_no_rate() -> None:
    assert read_output(OUTPUT.replace("microseconds=2000000", "microseconds=0")).rate == 0.0


def test_other_output_is_an_error_that_shows_it() -> None:
    with pytest.raises(ValueError, match="unable to connect"):
        read_output("unable to connect to 127.0.0.1:1 Connection refused\n")


def test_requests_are_written_with_their_lengths(tmp_path) -> None:
    requests = [b"POST / HTTP/1.1\r\n\r\n\n12\n", b"", b"x" * 300]
    path = tmp_path / "requests"
    write_requests(path, requests)
    content, found = path.read_bytes(), []
    while content:
        length, _, content = content.partition(b"\n")
        found.append(content[: int(length)])
        content = content[int(length) :]
    assert found == requests
