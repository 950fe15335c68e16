"""Laws of addresses: a layer and an edge are found by name and by index, and a key survives its text."""

import pytest
from hypothesis import given, strategies as st
from zoo import network

import edgewise as ew
from edgewise.nn.layers import EdgeKey, find_edge

indices = st.integers(0, 10**6)
names = st.from_regex(r"[a-z0-9_.]*", fullmatch=True)


@given(names | st.integers(-9, 9), indices, indices)
def test_a_key_survives_its_text(layer, source, target):
    key = EdgeKey(layer, source, target)
    again = EdgeKey.parse(str(key))
    assert again == key
    assert type(again.layer) is type(layer)


@pytest.mark.parametrize("text", ["", "layers.0", "layers.0:1", "layers.0:1->", "1->2", "a:-1->2", "a:1->2 "])
def test_other_texts_are_no_keys(text):
    with pytest.raises(ValueError, match="is not an edge"):
        EdgeKey.parse(text)


def test_a_tuple_is_an_address_too():
    model = network([2, 3, 1])
    for edge in ((1, 2, 0), (-1, 2, 0), ("layers.1", 2, 0), EdgeKey(1, 2, 0)):
        name, layer = find_edge(model, edge)
        assert name == "layers.1"
        assert layer is model.layers[1]
        assert not ew.remove_edge(model, edge).layers[1].mask[2, 0]


def test_a_wrong_address_says_so(as_a_user):
    model = network([2, 3, 1])
    with pytest.raises(TypeError, match=r"an edge is \(layer, source, target\)"):
        ew.remove_edge(model, (0, 1))
    with pytest.raises(TypeError, match=r"an edge is \(layer, source, target\)"):
        ew.remove_edge(model, 0)
    with pytest.raises(ValueError, match="no edge"):
        ew.remove_edge(model, EdgeKey(0, 2, 0))
