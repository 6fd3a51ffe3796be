"""boto3 in front of the control port's application."""

import pytest

from fakes import aws
from fakes.doors import Doors


@pytest.fixture
def doors(tmp_path):
    doors = Doors(tmp_path / "home")
    yield doors
    doors.close()


@pytest.fixture
def url(doors):
    return str(doors.client.base_url)


@pytest.fixture
def sagemaker(url):
    return aws.client("sagemaker", url)


@pytest.fixture
def s3(url):
    return aws.client("s3", url)


@pytest.fixture
def bucket(s3):
    s3.create_bucket(Bucket=aws.BUCKET, CreateBucketConfiguration={"LocationConstraint": aws.REGION})
    return s3
