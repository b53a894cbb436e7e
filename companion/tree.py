"""Trees: tuples, named tuples, lists and dicts nested to any depth, with arrays as leaves.

Parameters, states and gradients are trees of one structure, so that "a gradient has the type of what it is the gradient
of" holds by construction. `None` is an ordinary leaf.
"""

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.floating[Any]]
Indices: TypeAlias = NDArray[np.integer[Any]]
Tree = TypeVar("Tree")


def tree_map(f: Callable[..., Any], tree: Tree, *rest: Any) -> Tree:
    """Apply `f` leaf by leaf to one or more trees of the same structure; the result keeps that structure.

    Raises ValueError when the structures differ.
    """
    return _map(f, (), (tree, *rest))  # type: ignore[no-any-return]


def _map(f: Callable[..., Any], path: tuple[str, ...], trees: tuple[Any, ...]) -> Any:
    first, names = trees[0], _names(trees[0])
    for other in trees[1:]:
        if _names(other) != names or (names is not None and type(other) is not type(first)):
            raise ValueError(
                f"tree_map: at {'.'.join(path) or 'the root'} the trees have different structures: "
                f"{_structure(other)}, expected {_structure(first)}"
            )
    if names is None:
        return f(*trees)
    children = zip(*(_children(tree) for tree in trees), strict=True)
    items = [_map(f, (*path, name), child) for name, child in zip(names, children, strict=True)]
    if isinstance(first, dict):
        return dict(zip(first, items, strict=True))
    return type(first)(*items) if hasattr(first, "_fields") else type(first)(items)


def _names(tree: Any) -> tuple[str, ...] | None:
    """The names of the children in order; None for a leaf."""
    if isinstance(tree, dict):
        return tuple(map(str, tree))
    if isinstance(tree, tuple | list):
        return getattr(tree, "_fields", None) or tuple(map(str, range(len(tree))))
    return None


def _children(tree: Any) -> Any:
    return tree.values() if isinstance(tree, dict) else tree


def _structure(tree: Any) -> str:
    names = _names(tree)
    return "a leaf" if names is None else f"{type(tree).__name__}({', '.join(names)})"


def tree_items(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (path, leaf) in order, the path with dots: `layers.0.W`, as in a PyTorch `state_dict`."""
    names = _names(tree)
    if names is None:
        yield path, tree
        return
    for name, child in zip(names, _children(tree), strict=True):
        yield from tree_items(child, f"{path}.{name}" if path else name)


def tree_leaves(tree: Any) -> list[Any]:
    """The leaves in order."""
    if not isinstance(tree, dict | tuple | list):
        return [tree]
    return [leaf for child in _children(tree) for leaf in tree_leaves(child)]


def tree_dot(a: Any, b: Any) -> float:
    """Inner product of two trees of one structure: the sum over all entries of a times b, added up in float64."""
    return float(sum(tree_leaves(tree_map(lambda x, y: np.vdot(np.float64(x), np.float64(y)), a, b))))


def to_vector(tree: Any) -> Array:
    """All entries of a tree in one vector, leaf after leaf."""
    return np.concatenate([np.ravel(leaf) for leaf in tree_leaves(tree)])


def from_vector(vector: Array, like: Tree) -> Tree:
    """The tree with the structure and shapes of `like` whose entries `to_vector` would put into this vector.

    Raises ValueError when the number of entries differs.
    """
    sizes = [np.size(leaf) for leaf in tree_leaves(like)]
    if np.shape(vector) != (sum(sizes),):
        raise ValueError(f"from_vector: vector has shape {np.shape(vector)}, expected ({sum(sizes)},) from like")
    pieces = iter(np.split(vector, np.cumsum(sizes)[:-1]))
    return tree_map(lambda leaf: next(pieces).reshape(np.shape(leaf)), like)
