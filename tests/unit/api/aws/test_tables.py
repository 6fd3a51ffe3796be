"""The committed tables are what botocore says."""

import sys
from pathlib import Path

import botocore
import pytest

from modelport.api.aws.autoscaling import AUTOSCALING
from modelport.api.aws.cloudwatch import CLOUDWATCH
from modelport.api.aws.logs import LOGS
from modelport.api.aws.sagemaker.metrics import SAGEMAKER_METRICS
from modelport.api.aws.sagemaker.service import SAGEMAKER
from modelport.api.aws.shapes import load_table

ROOT = Path(__file__).parents[4]
sys.path.insert(0, str(ROOT / "tools"))
import aws_tables  # noqa: E402


@pytest.mark.parametrize("service", sorted(aws_tables.OFFERED))
def test_a_table_is_what_the_tool_makes(service):
    committed = (ROOT / "src" / "modelport" / "api" / "aws" / "tables" / f"{service}.json").read_text()
    if load_table(service).botocore != botocore.__version__:
        pytest.skip(f"made from botocore {load_table(service).botocore}, here is {botocore.__version__}")
    assert committed == aws_tables.write_table(aws_tables.make_table(service)), "run tools/aws_tables.py"


@pytest.mark.parametrize("service", sorted(aws_tables.OFFERED))
def test_what_a_table_describes_still_is_in_the_installed_botocore(service):
    made, table = aws_tables.make_table(service), load_table(service)
    assert set(table.operations) <= set(made["operations"])
    assert set(table.shapes) <= set(made["shapes"])


@pytest.mark.parametrize(
    "service",
    [SAGEMAKER, SAGEMAKER_METRICS, CLOUDWATCH, LOGS, AUTOSCALING],
    ids=lambda service: service.name,
)
def test_every_operation_of_a_table_is_offered(service):
    assert set(service.operations) == set(load_table(service.name).operations)


@pytest.mark.parametrize(
    ("java", "good", "bad"),
    [
        (r"([\p{L}\p{Z}\p{N}_.:\/=+\-@]*)${1,256}", "Größe 7: a/b", "a;b"),
        (r"arn:[\p{Alnum}\-]+:lambda", "arn:aws-cn:lambda", "arn:a_b:lambda"),
        (r"[\u0020-\uD7FF\uE000-\uFFFD\uD800\uDC00-\uDBFF\uDFFF\t]*", "a\t\U0001f600", "a\nb"),
        (r"[\p{L}\p{M}\p{Z}\p{S}\p{N}\p{P}]*", "a!b (c) — «d» 5€", "a\nb"),
    ],
)
def test_javas_patterns_are_translated(java, good, bad):
    import re

    pattern = re.compile(aws_tables.translate(java))
    assert pattern.fullmatch(good)
    assert not pattern.fullmatch(bad)
