"""boto3 against CloudWatch Logs: real files, read by lines."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import pytest
from botocore.exceptions import ClientError

from fakes import aws
from fakes.aws import code_of
from fakes.callers import ACCESS_KEY, SECRET_KEY
from fakes.house import HandClock
from modelport.control.log_places import announce_logs, forget_logs
from modelport.control.log_watch import LogWatch
from modelport.control.services.logs import Logs
from modelport.domain.job import DataSource, S3DataSource, TransformInput, TransformOutput, TransformSpec
from modelport.wire.jobs import LOG_FILE
from modelport.wire.replicas import ReplicaSpec, encode_replicas

GROUP = "/aws/sagemaker/Endpoints/air"
DIGEST = "0123456789abcdef"
STREAM = f"A/{DIGEST}-0"
OTHER = f"B/{DIGEST}-1"
START = int(datetime(2026, 1, 2, 3, tzinfo=UTC).timestamp())


class Replica:
    """The log of a replica that writes when it is told to."""

    def __init__(self, doors, variant="A", number=0):
        self.doors, layout = doors, doors.settings.layout
        spec = ReplicaSpec(f"air-{DIGEST}-{number}", "air", variant, model="m", image="i")
        layout.logs.mkdir(exist_ok=True)
        announce_logs(layout.log_marks, [spec])
        self.log = layout.logs / f"replica-{spec.name}.log"
        self.log.touch()
        os.utime(self.log, (START, START))

    def write(self, data, at, *, look=True):
        """Write at so many seconds after the start; somebody looks then."""
        with self.log.open("ab") as file:
            file.write(data)
        os.utime(self.log, (START + at, START + at))
        if look:
            self.doors.platform.logs.streams(GROUP)


@pytest.fixture
def logs(url):
    return aws.client("logs", url)


@pytest.fixture
def replica(doors):
    return Replica(doors)


def read(logs, *, head=True, **more):
    return logs.get_log_events(logGroupName=GROUP, logStreamName=STREAM, startFromHead=head, **more)


def told(reply):
    return [(event["timestamp"] // 1000 - START, event["message"]) for event in reply["events"]]


def messages(reply):
    return [event["message"] for event in reply["events"]]


def test_lines_have_the_time_at_which_they_were_first_seen(logs, replica):
    replica.write(b"one\ntwo\n\nthr", at=1)
    replica.write(b"ee\nfour\n", at=5)
    replica.write(b"five\n", at=9, look=False)
    expected = [(1, "one"), (1, "two"), (1, "three"), (5, "four"), (9, "five")]
    assert told(read(logs)) == expected
    assert told(read(logs)) == expected, "the same again"


def test_a_program_follows_a_stream_by_its_tokens(logs, replica):
    replica.write(b"one\ntwo\nthree\n", at=1)
    page = read(logs, limit=2)
    assert messages(page) == ["one", "two"]
    page = read(logs, nextToken=page["nextForwardToken"])
    assert messages(page) == ["three"]
    again = read(logs, nextToken=page["nextForwardToken"])
    assert (messages(again), again["nextForwardToken"]) == ([], page["nextForwardToken"])
    replica.write(b"four\n", at=2, look=False)
    assert messages(read(logs, nextToken=page["nextForwardToken"])) == ["four"]


def test_a_program_goes_back_from_the_tail(logs, replica):
    replica.write(b"one\ntwo\nthree\n", at=1)
    page = read(logs, head=False, limit=2)
    assert messages(page) == ["two", "three"]
    page = read(logs, head=False, nextToken=page["nextBackwardToken"])
    assert messages(page) == ["one"]
    again = read(logs, head=False, nextToken=page["nextBackwardToken"])
    assert (messages(again), again["nextBackwardToken"]) == ([], page["nextBackwardToken"])
    assert messages(read(logs, nextToken=page["nextForwardToken"])) == ["two", "three"]


def test_a_moment_parts_lines(logs, replica):
    for at in range(5):
        replica.write(b"line %d\n" % at, at=at)
    between = {"startTime": (START + 1) * 1000, "endTime": (START + 3) * 1000}
    for head in (True, False):
        page = read(logs, head=head, **between)
        assert messages(page) == ["line 1", "line 2"]
        assert messages(read(logs, nextToken=page["nextForwardToken"], **between)) == []


def test_a_log_that_is_put_aside_or_truncated_goes_on(doors, logs, replica):
    replica.write(b"one\n", at=1)
    replica.write(b"last words\n", at=2, look=False)
    token = read(logs, limit=1)["nextForwardToken"]
    replica.log.rename(replica.log.with_name(replica.log.name + ".1"))
    replica.write(b"anew\n", at=3)
    assert told(read(logs)) == [(1, "one"), (2, "last words"), (3, "anew")]
    assert messages(read(logs, nextToken=token)) == ["last words", "anew"]
    assert messages(read(logs, head=False)) == ["one", "last words", "anew"]
    end = read(logs)["nextForwardToken"]
    os.truncate(replica.log, 0)
    replica.write(b"x\n", at=4)
    assert messages(read(logs, nextToken=end)) == ["x"]
    os.utime(replica.log, (START - 99, START - 99))
    replica.write(b"of the past\n", at=-99)
    assert told(read(logs, nextToken=end)) == [(4, "x"), (4, "of the past")], "time never goes back"
    forget_logs(doors.settings.layout, ())
    assert messages(read(logs, nextToken=end)) == ["x", "of the past"]


def test_a_line_without_an_end_is_given_when_nothing_follows(doors, logs, replica):
    with replica.log.open("ab") as file:
        file.write(b"whole\nhal")
    assert messages(read(logs)) == ["whole"], "more may follow"
    replica.write(b"", at=1)
    page = read(logs)
    assert messages(page) == ["whole", "hal"]
    replica.write(b"f\n", at=2)
    assert messages(read(logs, nextToken=page["nextForwardToken"])) == ["f"]


def test_long_lines_bytes_of_no_text_and_big_logs(logs, replica):
    replica.write(b"\xff\xfe ok\r\n" + b"x" * 700_000 + b"\nend\n", at=1)
    page = read(logs)
    seen = messages(page)
    assert seen[0] == "\ufffd\ufffd ok"
    assert ("".join(seen[1:-1]), seen[-1]) == ("x" * 700_000, "end")
    assert messages(read(logs, head=False)) == seen
    replica.write(b"y" * 99 + b"\n", at=2)
    replica.write((b"z" * 99 + b"\n") * 30_000, at=3)
    count, token = 0, page["nextForwardToken"]
    while True:
        page = read(logs, nextToken=token)
        count += len(page["events"])
        assert sum(len(event["message"]) + 26 for event in page["events"]) <= 1 << 20
        if page["nextForwardToken"] == token:
            break
        token = page["nextForwardToken"]
    assert count == 30_001


def test_streams_are_listed_by_name_or_by_their_last_line(doors, logs, replica):
    other = Replica(doors, "B", 1)
    other.write(b"early\n", at=1)
    replica.write(b"first\n", at=2)
    replica.write(b"last\n", at=3)
    found = logs.describe_log_streams(logGroupName=GROUP)["logStreams"]
    assert [stream["logStreamName"] for stream in found] == [STREAM, OTHER]
    first = found[0]
    assert (first["firstEventTimestamp"], first["lastEventTimestamp"]) == (
        (START + 2) * 1000,
        (START + 3) * 1000,
    )
    assert first["arn"].endswith(f"log-group:{GROUP}:log-stream:{STREAM}")
    assert first["storedBytes"] == len(b"first\nlast\n")

    def names(**more):
        pages = logs.get_paginator("describe_log_streams").paginate(logGroupName=GROUP, limit=1, **more)
        return [stream["logStreamName"] for page in pages for stream in page["logStreams"]]

    assert names(orderBy="LastEventTime") == [OTHER, STREAM]
    assert names(orderBy="LastEventTime", descending=True) == [STREAM, OTHER]
    assert names(logStreamNamePrefix="B/") == [OTHER]
    assert names(descending=True) == [OTHER, STREAM]


def test_streams_are_searched_together_by_time(doors, logs, replica):
    other = Replica(doors, "B", 1)
    for at in range(6):
        (other if at % 2 else replica).write(b"ERROR %d\nfine %d\n" % (at, at), at=at)
    pages = logs.get_paginator("filter_log_events").paginate(
        logGroupName=GROUP, filterPattern="ERROR -3", PaginationConfig={"PageSize": 2}
    )
    found = [event for page in pages for event in page["events"]]
    assert [event["message"] for event in found] == [f"ERROR {at}" for at in (0, 1, 2, 4, 5)]
    assert len({event["eventId"] for event in found}) == 5
    assert [event["logStreamName"] for event in found[:2]] == [STREAM, OTHER]
    some = logs.filter_log_events(
        logGroupName=GROUP,
        logStreamNames=[OTHER],
        startTime=(START + 2) * 1000,
        endTime=(START + 4) * 1000,
    )
    assert messages(some) == ["ERROR 3", "fine 3"]
    first = logs.filter_log_events(logGroupName=GROUP, logStreamNamePrefix="A", limit=1)
    assert messages(first) == ["ERROR 0"]


def test_lines_of_one_moment_are_all_found_page_by_page(doors, logs, replica):
    other = Replica(doors, "B", 1)
    replica.write(b"a\nb\n", at=1)
    other.write(b"c\nd\n", at=1)
    replica.write(b"e\n", at=2)
    pages = logs.get_paginator("filter_log_events").paginate(
        logGroupName=GROUP, PaginationConfig={"PageSize": 1}
    )
    assert [event["message"] for page in pages for event in page["events"]] == ["a", "b", "c", "d", "e"]


def test_jobs_have_a_stream_each(doors, logs):
    doors.register()
    place = TransformInput(DataSource(S3DataSource("/in")))
    spec = TransformSpec("night", "truth:1", place, TransformOutput("/out"))
    doors.platform.jobs.create_transform(spec, principal="test")
    group = "/aws/sagemaker/TransformJobs"
    assert logs.describe_log_streams(logGroupName=group)["logStreams"] == []
    folder = doors.settings.layout.jobs / "night"
    folder.mkdir(parents=True)
    (folder / LOG_FILE).write_text("scored\n")
    (stream,) = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix="night/")["logStreams"]
    reply = logs.get_log_events(logGroupName=group, logStreamName=stream["logStreamName"])
    assert messages(reply) == ["scored"]


def test_who_may_read_endpoints_reads_no_jobs(doors):
    keys = [("app", "endpoints:read", ACCESS_KEY, SECRET_KEY)]
    with doors.with_tokens(("ada", "admin", "ada's token"), keys=keys) as http:
        logs = aws.client("logs", str(http.base_url), secret=SECRET_KEY)
        refused = code_of(logs.describe_log_streams, logGroupName="/aws/sagemaker/TransformJobs")
        assert refused == "AccessDeniedException"
        assert logs.describe_log_groups()["logGroups"]


def test_the_loop_notes_what_grows(doors, logs, replica):
    layout, clock = doors.settings.layout, HandClock()
    clock.time = datetime.fromtimestamp(START + 60, UTC)
    noting = Logs(doors.records, layout, clock)
    watch = LogWatch(doors.records, noting, layout)
    layout.run.mkdir(exist_ok=True)
    spec = ReplicaSpec(f"air-{DIGEST}-0", "air", "A", model="m", image="i")
    layout.replicas_file.write_bytes(encode_replicas([spec]))
    for at, word in ((1, b"one\n"), (3, b"two\n")):
        replica.write(word, at=at, look=False)
        watch.look()
        replica.write(b"", at=at + 1, look=False)
        clock.turn(1.0)
    assert told(read(logs)) == [(1, "one"), (3, "two")]


def test_groups_are_those_of_endpoints_and_kinds_of_jobs(logs, replica):
    found = logs.describe_log_groups()["logGroups"]
    assert [group["logGroupName"] for group in found] == [
        GROUP,
        "/aws/sagemaker/ProcessingJobs",
        "/aws/sagemaker/TransformJobs",
    ]
    assert found[0]["arn"] == f"arn:aws:logs:{aws.REGION}:123456789012:log-group:{GROUP}:*"
    by_prefix = logs.describe_log_groups(logGroupNamePrefix="/aws/sagemaker/E")["logGroups"]
    assert by_prefix == found[:1]
    assert logs.describe_log_groups(logGroupNamePattern="jobs", limit=1)["nextToken"]
    by_arn = logs.describe_log_streams(logGroupIdentifier=found[0]["logGroupArn"])
    assert len(by_arn["logStreams"]) == 1


def test_what_is_unknown_or_wrong_is_refused_in_the_services_words(logs, replica):
    here = {"logGroupName": GROUP, "logStreamName": STREAM}
    for group in ("/aws/sagemaker/Endpoints/none", "/aws/sagemaker/Endpoints/../x", "/other"):
        assert code_of(logs.describe_log_streams, logGroupName=group) == "ResourceNotFoundException"
        assert code_of(logs.filter_log_events, logGroupName=group) == "ResourceNotFoundException"
    for stream in ("A/none", "../../x", "A/.."):
        wish = {**here, "logStreamName": stream}
        assert code_of(logs.get_log_events, **wish) == "ResourceNotFoundException"
    assert code_of(logs.filter_log_events, logGroupName=GROUP, logStreamNames=["x"]) == (
        "ResourceNotFoundException"
    )
    wrong = [
        (logs.get_log_events, {**here, "nextToken": "f/x"}),
        (logs.get_log_events, {**here, "limit": 10_001}),
        (logs.get_log_events, {"logStreamName": STREAM}),
        (logs.get_log_events, {**here, "logGroupIdentifier": GROUP}),
        (logs.describe_log_streams, {"logGroupName": GROUP, "nextToken": "?"}),
        (logs.describe_log_streams, {"logGroupName": GROUP, "nextToken": "LTU="}),
        (
            logs.describe_log_streams,
            {"logGroupName": GROUP, "orderBy": "LastEventTime", "logStreamNamePrefix": "A"},
        ),
        (logs.filter_log_events, {"logGroupName": GROUP, "filterPattern": "{ $.x = 1 }"}),
        (logs.filter_log_events, {"logGroupName": GROUP, "nextToken": "abc"}),
        (
            logs.filter_log_events,
            {"logGroupName": GROUP, "logStreamNames": [STREAM], "logStreamNamePrefix": "A"},
        ),
    ]
    for call, wish in wrong:
        assert code_of(call, **wish) == "InvalidParameterException", wish
    with pytest.raises(ClientError, match="not offered"):
        logs.filter_log_events(logGroupName=GROUP, filterPattern="[a, b]")
    beyond = read(logs, nextToken="f/999999999999999999")
    assert beyond["nextForwardToken"] == f"f/{0:018}"
