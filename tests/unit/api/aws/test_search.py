"""boto3 against Search: what fits is found, sorted and paged; every reply is held against its shape."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.aws import code_of
from modelport.api.aws.sagemaker.search_filters import matches
from modelport.domain.errors import InvalidInput

URL = "s3://bucket/model.tar.gz"


@pytest.fixture
def registry(sagemaker):
    for group, team in (("churn", "a"), ("fraud", "b")):
        sagemaker.create_model_package_group(
            ModelPackageGroupName=group, Tags=[{"Key": "team.name", "Value": team}]
        )
        for number in range(3):
            made = sagemaker.create_model_package(
                ModelPackageGroupName=group,
                ModelPackageDescription=f"number {number}",
                CustomerMetadataProperties={"auc": f"0.{number}"},
            )
            if number == 1:
                sagemaker.update_model_package(
                    ModelPackageArn=made["ModelPackageArn"], ModelApprovalStatus="Approved"
                )
    return sagemaker


def found(sagemaker, resource, *filters, operator="And", **more):
    wanted = [
        {"Name": name, "Operator": kind, **({"Value": value[0]} if value else {})}
        for name, kind, *value in filters
    ]
    expression = {"Filters": wanted, "Operator": operator} if wanted else {}
    asked = {"SearchExpression": expression} if expression else {}
    reply = sagemaker.search(Resource=resource, **asked, **more)
    return [record[resource] for record in reply["Results"]]


def test_packages_are_found_by_what_they_say(registry):
    approved = found(registry, "ModelPackage", ("ModelApprovalStatus", "Equals", "Approved"))
    assert sorted(one["ModelPackageGroupName"] for one in approved) == ["churn", "fraud"]
    of_churn = ("ModelPackageGroupName", "Equals", "churn")
    newer = found(registry, "ModelPackage", of_churn, ("ModelPackageVersion", "GreaterThan", "1"))
    assert sorted(one["ModelPackageVersion"] for one in newer) == [2, 3]
    best = found(registry, "ModelPackage", ("CustomerMetadataProperties.auc", "GreaterThanOrEqualTo", "0.2"))
    assert len(best) == 2
    either = found(
        registry,
        "ModelPackage",
        ("ModelPackageDescription", "Contains", "ber 0"),
        ("ModelApprovalStatus", "In", "Rejected, Approved"),
        operator="Or",
    )
    assert len(either) == 4


def test_tags_are_searched_whatever_is_in_their_key(registry):
    (group,) = found(registry, "ModelPackageGroup", ("Tags.team.name", "Equals", "b"))
    assert group["ModelPackageGroupName"] == "fraud"
    assert len(found(registry, "ModelPackageGroup", ("Tags.team.name", "Exists"))) == 2
    assert found(registry, "ModelPackageGroup", ("Tags.other", "Exists")) == []


def test_results_are_sorted_and_paged(registry):
    pages = registry.get_paginator("search").paginate(
        Resource="ModelPackage",
        SortBy="ModelPackageDescription",
        SortOrder="Ascending",
        PaginationConfig={"PageSize": 4},
    )
    results = [page["Results"] for page in pages]
    assert [len(page) for page in results] == [4, 2]
    told = [record["ModelPackage"]["ModelPackageDescription"] for page in results for record in page]
    assert told == sorted(told)
    newest = found(registry, "ModelPackage", MaxResults=1)[0]
    assert newest["ModelPackageGroupName"] == "fraud"
    assert registry.search(Resource="ModelPackage")["TotalHits"] == {"Value": 6, "Relation": "EqualTo"}


def test_models_and_endpoints_are_found_too(sagemaker):
    sagemaker.create_model(ModelName="m", PrimaryContainer={"ModelDataUrl": URL})
    variant = {"VariantName": "A", "ModelName": "m", "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
    sagemaker.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName="e", EndpointConfigName="c")
    (endpoint,) = found(sagemaker, "Endpoint", ("EndpointStatus", "Equals", "Creating"))
    assert endpoint["EndpointName"] == "e"
    (model,) = found(sagemaker, "Model", ("ModelName", "Equals", "m"))
    assert model["Model"]["PrimaryContainer"]["ModelDataUrl"] == URL
    assert found(sagemaker, "TrainingJob") == []


def test_what_cannot_be_compared_is_told(registry):
    wish = {"Filters": [{"Name": "CreationTime", "Operator": "GreaterThan", "Value": "yesterday"}]}
    assert code_of(registry.search, Resource="ModelPackage", SearchExpression=wish) == "ValidationException"


DOCUMENT = {
    "Name": "a",
    "Number": 3,
    "Flag": True,
    "At": datetime(2026, 1, 2, tzinfo=UTC),
    "Parts": [{"Name": "x", "Size": 1}, {"Name": "y", "Size": 9}],
}


@pytest.mark.parametrize(
    ("expression", "fits"),
    [
        ({}, True),
        ({"Filters": [{"Name": "At", "Operator": "LessThan", "Value": "2026-01-03"}]}, True),
        ({"Filters": [{"Name": "Flag", "Value": "true"}]}, True),
        ({"Filters": [{"Name": "Parts.Name", "Value": "y"}]}, True),
        ({"Filters": [{"Name": "None", "Operator": "NotEquals", "Value": "y"}]}, True),
        ({"Filters": [{"Name": "None", "Operator": "GreaterThan", "Value": "1"}]}, False),
        (
            {
                "NestedFilters": [
                    {
                        "NestedPropertyName": "Parts",
                        "Filters": [
                            {"Name": "Parts.Name", "Value": "x"},
                            {"Name": "Parts.Size", "Operator": "GreaterThan", "Value": "5"},
                        ],
                    }
                ]
            },
            False,
        ),
        (
            {
                "Operator": "Or",
                "SubExpressions": [
                    {"Filters": [{"Name": "Name", "Value": "b"}]},
                    {"Filters": [{"Name": "Number", "Operator": "LessThanOrEqualTo", "Value": "3.0"}]},
                ],
            },
            True,
        ),
    ],
)
def test_expressions_mean_what_they_say(expression, fits):
    assert matches(DOCUMENT, expression) is fits


FILTERS = st.fixed_dictionaries(
    {
        "Name": st.sampled_from([*DOCUMENT, "Parts.Size", "Parts.None.x", "Tags.k", "", "."]),
        "Operator": st.sampled_from(
            ["Equals", "NotEquals", "Contains", "In", "Exists", "NotExists", "GreaterThan", "LessThan"]
        ),
        "Value": st.text(max_size=4) | st.sampled_from(["3", "2026-01-02"]),
    }
)
EXPRESSIONS = st.recursive(
    st.fixed_dictionaries({"Filters": st.lists(FILTERS, max_size=3)}),
    lambda inner: st.fixed_dictionaries(
        {"SubExpressions": st.lists(inner, max_size=2), "Operator": st.sampled_from(["And", "Or"])}
    ),
    max_leaves=12,
)


@given(EXPRESSIONS)
def test_any_expression_is_answered_or_told(expression):
    with suppress(InvalidInput):
        assert matches(DOCUMENT, expression) in (True, False)
