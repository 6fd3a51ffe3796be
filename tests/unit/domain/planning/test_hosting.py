"""What variants host: each model is a matter of its own, and those asked longest ago leave first."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelport.domain.planning.endpoint import LookInto, Observed, Trial, TrialState, TryModel, archive_key
from modelport.domain.planning.hosting import (
    Guest,
    HostedKey,
    Limits,
    Outlook,
    Use,
    blamed,
    choose_leaving,
    judge_guest,
)
from modelport.domain.planning.rollout import Rollout, RolloutState
from modelport.domain.registry import Code, ContainerDefinition, ModelNotes, ModelSpec, Step
from modelport.domain.resource import Kind, Nothing, Resource
from modelport.domain.routes import EndpointRoute, HostedBy, HostedRoute, Hosting, RouteTable, VariantRoute

NOW = datetime(2026, 1, 2, tzinfo=UTC)
PLACE = ("air", "A", "many@now")
KEY = HostedKey(PLACE, "x")
DIGEST = "d" * 64
RUNNING, PASSED = Trial(TrialState.RUNNING), Trial(TrialState.PASSED)
FAILED = Trial(TrialState.FAILED, "it hurts")


def model(notes: ModelNotes):
    spec = ModelSpec("many/x@1", ContainerDefinition(model_data_url="s3://b/x"))
    return Resource(Kind.MODEL, "many/x@1", None, spec, Nothing(), notes, 1, 1, NOW, NOW)


UNKNOWN = model(ModelNotes("", "many"))
LOADED = model(ModelNotes(DIGEST, "many"))
CODED = model(ModelNotes("", "many", Code("a" * 64)))


def hosting(*models: HostedRoute, endpoint: str = "air") -> EndpointRoute:
    kept = Hosting(HostedBy.TARGET_MODEL, PLACE[2], models)
    return EndpointRoute(endpoint, (VariantRoute("A", "many", "", hosting=kept),))


def observed(*, active=(), **facts) -> Observed:
    return Observed(
        **{
            "active": RouteTable(1, active),
            "everywhere": True,
            "lagging": False,
            "rollout": None,
            "trials": {},
            "broken": {},
            **facts,
        }
    )


def judge(one, found=(), copies=1, **facts) -> Outlook:
    return judge_guest(Guest(KEY, one, copies), observed(**facts), dict(found))


def test_an_unknown_archive_is_looked_into_first() -> None:
    assert judge(UNKNOWN) == Outlook(needs=LookInto(UNKNOWN))
    assert judge(UNKNOWN, archives={archive_key(UNKNOWN): RUNNING}) == Outlook()
    assert judge(UNKNOWN, archives={archive_key(UNKNOWN): FAILED}).problem == "it hurts"
    assert judge(UNKNOWN, {archive_key(UNKNOWN): Step(DIGEST)}) == Outlook(needs=TryModel(DIGEST))


def test_a_model_is_tried_before_a_worker_loads_it() -> None:
    ready = Outlook(route=HostedRoute("x", DIGEST))
    assert judge(LOADED) == Outlook(needs=TryModel(DIGEST))
    assert judge(LOADED, trials={DIGEST: RUNNING}) == Outlook()
    assert judge(LOADED, trials={DIGEST: FAILED}).problem == "it hurts"
    assert judge(LOADED, trials={DIGEST: PASSED}) == ready
    assert judge(LOADED, active=(hosting(HostedRoute("y", DIGEST)),)) == ready, "it serves elsewhere"


def test_code_waits_for_all_its_replicas() -> None:
    starting = judge(CODED, copies=2)
    assert starting.run is not None
    assert starting.route is None
    first, second = starting.run.names
    assert judge(CODED, copies=2, replicas={first: PASSED, second: RUNNING}).route is None
    ready = judge(CODED, copies=2, replicas={first: PASSED, second: PASSED})
    assert ready.route == HostedRoute("x", replicas=(first, second))
    assert "it hurts" in str(judge(CODED, copies=2, replicas={first: PASSED, second: FAILED}).problem)
    assert judge(CODED, copies=0).route == HostedRoute("x"), "no copy is wished for"


@pytest.mark.parametrize(("digest", "expected"), [(DIGEST, {"x"}), (None, {"x", "z"}), ("other", set())])
def test_only_what_a_failed_table_would_have_added_is_to_blame(digest, expected) -> None:
    served = hosting(HostedRoute("y", "e" * 64))
    coming = hosting(HostedRoute("x", DIGEST), HostedRoute("y", "e" * 64), HostedRoute("z", "f" * 64))
    rollout = Rollout(2, {"air": coming, "sea": None}, state=RolloutState.FAILED, digest=digest, reason="no")
    found = blamed(rollout, {"air": served})
    assert {key.name for key in found} == expected
    assert set(found.values()) <= {"no"}
    assert blamed(replace(rollout, state=RolloutState.PREPARED), {"air": served}) == {}


NAMES = st.sampled_from("abcdef")
USES = st.dictionaries(
    st.tuples(st.sampled_from([PLACE, ("sea", "B", "many@now")]), NAMES).map(lambda pair: HostedKey(*pair)),
    st.builds(
        Use,
        st.sampled_from([HostedBy.TARGET_MODEL, HostedBy.SERVERLESS]),
        st.one_of(
            st.just(HostedRoute("m", DIGEST)),
            st.integers(1, 3).map(lambda n: HostedRoute("m", replicas=tuple(f"r{i}" for i in range(n)))),
        ),
        st.floats(0.0, 100.0),
    ),
)


@given(USES, st.integers(1, 6), st.integers(1, 4), st.floats(1.0, 50.0))
def test_what_leaves_makes_room_and_was_asked_longest_ago(uses, replicas, models, idle_s) -> None:
    now = 100.0
    leaving = choose_leaving(uses, now, Limits(replicas, models, idle_s))
    stays = {key: use for key, use in uses.items() if key not in leaving}
    processes = [len(use.route.replicas) for use in stays.values() if use.route.replicas]
    assert sum(processes) <= replicas or len(processes) == 1, "one larger than all the room serves alone"
    for place in {key.place for key in stays}:
        assert sum(1 for key, use in stays.items() if key.place == place and use.route.digest) <= models
    for key, use in stays.items():
        if use.by is HostedBy.SERVERLESS and use.route.replicas:
            assert now - use.at < idle_s, key
    for gone in leaving:
        use = uses[gone]
        idle = use.by is HostedBy.SERVERLESS and now - use.at >= idle_s
        like = [
            one
            for key, one in stays.items()
            if (use.route.replicas and one.route.replicas)
            or (use.route.digest and one.route.digest and key.place == gone.place)
        ]
        assert idle or all(one.at >= use.at for one in like), "one asked longer ago stays"


def test_nothing_leaves_where_there_is_room() -> None:
    uses = {
        HostedKey(PLACE, name): Use(HostedBy.TARGET_MODEL, HostedRoute(name, DIGEST), 0.0) for name in "ab"
    }
    assert choose_leaving(uses, 1e9, Limits(1, 2, 1.0)) == set()
