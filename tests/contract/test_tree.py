"""Trees: structure kept, leaves in order, different structures refused."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import numpy as np
import pytest

from companion.ops import LinearParams
from companion.tree import from_vector, to_vector, tree_dot, tree_items, tree_leaves, tree_map

D, H, K = 4, 5, 6


class State(NamedTuple):
    """Same names as LinearParams, another type."""

    W: Any
    b: Any


def some_tree(rng: np.random.Generator) -> Any:
    return {
        "layers": (LinearParams(rng.normal(size=(H, D)), rng.normal(size=H)),),
        "list": [rng.normal(size=K), (rng.normal(size=(2, 3)), 7)],
        "empty": (),
        "nothing": None,
    }


def test_mapping_keeps_every_type_and_visits_every_leaf_once(rng: np.random.Generator) -> None:
    tree, visited = some_tree(rng), []
    result = tree_map(lambda leaf: visited.append(leaf) or len(visited), tree)
    assert result == {"layers": (LinearParams(1, 2),), "list": [3, (4, 5)], "empty": (), "nothing": 6}
    assert type(result["layers"][0]) is LinearParams
    assert [id(leaf) for leaf in visited] == [id(leaf) for leaf in tree_leaves(tree)]


def test_mapping_several_trees_pairs_leaves_by_place(rng: np.random.Generator) -> None:
    a = LinearParams(rng.normal(size=(H, D)), [rng.normal(size=H), rng.normal(size=K)])
    b = LinearParams(rng.normal(size=(H, D)), [rng.normal(size=H), rng.normal(size=K)])
    result = tree_map(lambda x, y, z: x - 2 * y + z, a, b, a)
    np.testing.assert_array_equal(result.W, a.W - 2 * b.W + a.W)
    np.testing.assert_array_equal(result.b[1], a.b[1] - 2 * b.b[1] + a.b[1])


def test_mapping_modifies_no_tree(rng: np.random.Generator) -> None:
    tree = {"a": [rng.normal(size=H)], "b": rng.normal(size=K)}
    inner, before = tree["a"], [leaf.copy() for leaf in tree_leaves(tree)]
    tree_map(lambda leaf: leaf * 2, tree)
    assert tree["a"] is inner
    for now, then in zip(tree_leaves(tree), before, strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.parametrize(
    ("tree", "other", "where", "received", "expected"),
    [
        ((1, 2), (1, 2, 3), "the root", "tuple(0, 1, 2)", "tuple(0, 1)"),
        ({"a": 1}, {"b": 1}, "the root", "dict(b)", "dict(a)"),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, "the root", "dict(b, a)", "dict(a, b)"),
        ({"x": [1, (2, 3)]}, {"x": [1, [2, 3]]}, "x.1", "list(0, 1)", "tuple(0, 1)"),
        (LinearParams(1, 2), State(1, 2), "the root", "State(W, b)", "LinearParams(W, b)"),
        ({"p": LinearParams(1, 2)}, {"p": (1, 2)}, "p", "tuple(0, 1)", "LinearParams(W, b)"),
        ({"p": (1, 2)}, {"p": np.ones(2)}, "p", "a leaf", "tuple(0, 1)"),
        ({"p": np.ones(2)}, {"p": (1.0, 2.0)}, "p", "tuple(0, 1)", "a leaf"),
        ((1, None), (1, ()), "1", "tuple()", "a leaf"),
    ],
)
def test_different_structures_are_an_error_that_says_where(
    tree: Any, other: Any, where: str, received: str, expected: str
) -> None:
    message = f"tree_map: at {where} the trees have different structures: {received}, expected {expected}"
    for trees in ((tree, other), (tree, tree, other)):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            tree_map(lambda *leaves: leaves[0], *trees)


def test_items_are_named_by_path_as_in_a_state_dict(rng: np.random.Generator) -> None:
    tree = some_tree(rng)
    items = list(tree_items(tree))
    assert [name for name, _ in items] == ["layers.0.W", "layers.0.b", "list.0", "list.1.0", "list.1.1", "nothing"]
    assert items[0][1] is tree["layers"][0].W
    assert items[3][1] is tree["list"][1][0]
    assert items[5][1] is None


def test_a_single_array_is_a_tree_with_an_empty_path(rng: np.random.Generator) -> None:
    array = rng.normal(size=(H, D))
    [(path, leaf)] = tree_items(array)
    assert path == ""
    assert leaf is array
    np.testing.assert_array_equal(tree_map(lambda a, b: a * b, array, array), array**2)


def test_the_inner_product_is_that_of_all_entries_in_one_vector(rng: np.random.Generator) -> None:
    a, b = ({"W": rng.normal(size=(H, D)), "rest": [rng.normal(size=K), rng.normal(size=(2, 3))]} for _ in range(2))
    flat_a, flat_b = (np.concatenate([leaf.ravel() for leaf in tree_leaves(tree)]) for tree in (a, b))
    assert tree_dot(a, b) == pytest.approx(float(flat_a @ flat_b), rel=1e-12)
    assert tree_dot(a, b) != pytest.approx(tree_dot(a, a), rel=1e-3)
    assert isinstance(tree_dot(a, b), float)


def test_the_inner_product_of_trees_with_different_numbers_of_leaves_is_an_error() -> None:
    with pytest.raises(ValueError, match="different structures"):
        tree_dot([np.ones(H), np.ones(K)], [np.ones(H)])


def test_vector_holds_the_leaves_in_order_and_goes_back_to_the_same_tree(rng: np.random.Generator) -> None:
    tree = {"layers": (LinearParams(rng.normal(size=(H, D)), rng.normal(size=H)),), "scalar": np.array(3.0)}
    vector = to_vector(tree)
    layer = tree["layers"][0]
    assert np.array_equal(vector, [*layer.W.ravel(), *layer.b, 3.0])
    back = from_vector(vector, tree)
    assert isinstance(back["layers"][0], LinearParams)
    assert all(np.array_equal(a, b) for a, b in zip(tree_leaves(back), tree_leaves(tree), strict=True))


def test_vector_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match=r"from_vector: vector has shape \(7,\), expected \(6,\) from like"):
        from_vector(np.ones(7), LinearParams(np.ones((2, 2)), np.ones(2)))
