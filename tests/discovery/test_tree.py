"""The tree of a function whose structure is known."""

import json

import pytest
import torch

from edgewise.discovery import anatomy, tree
from edgewise.discovery.tree import acting_together

X = torch.rand(80, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 1


def shape(node) -> object:
    """The tree as nested tuples: (kind, parts), a variable by its name."""
    return node.names[0] if node.kind == "variable" else (node.kind, *(shape(child) for child in node.children))


@pytest.mark.parametrize(
    ("f", "expected"),
    [
        (lambda a, b, c, d: a * b + torch.sin(c), ("sum", ("product", "a", "b"), "c")),
        (lambda a, b, c, d: (a + b) * (c + torch.exp(d)), ("product", ("sum", "a", "b"), ("sum", "c", "d"))),
        (lambda a, b, c, d: torch.cos(a - b) + c, ("sum", ("difference", "a", "b"), "c")),
        (
            lambda a, b, c, d: torch.sin(a * b**2 + c * d),
            ("function", ("function", "a", "b"), ("product", "c", "d")),
        ),
        (lambda a, b, c, d: torch.exp(a / b) * c, ("product", ("ratio", "a", "b"), "c")),
        (lambda a, b, c, d: a**2 + 0 * b, "a"),
    ],
)
def test_the_tree_of_known_functions(f, expected):
    def whole(x):
        return f(*x.unbind(-1))

    found = tree(whole, X, names=["a", "b", "c", "d"])
    if expected[0] == "function":  # what is inside a function is known up to a function
        assert found.kind == "function"
        assert {child.names for child in found.children} == {("a", "b"), ("c", "d")}
    else:
        assert shape(found) == expected
    json.dumps(found.to_json())
    assert found.names[0] in str(found)


def test_groups_that_act_through_one_number():
    def f(x):
        a, b, c, d = x.unbind(-1)
        return torch.sqrt(a**2 + b * c) * d

    assert (0, 1, 2) in acting_together(f, X, [0, 1, 2, 3])
    assert (1, 2) in acting_together(f, X, [0, 1, 2, 3])
    assert (0, 3) not in acting_together(f, X, [0, 1, 2, 3])


def test_weights_are_those_of_the_whole():
    def f(x):
        return 3 * x[:, 0] + x[:, 1] * x[:, 2]

    found = tree(f, X, names=list("abcd"))
    influence = dict(zip("abcd", anatomy(f, X, names=list("abcd")).influence, strict=True))
    assert found.children[0].weight == pytest.approx(influence["a"])
    assert found.children[1].children[0].weight == pytest.approx(influence["b"])
