"""Deploy, predict, update, register, approve, a package, scripts, runs, answers into a bucket: SDK v2.

Usage: sagemaker_sdk_v2.py MODEL.tar.gz
"""

import json
import sys
import tarfile
import time
from pathlib import Path

import boto3
import numpy as np
import sagemaker
from sagemaker import ModelPackage
from sagemaker.analytics import ExperimentAnalytics
from sagemaker.async_inference import AsyncInferenceConfig
from sagemaker.compute_resource_requirements.resource_requirements import ResourceRequirements
from sagemaker.deserializers import JSONDeserializer
from sagemaker.enums import EndpointType
from sagemaker.exceptions import ObjectNotExistedError
from sagemaker.experiments.run import Run
from sagemaker.model import Model
from sagemaker.multidatamodel import MultiDataModel
from sagemaker.predictor import Predictor
from sagemaker.serializers import JSONSerializer
from sagemaker.sklearn import SKLearnModel

ROLE = "arn:aws:iam::123456789012:role/any"
JSON = {"serializer": JSONSerializer(), "deserializer": JSONDeserializer()}
ROWS = {"instances": [[1.0, 2.0, 3.0]]}

session = sagemaker.Session()
client = boto3.client("sagemaker")


def settled(name):
    """Wait until an endpoint has come to rest; the SDK itself would look every 30 seconds."""
    for _ in range(100):
        found = client.describe_endpoint(EndpointName=name)
        if found["EndpointStatus"] not in ("Creating", "Updating"):
            return found
        time.sleep(0.1)
    raise SystemExit(f"{name} does not come to rest")


data = session.upload_data(sys.argv[1], key_prefix="models")
model = Model(
    image_uri="123456789012.dkr.ecr.us-east-1.amazonaws.com/any:1",
    model_data=data,
    role=ROLE,
    sagemaker_session=session,
    predictor_cls=Predictor,
)
predictor = model.deploy(1, "ml.m5.large", endpoint_name="sdk", wait=False, **JSON)
assert settled("sdk")["EndpointStatus"] == "InService"
assert predictor.predict(ROWS)["predictions"] == [1]
predictor.update_endpoint(initial_instance_count=2, instance_type="ml.m5.large", wait=False)
assert settled("sdk")["ProductionVariants"][0]["CurrentInstanceCount"] == 2

package = model.register(
    content_types=["application/json"],
    response_types=["application/json"],
    inference_instances=["ml.m5.large"],
    transform_instances=["ml.m5.large"],
    model_package_group_name="group",
    approval_status="PendingManualApproval",
)
arn = package.model_package_arn
client.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")
again = ModelPackage(role=ROLE, model_package_arn=arn, sagemaker_session=session, predictor_cls=Predictor)
other = again.deploy(1, "ml.m5.large", endpoint_name="package", wait=False, **JSON)
assert settled("package")["EndpointStatus"] == "InService"
assert other.predict(ROWS)["predictions"] == [1]

Path("source").mkdir()
Path("source/weighing.py").write_text(
    """
import json, os
from helper import weigh

def model_fn(model_dir):
    return json.load(open(os.path.join(model_dir, "weights.json")))

def predict_fn(data, model):
    return weigh(data, model)
"""
)
Path("source/helper.py").write_text("def weigh(data, weights):\n    return data @ weights\n")
Path("weights.json").write_text(json.dumps([1.0, 10.0, 100.0]))
with tarfile.open("weights.tar.gz", "w:gz") as archive:
    archive.add("weights.json")
script = SKLearnModel(
    model_data=session.upload_data("weights.tar.gz", key_prefix="models"),
    role=ROLE,
    entry_point="weighing.py",
    source_dir="source",
    framework_version="1.2-1",
    sagemaker_session=session,
)
weighing = script.deploy(1, "ml.m5.large", endpoint_name="script", wait=False)
found = settled("script")
assert found["EndpointStatus"] == "InService", found["FailureReason"]
assert weighing.predict(np.array([[1.0, 2.0, 3.0]])).tolist() == [321.0]

many = MultiDataModel(
    name="many",
    model_data_prefix=f"s3://{session.default_bucket()}/many/",
    model=script,
    sagemaker_session=session,
)
many.add_model(session.upload_data("weights.tar.gz", key_prefix="models"), "weights.tar.gz")
Path("weights.json").write_text(json.dumps([0.0, 0.0, 2.0]))
with tarfile.open("last.tar.gz", "w:gz") as archive:
    archive.add("weights.json")
many.add_model("last.tar.gz", "deep/last.tar.gz")
assert sorted(many.list_models()) == ["deep/last.tar.gz", "weights.tar.gz"]
asked = many.deploy(1, "ml.m5.large", endpoint_name="many", wait=False)
assert settled("many")["EndpointStatus"] == "InService"
row = np.array([[1.0, 2.0, 3.0]])
assert asked.predict(row, target_model="weights.tar.gz").tolist() == [321.0]
assert asked.predict(row, target_model="deep/last.tar.gz").tolist() == [6.0]

resources = ResourceRequirements(requests={"num_cpus": 1, "memory": 512, "copies": 1})
sharing = {
    "endpoint_type": EndpointType.INFERENCE_COMPONENT_BASED,
    "endpoint_name": "shared",
    "resources": resources,
}
first = model.deploy(1, "ml.m5.large", inference_component_name="first", wait=False, **sharing, **JSON)
assert settled("shared")["EndpointStatus"] == "InService"
second = script.deploy(1, "ml.m5.large", inference_component_name="second", wait=False, **sharing)
for name in ("first", "second"):
    for _ in range(100):
        found = client.describe_inference_component(InferenceComponentName=name)
        if found["InferenceComponentStatus"] != "Creating":
            break
        time.sleep(0.1)
    assert found["InferenceComponentStatus"] == "InService", found.get("FailureReason")
assert first.predict(ROWS)["predictions"] == [1]
assert second.predict(row).tolist() == [321.0]
first.delete_predictor(wait=False)
second.delete_predictor(wait=False)

predictor.delete_model()
predictor.delete_endpoint(delete_endpoint_config=True)

with Run(experiment_name="sdk", run_name="first", sagemaker_session=session) as run:
    run.log_parameters({"depth": 6, "kind": "tree"})
    for step in range(5):
        run.log_metric("loss", 1 / (step + 1), step=step)
table = ExperimentAnalytics(experiment_name="sdk", sagemaker_session=session).dataframe()
assert table["depth"].tolist() == [6.0]
assert table["loss - Min"].tolist() == [0.2]

slow = model.deploy(
    1, "ml.m5.large", endpoint_name="slow", wait=False, async_inference_config=AsyncInferenceConfig(), **JSON
)
assert settled("slow")["EndpointStatus"] == "InService"
answer = slow.predict_async(ROWS)
for _ in range(100):
    try:
        assert answer.get_result()["predictions"] == [1]
        break
    except ObjectNotExistedError:
        time.sleep(0.1)
else:
    raise SystemExit("no answer came")
slow.delete_endpoint()
print("all of it")
