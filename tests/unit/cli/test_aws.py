"""The settings that point AWS tools at a platform."""

import json
import os
import shlex


def test_a_shell_takes_what_is_printed(modelport, control, tmp_path, monkeypatch):
    path = tmp_path / "with space" / "sdk.yaml"
    ran = modelport("sdk-config", "--to", path, "--region", "eu-west-1", "--bucket", "mine")
    assert ran.code == 0
    words = [shlex.split(line) for line in ran.out.splitlines()]
    assert {word for word, _ in words} == {"export"}
    variables = dict(pair.split("=", 1) for _, pair in words)
    assert variables["AWS_ENDPOINT_URL"] == os.environ["MODELPORT_URL"]
    assert variables["AWS_DEFAULT_REGION"] == "eu-west-1"
    assert variables["SAGEMAKER_USER_CONFIG_OVERRIDE"] == str(path)
    text = path.read_text()
    assert "DefaultS3Bucket: 'mine'" in text
    assert "TelemetryOptOut: true" in text
    assert str(path) in ran.err
    assert json.loads(modelport("sdk-config", "--to", path, "-o", "json").out).keys() == variables.keys()


def test_a_bucket_that_cannot_be_writes_nothing(modelport, control, tmp_path):
    path = tmp_path / "sdk.yaml"
    ran = modelport("sdk-config", "--to", path, "--bucket", "No_Bucket")
    assert ran.code == 2
    assert "No_Bucket" in ran.err
    assert not path.exists()
