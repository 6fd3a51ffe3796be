"""`mlflow deployments` with the SageMaker target: create, ask, update, list, delete; and by its command line.

Usage: mlflow_story.py FOLDER
"""

import subprocess
import sys
from pathlib import Path

import boto3
import mlflow.sklearn
import pandas as pd
from mlflow.deployments import get_deploy_client
from mlflow.exceptions import MlflowException
from mlflow.models import infer_signature
from sklearn.linear_model import LogisticRegression

IMAGE = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/mlflow-pyfunc:3.1"
ROLE = "arn:aws:iam::123456789012:role/any"

folder, region = Path(sys.argv[1]), boto3.Session().region_name
rows = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0], "b": [1.0, 0.0, 1.0, 0.0]})
for name, labels in (("first", [0, 0, 1, 1]), ("second", [1, 1, 0, 0])):
    model = LogisticRegression().fit(rows, labels)
    signature = infer_signature(rows, model.predict(rows))
    mlflow.sklearn.save_model(
        model, str(folder / name), signature=signature, pip_requirements=["scikit-learn"]
    )

boto3.client("s3").create_bucket(Bucket="mlflow", CreateBucketConfiguration={"LocationConstraint": region})
client = get_deploy_client(f"sagemaker:/{region}")
config = {
    "execution_role_arn": ROLE,
    "bucket": "mlflow",
    "image_url": IMAGE,
    "instance_type": "ml.m5.large",
    "instance_count": 1,
    "timeout_seconds": 120,
}
client.create_deployment("churn", str(folder / "first"), flavor="python_function", config=config)
assert client.get_deployment("churn")["EndpointStatus"] == "InService"
assert list(client.predict("churn", rows)["predictions"]) == [0, 0, 1, 1]

client.update_deployment(
    "churn", str(folder / "second"), flavor="python_function", config={**config, "mode": "replace"}
)
assert list(client.predict("churn", rows)["predictions"]) == [1, 1, 0, 0]
assert [found["EndpointName"] for found in client.list_deployments()] == ["churn"]

try:
    client.predict("churn", rows[["a"]])
    told = ""
except MlflowException as error:
    told = str(error)
assert "status 400" in told, told
client.delete_deployment("churn", config={"archive": False})
assert client.list_deployments() == []

pairs = [f"{name}={value}" for name, value in config.items()]
settings = [word for pair in pairs for word in ("-C", pair)]
command = [str(Path(sys.executable).parent / "mlflow"), "deployments"]
target = ["-t", f"sagemaker:/{region}", "--name", "again"]
given = [*target, "-m", str(folder / "first"), "-f", "python_function", *settings]
subprocess.run([*command, "create", *given], check=True)
subprocess.run([*command, "delete", *target, "-C", "archive=False"], check=True)
print("all of it")
