import numpy as np
import pandas as pd
import pytest

from modelport.domain.errors import InvalidInput, NotFound
from modelport.sdk.example_files import fitting, read_example

FRAME = pd.DataFrame({"code": ["001", "020"], "hour": [5, 6], "temp": [1.5, None]})


def test_codes_with_leading_zeros_stay_text(tmp_path):
    FRAME.to_csv(tmp_path / "rows.csv", index=False)
    found = read_example(tmp_path / "rows.csv")
    assert found["code"].tolist() == ["001", "020"]
    assert found["hour"].dtype == np.int64
    assert found["temp"].isna().tolist() == [False, True]


def test_zero_and_fractions_below_one_are_numbers(tmp_path):
    (tmp_path / "rows.csv").write_text("a,b\n0,0.5\n1,-0.25\n")
    found = read_example(tmp_path / "rows.csv")
    assert found["a"].dtype == np.int64
    assert found["b"].tolist() == [0.5, -0.25]


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
def test_typed_files_keep_their_types(tmp_path, suffix):
    path = tmp_path / f"rows{suffix}"
    if suffix == ".parquet":
        FRAME.to_parquet(path)
    else:
        FRAME.to_json(path, orient="records", lines=True)
    found = read_example(path)
    assert found["code"].tolist() == ["001", "020"]
    assert found["hour"].tolist() == [5, 6]


def test_a_matrix_file_is_an_array(tmp_path):
    np.save(tmp_path / "rows.npy", np.eye(2))
    assert read_example(tmp_path / "rows.npy").tolist() == [[1, 0], [0, 1]]


def test_a_pickled_array_is_not_loaded(tmp_path):
    np.save(tmp_path / "rows.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_example(tmp_path / "rows.npy")


def test_what_cannot_be_read_is_explained(tmp_path):
    with pytest.raises(NotFound, match="no example file"):
        read_example(tmp_path / "absent.csv")
    (tmp_path / "rows.xlsx").write_bytes(b"x")
    with pytest.raises(InvalidInput, match=r"ends in '\.xlsx'"):
        read_example(tmp_path / "rows.xlsx")
    (tmp_path / "rows.parquet").write_bytes(b"x")
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_example(tmp_path / "rows.parquet")


class Named:
    feature_names_in_ = ("a",)


class Nameless:
    pass


class Pipe:
    def __init__(self, *steps):
        self.steps = [(str(place), step) for place, step in enumerate(steps)]


def test_rows_take_the_form_the_model_was_trained_on():
    frame = pd.DataFrame({"a": [1.0]})
    assert fitting(Named(), frame) is frame
    assert fitting(Pipe("passthrough", Named()), frame) is frame
    assert fitting(Nameless(), frame).tolist() == [[1.0]]
    assert fitting(Nameless(), np.eye(2)).tolist() == [[1, 0], [0, 1]]
