"""boto3 against model cards; every reply is held against its shape."""

from __future__ import annotations

import json

import pytest
from botocore.exceptions import ClientError

from fakes.aws import REGION, code_of

ARN = f"arn:aws:sagemaker:{REGION}:123456789012:model-card/churn"
CONTENT = json.dumps(
    {
        "model_overview": {"model_id": "m-1", "model_description": "who leaves"},
        "intended_uses": {"risk_rating": "Low"},
        "training_details": {"objective_function": "auc"},
    }
)


@pytest.fixture
def card(sagemaker):
    made = sagemaker.create_model_card(
        ModelCardName="churn",
        Content=CONTENT,
        ModelCardStatus="Draft",
        SecurityConfig={"KmsKeyId": "key"},
        Tags=[{"Key": "team", "Value": "a"}],
    )
    assert made["ModelCardArn"] == ARN
    return sagemaker


def versions(sagemaker, **asked):
    found = sagemaker.list_model_card_versions(ModelCardName="churn", **asked)
    return [(one["ModelCardVersion"], one["ModelCardStatus"]) for one in found["ModelCardVersionSummaryList"]]


def test_a_card_is_described_as_it_was_made(card):
    found = card.describe_model_card(ModelCardName="churn")
    assert (found["ModelCardVersion"], found["ModelCardStatus"]) == (1, "Draft")
    assert found["Content"] == CONTENT
    assert found["SecurityConfig"] == {"KmsKeyId": "key"}
    assert card.describe_model_card(ModelCardName=ARN)["ModelCardArn"] == ARN
    assert card.list_tags(ResourceArn=ARN)["Tags"] == [{"Key": "team", "Value": "a"}]


def test_each_update_is_a_version_and_all_are_kept(card):
    assert card.update_model_card(ModelCardName="churn", Content="{}")["ModelCardArn"] == ARN
    card.update_model_card(ModelCardName=ARN, ModelCardStatus="Approved")
    newest = card.describe_model_card(ModelCardName="churn")
    assert (newest["ModelCardVersion"], newest["ModelCardStatus"], newest["Content"]) == (3, "Approved", "{}")
    first = card.describe_model_card(ModelCardName="churn", ModelCardVersion=1)
    assert (first["ModelCardVersion"], first["ModelCardStatus"], first["Content"]) == (1, "Draft", CONTENT)
    assert versions(card) == [(3, "Approved"), (2, "Draft"), (1, "Draft")]
    assert versions(card, SortOrder="Ascending", ModelCardStatus="Draft") == [(1, "Draft"), (2, "Draft")]
    pages = card.get_paginator("list_model_card_versions").paginate(
        ModelCardName="churn", PaginationConfig={"PageSize": 2}
    )
    assert [len(page["ModelCardVersionSummaryList"]) for page in pages] == [2, 1]


def test_versions_beyond_nine_are_sorted_as_numbers(card):
    for _ in range(10):
        card.update_model_card(ModelCardName="churn", Content="{}")
    assert [number for number, _ in versions(card, MaxResults=3)] == [11, 10, 9]


def test_cards_are_listed_by_status_and_name(card):
    card.create_model_card(ModelCardName="fraud", Content="{}", ModelCardStatus="PendingReview")
    card.update_model_card(ModelCardName="churn", ModelCardStatus="Approved")

    def names(**asked):
        return [one["ModelCardName"] for one in card.list_model_cards(**asked)["ModelCardSummaries"]]

    assert names(SortBy="Name", SortOrder="Ascending") == ["churn", "fraud"]
    assert names(ModelCardStatus="Approved") == ["churn"]
    assert names(ModelCardStatus="Draft") == []
    assert names(NameContains="rau") == ["fraud"]


def test_metadata_only_leaves_out_what_people_wrote(card):
    found = card.describe_model_card(ModelCardName="churn", IncludedData="MetadataOnly")
    assert json.loads(found["Content"]) == {
        "model_overview": {"model_id": "m-1"},
        "intended_uses": {"risk_rating": "Low"},
    }


@pytest.mark.parametrize("content", ["", "words", "[]", "{", '{"a": NaN}', "[" * 50_000])
def test_content_that_is_no_json_object_makes_nothing(card, content):
    wish = {"ModelCardName": "other", "Content": content, "ModelCardStatus": "Draft"}
    assert code_of(card.create_model_card, **wish) == "ValidationException"
    assert code_of(card.update_model_card, ModelCardName="churn", Content=content) == "ValidationException"
    assert len(card.list_model_cards()["ModelCardSummaries"]) == len(versions(card)) == 1


def test_content_and_status_are_not_updated_at_once(card):
    both = {"ModelCardName": "churn", "Content": "{}", "ModelCardStatus": "Approved"}
    assert code_of(card.update_model_card, **both) == "ValidationException"
    assert versions(card) == [(1, "Draft")]


def test_what_is_taken_or_not_there_is_told_as_modelled(card):
    again = {"ModelCardName": "churn", "Content": "{}", "ModelCardStatus": "Draft"}
    assert code_of(card.create_model_card, **again) == "ConflictException"
    for call in (card.describe_model_card, card.update_model_card, card.delete_model_card):
        assert code_of(call, ModelCardName="none") == "ResourceNotFound"
    assert code_of(card.list_model_card_versions, ModelCardName="none") == "ResourceNotFound"
    for number in (0, 2, -1):
        wish = {"ModelCardName": "churn", "ModelCardVersion": number}
        assert code_of(card.describe_model_card, **wish) == "ResourceNotFound"


def test_a_deleted_card_takes_its_versions_along(card):
    card.update_model_card(ModelCardName="churn", Content="{}")
    card.delete_model_card(ModelCardName="churn")
    assert card.list_model_cards()["ModelCardSummaries"] == []
    card.create_model_card(ModelCardName="churn", Content="{}", ModelCardStatus="Draft")
    assert versions(card) == [(1, "Draft")]


def test_export_jobs_are_not_offered(card):
    with pytest.raises(ClientError) as caught:
        card.list_model_card_export_jobs(ModelCardName="churn")
    assert caught.value.response["Error"]["Code"] == "UnknownOperationException"
