"""How one value becomes one number of the matrix, feature by feature: the rules, said once.

Every codec and the column encoder go back to these rules; generated fast paths are proven equal to them.
"""

from __future__ import annotations

from modelport.domain.signature import Feature, Signature


class Cell:
    """The rules of one feature.

    Args:
        feature: The signature's column.
    """

    def __init__(self, feature: Feature) -> None:
        self.feature = feature

    def plain(self) -> float:
        """Return an ordinary number of this column, for warm-up rows."""
        raise NotImplementedError


def cells_of(signature: Signature) -> tuple[Cell, ...]:
    """Return the rules of every feature, in the order of the matrix.

    Raises:
        InvalidInput: The signature has a used feature that no number stands for.
    """
    return tuple(Cell(feature) for feature in signature.features)
