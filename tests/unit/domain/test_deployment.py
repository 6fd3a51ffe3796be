"""How traffic moves by a DeploymentConfig: the shares grow, end at all of it, and nonsense is told."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelport.domain.deployment import Shift, read_shift
from modelport.domain.errors import InvalidInput


def blue_green(kind, wait=60, more=None, **sizes):
    routing = {"Type": kind, "WaitIntervalInSeconds": wait, **sizes}
    return {"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": routing, **(more or {})}}


def size(value, kind="CAPACITY_PERCENT"):
    return {"Type": kind, "Value": value}


@pytest.mark.parametrize(
    ("config", "shift"),
    [
        ({}, Shift((1.0,))),
        (blue_green("ALL_AT_ONCE"), Shift((1.0,), 60)),
        (blue_green("CANARY", CanarySize=size(5)), Shift((0.05, 1.0), 60)),
        (blue_green("CANARY", CanarySize=size(1, "INSTANCE_COUNT")), Shift((0.25, 1.0), 60)),
        (blue_green("LINEAR", 0, LinearStepSize=size(25)), Shift((0.25, 0.5, 0.75, 1.0))),
        (blue_green("LINEAR", 0, LinearStepSize=size(40)), Shift((0.4, 0.8, 1.0))),
        (
            {"RollingUpdatePolicy": {"MaximumBatchSize": size(50), "WaitIntervalInSeconds": 9}},
            Shift((0.5, 1.0), 9),
        ),
        (
            blue_green(
                "ALL_AT_ONCE",
                more={"TerminationWaitInSeconds": 30, "MaximumExecutionTimeoutInSeconds": 600},
            )
            | {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "a"}, {"AlarmName": "b"}]}},
            Shift((1.0,), 60, 30, 600, ("a", "b")),
        ),
    ],
)
def test_configs_become_shares_and_waits(config, shift):
    assert read_shift(config, 4) == shift


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (blue_green("CANARY"), "needs CanarySize"),
        (blue_green("LINEAR", CanarySize=size(5)), "has CanarySize"),
        (blue_green("ALL_AT_ONCE", LinearStepSize=size(10)), "has LinearStepSize"),
        (blue_green("CANARY", CanarySize=size(51)), "1 to 50 %"),
        (blue_green("LINEAR", LinearStepSize=size(9)), "10 to 50 %"),
        (blue_green("CANARY", CanarySize=size(5, "INSTANCE_COUNT")), "1 to 4"),
        (blue_green("SOMEHOW"), "Type 'SOMEHOW'"),
        (blue_green("ALL_AT_ONCE", 3601), "0 to 3600"),
        (blue_green("ALL_AT_ONCE", more={"MaximumExecutionTimeoutInSeconds": 1}), "600 to 28800"),
        (blue_green("ALL_AT_ONCE") | {"RollingUpdatePolicy": {}}, "both"),
        ({"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "a"}] * 11}}, "at most 10"),
        ({"BlueGreenUpdatePolicy": {}}, "not a DeploymentConfig"),
        ({"BlueGreenUpdatePolicy": 3}, "not a DeploymentConfig"),
    ],
)
def test_what_nobody_could_follow_is_told(config, told):
    with pytest.raises(InvalidInput, match=told):
        read_shift(config, 4)


KINDS = st.sampled_from(["CAPACITY_PERCENT", "INSTANCE_COUNT"])
SIZES = st.fixed_dictionaries({"Type": KINDS, "Value": st.integers(-1, 60)})
ROUTINGS = st.fixed_dictionaries(
    {
        "Type": st.sampled_from(["ALL_AT_ONCE", "CANARY", "LINEAR"]),
        "WaitIntervalInSeconds": st.integers(-1, 9),
    },
    optional={"CanarySize": SIZES, "LinearStepSize": SIZES},
)
CONFIGS = st.fixed_dictionaries(
    {},
    optional={
        "BlueGreenUpdatePolicy": st.fixed_dictionaries({"TrafficRoutingConfiguration": ROUTINGS}),
        "RollingUpdatePolicy": st.fixed_dictionaries(
            {"MaximumBatchSize": SIZES, "WaitIntervalInSeconds": st.integers(0, 9)}
        ),
    },
)
ANYTHING = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["BlueGreenUpdatePolicy", "TrafficRoutingConfiguration", "Type", "Alarms"]), inner
        )
    ),
    max_leaves=6,
)


@given(CONFIGS, st.integers(1, 60))
def test_shares_grow_and_end_at_all_of_it(config, instances):
    try:
        shares = read_shift(config, instances).shares
    except InvalidInput:
        return
    assert list(shares) == sorted(set(shares))
    assert (shares[0] > 0, shares[-1]) == (True, 1.0)


@given(
    st.dictionaries(
        st.sampled_from(["BlueGreenUpdatePolicy", "RollingUpdatePolicy", "AutoRollbackConfiguration"]),
        ANYTHING,
    )
)
def test_nonsense_is_told_and_never_fails(config):
    with suppress(InvalidInput):
        read_shift(config, 1)
