"""Files of labels: in CSV alone the model's own labels say whether 1 is a number or a word."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelport.cli.files import Content, guess_format, read_content, read_label, read_pairs
from modelport.domain.errors import InvalidInput


def pairs(content, labels=()):
    return read_pairs(Content("labels.csv", content.encode(), "csv"), lambda: labels)


@pytest.mark.parametrize(
    ("labels", "cell", "expected"),
    [
        ((0, 1), "1", 1),
        ((0, 1), "1.0", 1),
        (("0", "1"), "1", "1"),
        (("001", "002"), "001", "001"),
        ((True, False), "true", True),
        ((True, False), "True", True),
        (("late", "on time"), " late ", "late"),
        (("late", "on time"), "early", "early"),
        ((), "1.5", 1.5),
        ((), "007", 7.0),
        ((), "word", "word"),
    ],
)
def test_a_cell_is_the_label_it_means(labels, cell, expected):
    ids, found = pairs(f"id,label\na#0,{cell}\n", labels)
    assert (ids, found) == (["a#0"], [expected])
    assert type(found[0]) is type(expected)


def test_columns_may_stand_in_any_order_among_others():
    assert pairs("when,label,id\nnow,x,a#0\nlater,y,a#1\n") == (["a#0", "a#1"], ["x", "y"])
    assert pairs("\ufeffid,label\na#0,x\n") == (["a#0"], ["x"])


def test_bytes_that_are_no_text_are_said():
    with pytest.raises(InvalidInput, match="not UTF-8"):
        read_pairs(Content("labels.csv", b"id,label\n\xff", "csv"), list)


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"\x93NUMPY\x01\x00", "a NumPy array"), (b"\x1f\x8b\x08", "packed as gzip"), (b" \n", "is empty")],
)
def test_what_is_not_read_here_is_said(tmp_path, content, says):
    place = tmp_path / "rows.bin"
    place.write_bytes(content)
    with pytest.raises(InvalidInput, match=f"rows.bin is .*{says.removeprefix('is ')}"):
        read_content(str(place))


def test_json_that_is_none_is_said():
    with pytest.raises(InvalidInput, match="is not JSONL"):
        read_pairs(Content("labels.jsonl", b"{", "jsonl"), list)


@given(st.binary(min_size=1, max_size=50))
def test_any_content_has_a_format(content):
    assert guess_format(content) in ("json", "jsonl", "csv", "parquet")


@given(st.lists(st.one_of(st.integers(), st.booleans(), st.text(min_size=1, max_size=4)), min_size=1))
def test_every_label_of_a_model_is_read_back(labels):
    known = {str(label): label for label in labels}
    for text, label in known.items():
        assert read_label(text, known) == label
