"""The page of converted models: it lists the catalogue, and a part of the catalogue is proven here."""

import re
from pathlib import Path

import pytest

from catalogue.models import CATALOGUE
from modelport.evaluation.parity import BARS
from modelport.sdk.registering import build_bundle
from modelport.sdk.verifying import verify_bundle

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "converted-models.md"


def test_the_page_lists_the_catalogue():
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \| [a-z]", PAGE.read_text(), re.MULTILINE)
    listed = [(title, data) for title, data in rows if title != "model"]
    assert listed == [(entry.title, entry.data) for entry in CATALOGUE]


def test_the_catalogue_is_as_broad_as_promised():
    assert len(CATALOGUE) >= 25
    assert len({entry.title for entry in CATALOGUE}) == len(CATALOGUE)
    families = {entry.data.split(" (")[0].split(",")[0] for entry in CATALOGUE}
    assert len(families - {"flights"}) >= 5
    assert "flights" in families


@pytest.mark.parametrize("entry", [pytest.param(entry, id=entry.title) for entry in CATALOGUE if entry.quick])
def test_a_model_of_the_catalogue_is_proven(entry):
    model, example = entry.fit()
    bundle = build_bundle(model, example)
    assert bundle.proof.max_scaled <= BARS[bundle.proof.family].absolute
    assert bundle.proof.flips == 0
    assert bundle.proof.batch_difference == 0.0
    assert verify_bundle(bundle).flips == 0
