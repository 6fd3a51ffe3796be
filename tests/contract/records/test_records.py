"""What records promise, on SQLite and on PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import text

from fakes.house import HandClock
from modelport.domain.errors import Conflict, Corrupted, NotFound, Unavailable
from modelport.domain.registry import GroupNotes, GroupSpec, GroupStatus
from modelport.domain.resource import Kind, Resource, Tag
from modelport.stores.records import leases
from modelport.stores.records.records import WAITERS_MAX, Records
from modelport.stores.records.transaction import Transaction

GROUP = Kind.MODEL_PACKAGE_GROUP
BORN = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)


def a_group(name: str = "flights", **changes: Any) -> Resource[Any, Any, Any]:
    made: Resource[Any, Any, Any] = Resource(
        kind=GROUP,
        name=name,
        parent=None,
        spec=GroupSpec(name, "späte Flüge ✈ \x00 'quoted'", (Tag("team", "ops"),)),
        status=GroupStatus(),
        modelport=GroupNotes(aliases={"Champion-1": 3}, last_version=3),
        generation=1,
        observed_generation=0,
        created_at=BORN,
        modified_at=BORN,
    )
    return replace(made, **changes)


def create(records: Records, *groups: Resource[Any, Any, Any]) -> None:
    with records.transaction() as tx:
        for group in groups:
            tx.create(group)


def create_with_event(
    records: Records, group: Resource[Any, Any, Any], then: Callable[[], object] = lambda: None
) -> None:
    with records.transaction(principal="ada") as tx:
        tx.event("create", GROUP, group.name)
        tx.create(group)
        then()


def test_resource_comes_back_as_it_was(records: Records) -> None:
    create(records, a_group())
    with records.reading() as tx:
        assert tx.get(GROUP, "flights") == a_group()
        assert tx.find(GROUP, "Flights") is None, "names differ in case"
        assert tx.find(Kind.MODEL, "flights") is None


def test_time_of_another_zone_is_the_same_moment(records: Records) -> None:
    here = BORN.astimezone(timezone(timedelta(hours=9)))
    create(records, a_group(created_at=here))
    with records.reading() as tx:
        assert tx.get(GROUP, "flights").created_at == BORN


def test_missing_resource_says_how_to_list(records: Records) -> None:
    with records.reading() as tx, pytest.raises(NotFound, match="no model package group 'nope'") as caught:
        tx.get(GROUP, "nope")
    assert caught.value.hint is not None


def test_taken_name_is_a_conflict_and_leaves_nothing(records: Records) -> None:
    create(records, a_group())
    with pytest.raises(Conflict, match="exists already"):
        create_with_event(records, a_group())
    with records.reading() as tx:
        assert tx.events() == []


def test_put_replaces_what_is_there_only(records: Records) -> None:
    create(records, a_group())
    changed = a_group(generation=2, modelport=GroupNotes(last_version=4))
    with records.transaction() as tx:
        tx.put(changed)
    with records.reading() as tx:
        assert tx.get(GROUP, "flights") == changed
    with pytest.raises(NotFound), records.transaction() as tx:
        tx.put(a_group("other"))


def test_remove_says_whether_there_was_one(records: Records) -> None:
    create(records, a_group())
    with records.transaction() as tx:
        assert tx.remove(GROUP, "flights")
        assert not tx.remove(GROUP, "flights")
    with records.reading() as tx:
        assert tx.find(GROUP, "flights") is None


def test_lists_sort_by_bytes_and_page(records: Records) -> None:
    names = ["B", "a", "a-1", "a1", "b", "Z9", "z"]
    create(records, *(a_group(name, spec=GroupSpec(name)) for name in names))
    with records.reading() as tx:
        found = [group.name for group in tx.all(GROUP)]
        assert found == sorted(names)
        assert tx.names(GROUP) == found
        assert [group.name for group in tx.all(GROUP, after=found[1], limit=3)] == found[2:5]
        assert tx.all(GROUP, parent="x") == []


def test_resource_and_event_stand_or_fall_together(records: Records) -> None:
    with pytest.raises(ZeroDivisionError):
        create_with_event(records, a_group(), then=lambda: 1 / 0)
    with records.reading() as tx:
        assert tx.find(GROUP, "flights") is None
        assert tx.events() == []


def test_events_count_without_gaps(records: Records, clock: HandClock) -> None:
    with pytest.raises(ZeroDivisionError):
        create_with_event(records, a_group("lost"), then=lambda: 1 / 0)
    for number in range(3):
        clock.turn(1)
        with records.transaction(principal="ada") as tx:
            tx.event("create", GROUP, f"g{number}", "ünd")
            tx.event("create", Kind.MODEL, f"g{number}")
    with records.reading() as tx:
        assert [event.sequence for event in tx.events()] == [1, 2, 3, 4, 5, 6]
        assert [event.name for event in tx.events(kind=GROUP, after=1)] == ["g1", "g2"]
        assert [event.sequence for event in tx.events(name="g1", limit=1)] == [3]
        newest = tx.events(after=5)[0]
    assert (newest.principal, newest.at) == ("ada", clock.now())


def test_numbers_are_never_given_twice(records: Records) -> None:
    given = []
    for at_least in (1, 1, 10, 3):
        with records.transaction() as tx:
            given.append(tx.next_number("revision", at_least=at_least))
    assert given == [1, 2, 10, 11]


def test_digest_changes_with_the_record_alone(records: Records) -> None:
    create(records, a_group(), a_group("other"))
    with records.reading() as tx:
        before = tx.digests(GROUP)
    with records.transaction() as tx:
        leases.acquire(tx, GROUP, "other", owner="me")
        tx.put(a_group(generation=2))
    with records.reading() as tx:
        after = tx.digests(GROUP)
    assert before["other"] == after["other"]
    assert before["flights"] != after["flights"]


def test_unsettled_are_those_whose_wish_is_newer(records: Records) -> None:
    create(records, a_group("a", generation=2, observed_generation=1), a_group("b", observed_generation=1))
    with records.reading() as tx:
        assert tx.unsettled(GROUP) == ["a"]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("spec", "{}"),
        ("status", '{"ModelPackageGroupStatus":"Compleded"}'),
        ("modelport", "not json"),
        ("generation", "7"),
        ("observed_generation", "1"),
        ("created_at", "2025-01-02T03:04:05.678901+00:00"),
        ("parent", "mother"),
    ],
)
def test_changed_record_is_never_taken_for_good(records: Records, column: str, value: str) -> None:
    create(records, a_group(), a_group("other"))
    with records.transaction() as tx:
        tx.connection.execute(
            text(f"UPDATE resources SET {column} = :value WHERE name = 'flights'"),
            {"value": int(value) if value.isdigit() else value},
        )
    with records.reading() as tx, pytest.raises(Corrupted, match="'flights' is damaged"):
        tx.get(GROUP, "flights")
    with records.reading() as tx:
        assert tx.get(GROUP, "other").name == "other"
        assert tx.names(GROUP) == ["flights", "other"]


def test_writers_are_serial(records: Records) -> None:
    create(records, a_group(modelport=GroupNotes(last_version=0)))

    def count_up() -> None:
        for _ in range(20):
            with records.transaction() as tx:
                group = tx.get(GROUP, "flights")
                notes = replace(group.modelport, last_version=group.modelport.last_version + 1)
                tx.put(replace(group, modelport=notes))

    _together(count_up, times=4)
    with records.reading() as tx:
        assert tx.get(GROUP, "flights").modelport.last_version == 80


def test_reader_sees_one_moment(records: Records) -> None:
    create(records, a_group())
    with records.reading() as tx:
        assert tx.get(GROUP, "flights").generation == 1
        with records.transaction() as writer:
            writer.put(a_group(generation=2))
            writer.create(a_group("other"))
        assert tx.get(GROUP, "flights").generation == 1
        assert tx.find(GROUP, "other") is None
    with records.reading() as tx:
        assert tx.get(GROUP, "flights").generation == 2


def test_reader_cannot_write(records: Records) -> None:
    with pytest.raises(Unavailable), records.reading() as tx:
        tx.create(a_group())
    with records.reading() as tx:
        assert tx.find(GROUP, "flights") is None


def test_records_outlive_whoever_wrote_them(database_url: str, clock: HandClock) -> None:
    first = Records(database_url, clock)
    create(first, a_group())
    first.close()
    second = Records(database_url, clock)
    with second.reading() as tx:
        assert tx.get(GROUP, "flights") == a_group()
    second.close()


# ── Leases ──────────────────────────────────────────────────────────────────────────────────────────


def acquire(tx: Transaction, owner: str) -> leases.Lease | None:
    return leases.acquire(tx, GROUP, "flights", owner=owner)


def test_lease_is_for_one_owner_at_a_time(records: Records) -> None:
    create(records, a_group())
    with records.transaction() as tx:
        assert acquire(tx, "me") is not None
        assert acquire(tx, "you") is None
        assert leases.acquire(tx, GROUP, "absent", owner="me") is None


def test_lease_that_ended_is_free_and_the_late_one_writes_nothing(records: Records, clock: HandClock) -> None:
    create(records, a_group())
    with records.transaction() as tx:
        late = acquire(tx, "me")
    clock.turn(leases.DURATION_S + 1)
    with records.transaction() as tx:
        held = acquire(tx, "you")
    assert late is not None
    assert held is not None
    with records.transaction() as tx:
        assert not leases.write_back(tx, late, a_group(observed_generation=1), release=True)
        assert not leases.remove(tx, late, generation=1)
        assert leases.write_back(tx, held, a_group(observed_generation=1), release=True)
    with records.reading() as tx:
        assert tx.get(GROUP, "flights").observed_generation == 1


def test_own_lease_is_taken_over_at_once_and_the_old_token_is_void(records: Records) -> None:
    create(records, a_group())
    with records.transaction() as tx:
        before = acquire(tx, "me")
    with records.transaction() as tx:
        after = acquire(tx, "me")
    assert before is not None
    assert after is not None
    with records.transaction() as tx:
        assert not leases.write_back(tx, before, a_group(), release=False)
        assert leases.write_back(tx, after, a_group(), release=False)


def test_write_back_of_an_older_wish_is_dropped(records: Records) -> None:
    create(records, a_group())
    with records.transaction() as tx:
        lease = acquire(tx, "me")
    with records.transaction() as tx:
        tx.put(a_group(generation=2))
    assert lease is not None
    with records.transaction() as tx:
        assert not leases.write_back(tx, lease, a_group(observed_generation=1), release=True)
        assert not leases.remove(tx, lease, generation=1)
    with records.reading() as tx:
        assert tx.get(GROUP, "flights") == a_group(generation=2)


def test_released_lease_is_free(records: Records) -> None:
    create(records, a_group())
    with records.transaction() as tx:
        lease = acquire(tx, "me")
        assert lease is not None
        leases.write_back(tx, lease, a_group(), release=True)
        assert acquire(tx, "you") is not None


def test_lease_of_a_clock_that_ran_ahead_does_not_block(records: Records, clock: HandClock) -> None:
    create(records, a_group())
    clock.turn(86_400)
    with records.transaction() as tx:
        assert acquire(tx, "me") is not None
    clock.turn(-86_400)
    with records.transaction() as tx:
        assert acquire(tx, "you") is not None


def test_one_of_many_wins_a_lease(records: Records) -> None:
    create(records, a_group())
    winners: list[str] = []

    def try_it() -> None:
        me = threading.current_thread().name
        with records.transaction() as tx:
            if acquire(tx, me) is not None:
                winners.append(me)

    _together(try_it, times=8)
    assert len(winners) == 1


def test_a_look_waits_for_what_is_written(records: Records) -> None:
    def look() -> int:
        with records.reading() as tx:
            return len(tx.all(a_group().kind, limit=10))

    threading.Timer(0.1, lambda: create(records, a_group())).start()
    assert records.look_until(look, lambda found: found == 1, wait_s=30.0) == 1


def test_a_look_ends_when_its_time_is_over(records: Records) -> None:
    looks: list[int] = []
    assert records.look_until(lambda: looks.append(1), lambda _: False, wait_s=0.05) is None
    assert len(looks) == 1, "nothing was written, so there was nothing new to see"


def test_a_look_without_patience_is_one_look(records: Records) -> None:
    assert records.look_until(lambda: 7, lambda _: False, wait_s=0.0) == 7


def test_too_many_who_wait_are_answered_at_once(records: Records) -> None:
    looking = threading.Semaphore(0)
    over = threading.Event()

    def look() -> bool:
        looking.release()
        return over.is_set()

    waiting = [
        threading.Thread(target=records.look_until, args=(look, bool, 30.0)) for _ in range(WAITERS_MAX)
    ]
    for thread in waiting:
        thread.start()
        assert looking.acquire(timeout=10.0)
    assert records.look_until(lambda: "as it is", lambda _: False, wait_s=30.0) == "as it is"
    over.set()
    create(records, a_group())
    for thread in waiting:
        thread.join(10.0)
        assert not thread.is_alive()


def _together(act: Callable[[], None], *, times: int) -> None:
    threads = [threading.Thread(target=act) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_closing_waits_for_the_transaction_that_is_open_and_ends_all_others(records: Records) -> None:
    inside, go = threading.Event(), threading.Event()

    def write() -> None:
        with records.transaction() as tx:
            inside.set()
            go.wait(10)
            tx.create(a_group())

    writer, closer = threading.Thread(target=write), threading.Thread(target=records.close)
    writer.start()
    inside.wait(10)
    closer.start()
    closer.join(0.1)
    assert closer.is_alive(), "a connection that is used is not closed"
    go.set()
    writer.join()
    closer.join()
    with pytest.raises(Unavailable), records.transaction():
        pass
    with pytest.raises(Unavailable), records.reading():
        pass
