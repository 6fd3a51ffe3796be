"""boto3 against experiments, trials and trial components; every reply is held against its shape."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from botocore.exceptions import ClientError

from fakes.aws import REGION, client, code_of

ARN = f"arn:aws:sagemaker:{REGION}:123456789012:"
STARTED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def churn(sagemaker):
    """Return a client of a platform with one experiment of two trials, which share a component."""
    sagemaker.create_experiment(ExperimentName="churn", Tags=[{"Key": "team", "Value": "a"}])
    for trial in ("first", "second"):
        sagemaker.create_trial(TrialName=trial, ExperimentName="churn")
    for component in ("prepare", "train-1", "train-2"):
        sagemaker.create_trial_component(TrialComponentName=component)
    for component, trial in (
        ("prepare", "first"),
        ("prepare", "second"),
        ("train-1", "first"),
        ("train-2", "second"),
    ):
        sagemaker.associate_trial_component(TrialComponentName=component, TrialName=trial)
    return sagemaker


def components(sagemaker, **asked):
    found = sagemaker.list_trial_components(**asked)["TrialComponentSummaries"]
    return sorted(one["TrialComponentName"] for one in found)


def trials(sagemaker, **asked):
    return sorted(one["TrialName"] for one in sagemaker.list_trials(**asked)["TrialSummaries"])


def test_an_experiment_is_described_as_it_was_made_and_changed(sagemaker):
    made = sagemaker.create_experiment(ExperimentName="churn", Description="who leaves")
    assert made["ExperimentArn"] == f"{ARN}experiment/churn"
    found = sagemaker.describe_experiment(ExperimentName="churn")
    assert (found["DisplayName"], found["Description"]) == ("churn", "who leaves")
    sagemaker.update_experiment(ExperimentName="churn", DisplayName="Churn")
    changed = sagemaker.describe_experiment(ExperimentName="churn")
    assert (changed["DisplayName"], changed["Description"]) == ("Churn", "who leaves")
    assert changed["LastModifiedTime"] > changed["CreationTime"] == found["CreationTime"]


def test_a_name_is_taken_once_and_the_sdk_can_tell(churn):
    calls = (
        (churn.create_experiment, {"ExperimentName": "churn"}),
        (churn.create_trial, {"TrialName": "first", "ExperimentName": "churn"}),
        (churn.create_trial_component, {"TrialComponentName": "prepare"}),
    )
    for call, parameters in calls:
        with pytest.raises(ClientError, match="already exists") as caught:
            call(**parameters)
        assert caught.value.response["Error"]["Code"] == "ValidationException"


def test_who_belongs_to_what_is_listed_from_both_sides(churn):
    assert components(churn) == ["prepare", "train-1", "train-2"]
    assert components(churn, TrialName="first") == ["prepare", "train-1"]
    assert components(churn, ExperimentName="churn") == ["prepare", "train-1", "train-2"]
    assert components(churn, SourceArn=f"{ARN}training-job/none") == []
    assert trials(churn, ExperimentName="churn") == trials(churn) == ["first", "second"]
    assert trials(churn, TrialComponentName="train-2") == ["second"]
    churn.create_experiment(ExperimentName="empty")
    assert trials(churn, ExperimentName="empty") == components(churn, ExperimentName="empty") == []
    assert trials(churn, ExperimentName="empty", TrialComponentName="train-2") == []
    both = {"ExperimentName": "churn", "TrialName": "first"}
    assert code_of(churn.list_trial_components, **both) == "ValidationException"


def test_lists_are_sorted_filtered_and_paged(churn):
    pages = churn.get_paginator("list_trial_components").paginate(
        SortBy="Name", SortOrder="Ascending", PaginationConfig={"PageSize": 2}
    )
    names = [[one["TrialComponentName"] for one in page["TrialComponentSummaries"]] for page in pages]
    assert names == [["prepare", "train-1"], ["train-2"]]
    assert churn.list_experiments(CreatedBefore=STARTED)["ExperimentSummaries"] == []
    assert len(churn.list_experiments(CreatedAfter=STARTED)["ExperimentSummaries"]) == 1
    assert trials(churn, CreatedBefore=STARTED) == []


def test_what_something_belongs_to_is_not_deleted(churn):
    assert code_of(churn.delete_experiment, ExperimentName="churn") == "ValidationException"
    assert code_of(churn.delete_trial, TrialName="first") == "ValidationException"
    with pytest.raises(ClientError, match="associated with 2 trials"):
        churn.delete_trial_component(TrialComponentName="prepare")
    for trial in ("first", "second"):
        for component in components(churn, TrialName=trial):
            churn.disassociate_trial_component(TrialComponentName=component, TrialName=trial)
        churn.delete_trial(TrialName=trial)
    for component in components(churn):
        churn.delete_trial_component(TrialComponentName=component)
    churn.delete_experiment(ExperimentName="churn")
    assert churn.list_experiments()["ExperimentSummaries"] == components(churn) == trials(churn) == []


def test_an_association_is_made_and_ended_once_however_often_it_is_asked_for(churn):
    pair = {"TrialComponentName": "train-1", "TrialName": "first"}
    made = churn.associate_trial_component(**pair)
    assert made["TrialArn"] == f"{ARN}experiment-trial/first"
    assert made["TrialComponentArn"] == f"{ARN}experiment-trial-component/train-1"
    for _ in range(2):
        churn.disassociate_trial_component(**pair)
    assert components(churn, TrialName="first") == ["prepare"]
    assert trials(churn, TrialComponentName="train-1") == []


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("describe_experiment", {"ExperimentName": "none"}),
        ("update_experiment", {"ExperimentName": "none"}),
        ("delete_experiment", {"ExperimentName": "none"}),
        ("create_trial", {"TrialName": "t", "ExperimentName": "none"}),
        ("describe_trial", {"TrialName": "none"}),
        ("update_trial", {"TrialName": "none"}),
        ("delete_trial", {"TrialName": "none"}),
        ("list_trials", {"ExperimentName": "none"}),
        ("list_trials", {"TrialComponentName": "none"}),
        ("describe_trial_component", {"TrialComponentName": "none"}),
        ("update_trial_component", {"TrialComponentName": "none"}),
        ("delete_trial_component", {"TrialComponentName": "none"}),
        ("list_trial_components", {"ExperimentName": "none"}),
        ("list_trial_components", {"TrialName": "none"}),
        ("associate_trial_component", {"TrialComponentName": "prepare", "TrialName": "none"}),
        ("associate_trial_component", {"TrialComponentName": "none", "TrialName": "first"}),
        ("disassociate_trial_component", {"TrialComponentName": "none", "TrialName": "first"}),
    ],
)
def test_what_is_not_there_is_told_as_modelled(churn, operation, parameters):
    assert code_of(getattr(churn, operation), **parameters) == "ResourceNotFound"
    assert trials(churn) == ["first", "second"]


def test_a_component_is_described_as_it_was_made(sagemaker):
    wish = {
        "DisplayName": "Train",
        "Status": {"PrimaryStatus": "InProgress", "Message": "epoch 1"},
        "StartTime": STARTED,
        "Parameters": {"lr": {"NumberValue": 0.1}, "optimizer": {"StringValue": "adam"}},
        "InputArtifacts": {"train": {"MediaType": "text/csv", "Value": "s3://bucket/train.csv"}},
        "OutputArtifacts": {"model": {"Value": "s3://bucket/model.tar.gz"}},
        "MetadataProperties": {"CommitId": "abc"},
    }
    arn = sagemaker.create_trial_component(TrialComponentName="train", **wish)["TrialComponentArn"]
    found = sagemaker.describe_trial_component(TrialComponentName="train")
    assert {name: found[name] for name in wish} == wish
    assert found["Metrics"] == []
    by_arn = sagemaker.describe_trial_component(TrialComponentName=arn)
    assert by_arn["TrialComponentArn"] == found["TrialComponentArn"] == arn
    (listed,) = sagemaker.list_trial_components()["TrialComponentSummaries"]
    assert (listed["StartTime"], listed["Status"]) == (STARTED, wish["Status"])


def test_an_update_joins_what_is_there_and_takes_away_what_it_names(sagemaker):
    sagemaker.create_trial_component(
        TrialComponentName="train",
        StartTime=STARTED,
        Parameters={"lr": {"NumberValue": 0.1}, "depth": {"NumberValue": 3}, "old": {"StringValue": "x"}},
        InputArtifacts={"train": {"Value": "a"}, "test": {"Value": "b"}},
        OutputArtifacts={"model": {"Value": "c"}},
    )
    sagemaker.update_trial_component(
        TrialComponentName="train",
        Status={"PrimaryStatus": "Completed"},
        EndTime=STARTED,
        Parameters={"lr": {"NumberValue": 0.2}, "seed": {"NumberValue": 1}},
        ParametersToRemove=["old", "never there"],
        InputArtifactsToRemove=["test"],
        OutputArtifacts={"log": {"Value": "d"}},
        OutputArtifactsToRemove=["model"],
    )
    found = sagemaker.describe_trial_component(TrialComponentName="train")
    numbers = {name: value["NumberValue"] for name, value in found["Parameters"].items()}
    assert numbers == {"lr": 0.2, "depth": 3, "seed": 1}
    assert set(found["InputArtifacts"]) == {"train"}
    assert set(found["OutputArtifacts"]) == {"log"}
    assert (found["StartTime"], found["EndTime"]) == (STARTED, STARTED)
    assert found["Status"]["PrimaryStatus"] == "Completed"


def test_a_component_does_not_grow_beyond_its_limit(sagemaker):
    many = {f"p{number}": {"NumberValue": number} for number in range(300)}
    sagemaker.create_trial_component(TrialComponentName="train", Parameters=many)
    more = {"TrialComponentName": "train", "Parameters": {"more": {"NumberValue": 1}}}
    assert code_of(sagemaker.update_trial_component, **more) == "ValidationException"
    sagemaker.update_trial_component(**more, ParametersToRemove=["p0"])
    assert len(sagemaker.describe_trial_component(TrialComponentName="train")["Parameters"]) == 300


def test_tags_are_added_listed_and_taken_away(churn):
    for arn in ("experiment/churn", "experiment-trial/first", "experiment-trial-component/prepare"):
        churn.add_tags(ResourceArn=f"{ARN}{arn}", Tags=[{"Key": "k", "Value": "v"}])
        assert {"Key": "k", "Value": "v"} in churn.list_tags(ResourceArn=f"{ARN}{arn}")["Tags"]
        churn.delete_tags(ResourceArn=f"{ARN}{arn}", TagKeys=["k"])
    assert churn.list_tags(ResourceArn=f"{ARN}experiment/churn")["Tags"] == [{"Key": "team", "Value": "a"}]
    churn.update_experiment(ExperimentName="churn", Description="d")
    assert len(churn.list_tags(ResourceArn=f"{ARN}experiment/churn")["Tags"]) == 1


def search(sagemaker, resource, name, value):
    wanted = [{"Name": name, "Operator": "Equals", "Value": value}]
    return sagemaker.search(Resource=resource, SearchExpression={"Filters": wanted})["Results"]


def test_search_finds_them_and_what_they_belong_to(churn, url):
    (experiment,) = search(churn, "Experiment", "Tags.team", "a")
    assert experiment["Experiment"]["ExperimentName"] == "churn"
    (trial,) = search(churn, "ExperimentTrial", "TrialName", "first")
    held = [one["TrialComponentName"] for one in trial["Trial"]["TrialComponentSummaries"]]
    assert held == ["prepare", "train-1"]
    found = search(churn, "ExperimentTrialComponent", "Parents.TrialName", "second")
    assert sorted(one["TrialComponent"]["TrialComponentName"] for one in found) == ["prepare", "train-2"]
    (one,) = search(churn, "ExperimentTrialComponent", "TrialComponentName", "prepare")
    assert one["TrialComponent"]["Parents"] == [
        {"TrialName": "first", "ExperimentName": "churn"},
        {"TrialName": "second", "ExperimentName": "churn"},
    ]
    churn.update_trial_component(TrialComponentName="train-1", Parameters={"lr": {"NumberValue": 0.5}})
    (tuned,) = search(churn, "ExperimentTrialComponent", "Parameters.lr.NumberValue", "0.5")
    assert tuned["TrialComponent"]["TrialComponentName"] == "train-1"
    client("sagemaker-metrics", url).batch_put_metrics(
        TrialComponentName="train-1",
        MetricData=[{"MetricName": "loss", "Timestamp": STARTED, "Value": 0.25}],
    )
    (told,) = search(churn, "ExperimentTrialComponent", "Metrics.MetricName", "loss")
    assert told["TrialComponent"]["Metrics"][0]["Last"] == 0.25


def test_history_tells_what_was_done(doors, churn):
    verbs = [event.verb for event in doors.platform.events.list().items]
    assert (verbs.count("create"), verbs.count("associate")) == (6, 4)


def test_a_found_component_has_its_maps_though_they_are_empty(sagemaker):
    sagemaker.create_trial_component(TrialComponentName="bare")
    (found,) = sagemaker.search(Resource="ExperimentTrialComponent")["Results"]
    component = found["TrialComponent"]
    assert [component[name] for name in ("Parameters", "InputArtifacts", "OutputArtifacts")] == [{}, {}, {}]
