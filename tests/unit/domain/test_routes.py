"""A variant is a model to load or code in replicas, never both."""

import pytest

from modelport.domain.errors import InvalidInput
from modelport.domain.planning.routes import digests_of
from modelport.domain.routes import EndpointRoute, RouteTable, VariantRoute


def test_code_in_replicas_has_nothing_to_load():
    route = EndpointRoute("e", (VariantRoute("a", "m:1", "d"), VariantRoute("b", "c:1", "", replicas=("r",))))
    assert RouteTable(1, (route,)).digests() == digests_of([route, None]) == {"d"}
    assert RouteTable(1, (route,)).replicas() == {("r",)}


def test_a_variant_with_both_is_refused():
    with pytest.raises(InvalidInput, match="both a model to load and replicas"):
        VariantRoute("a", "m:1", "d", replicas=("r",))


@pytest.mark.parametrize("name", ["", "..", ".hidden", "a/b", "a b", "a\n", "x" * 101])
def test_a_replica_is_one_component_of_a_path(name):
    with pytest.raises(InvalidInput, match="found replica"):
        VariantRoute("a", "m:1", "", replicas=(name,))
