"""Which environment of this machine stands for an image: of the table, of AWS's frameworks, or none."""

from __future__ import annotations

import sys

import pytest

from modelport.domain.errors import InvalidInput, NotFound
from modelport.engines.images import Environment, find_environment

SKLEARN = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"


def test_frameworks_that_are_installed_stand_for_awss_images(tmp_path):
    assert find_environment(SKLEARN, tmp_path / "none") == Environment(sys.executable, "sklearn")


@pytest.mark.parametrize(
    "image", ["", "busybox", "x/sagemaker-scikit-learn-own:1", "sagemaker-scikit-learn/x:1"]
)
def test_any_other_image_is_told_how_to_be_named(tmp_path, image):
    with pytest.raises(NotFound) as caught:
        find_environment(image, tmp_path / "images.toml")
    assert str(tmp_path / "images.toml") in caught.value.hint


def test_a_framework_that_is_not_installed_is_told_how_to_be(tmp_path):
    with pytest.raises(NotFound, match="needs torch") as caught:
        find_environment("x/pytorch-inference:2.3-cpu-py311", tmp_path / "none")
    assert "pip install torch" in caught.value.hint


def test_the_first_entry_that_fits_counts(tmp_path):
    table = tmp_path / "images.toml"
    table.write_text(
        '[[image]]\npattern = "*/sagemaker-scikit-learn:1.2-*"\npython = "/envs/old/bin/python"\n'
        '[[image]]\npattern = "own:*"\nserve = ["/own/serve", "serve"]\nnetwork = true\n'
        '[[image]]\npattern = "*"\nfamily = "xgboost"\n'
    )
    assert find_environment(SKLEARN, table) == Environment("/envs/old/bin/python", "sklearn")
    assert find_environment("own:3", table) == Environment(sys.executable, "", ("/own/serve", "serve"), True)
    assert find_environment("any", table) == Environment(sys.executable, "xgboost")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("[[image", "cannot be read"),
        ("image = 3", r"expected \[\[image\]\] entries only"),
        ('images = "x"', r"expected \[\[image\]\] entries only"),
        ("[[image]]\npython = 'x'", "entry 1 .* has no pattern"),
        ("[[image]]\npattern = 'x'\npyhton = 'x'", "'pyhton', expected pattern"),
        ("[[image]]\npattern = 'x'\nserve = 'x'", "expected a list"),
        ("[[image]]\npattern = 'x'\nserve = []", "expected program and arguments"),
        ("[[image]]\npattern = 'x'\nserve = [1]", "expected program and arguments"),
        ("[[image]]\npattern = 'x'\nnetwork = 'no'", "expected a bool"),
        (b"\xff", "cannot be read"),
    ],
)
def test_a_table_that_cannot_be_understood_says_where(tmp_path, content, told):
    table = tmp_path / "images.toml"
    table.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InvalidInput, match=told):
        find_environment(SKLEARN, table)
