"""Deploy, predict, update, register, approve, delete: the resources of SageMaker Python SDK v3.

Usage: sagemaker_sdk_v3.py MODEL.tar.gz
"""

import sys

import boto3
from sagemaker.core.resources import Endpoint, EndpointConfig, Model, ModelPackage, ModelPackageGroup
from sagemaker.core.shapes import ContainerDefinition, ProductionVariant

ROLE = "arn:aws:iam::123456789012:role/any"
NAME = "resources"
DATA = f"s3://{NAME}/model.tar.gz"


def make_config(name, instances):
    """Make a config of one variant."""
    variant = ProductionVariant(
        variant_name="A", model_name=NAME, initial_instance_count=instances, instance_type="ml.m5.large"
    )
    return EndpointConfig.create(endpoint_config_name=name, production_variants=[variant])


s3 = boto3.client("s3")
s3.create_bucket(Bucket=NAME)
s3.upload_file(sys.argv[1], NAME, "model.tar.gz")
container = ContainerDefinition(image="any", model_data_url=DATA)
model = Model.create(model_name=NAME, primary_container=container, execution_role_arn=ROLE)
configs = [make_config("one", 1), make_config("two", 2)]
endpoint = Endpoint.create(endpoint_name=NAME, endpoint_config_name="one")
endpoint.wait_for_status("InService", poll=1, timeout=60)
reply = endpoint.invoke(body='{"instances": [[1, 2, 3]]}', content_type="application/json")
assert b'"predictions":[1]' in reply.body.read()
endpoint.endpoint_config_name = "two"
endpoint.update()
endpoint.wait_for_status("InService", poll=1, timeout=60)
endpoint.refresh()
assert endpoint.endpoint_config_name == "two"

group = ModelPackageGroup.create(model_package_group_name=NAME)
# ModelPackage.create of 2.27 asks the reply for a member that AWS does not send.
arn = boto3.client("sagemaker").create_model_package(
    ModelPackageGroupName=NAME,
    InferenceSpecification={
        "Containers": [{"Image": "any", "ModelDataUrl": DATA}],
        "SupportedContentTypes": ["application/json"],
        "SupportedResponseMIMETypes": ["application/json"],
    },
)["ModelPackageArn"]
package = ModelPackage.get(model_package_name=arn)
assert package.model_approval_status == "PendingManualApproval"
package.update(model_approval_status="Approved")
package.refresh()
assert package.model_approval_status == "Approved"

assert [each.model_name for each in Model.get_all()] == [NAME]
endpoint.delete()
endpoint.wait_for_delete(poll=1, timeout=60)
for resource in (*configs, model, package, group):
    resource.delete()
print("all of it")
