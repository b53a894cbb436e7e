"""What a recipe is: the settings of a model and of its training, as dataclasses that `--set key=value` changes.

A recipe names a task; the task holds the code. Nothing here needs PyTorch, so that recipes can be listed without it.
"""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, NamedTuple, get_type_hints

from companion.validate import require_range, require_whole


@dataclass(frozen=True)
class Training:
    """How a recipe trains: Adam, its gradient clipped, at a rate that falls in half a cosine to zero, once it has risen."""

    steps: int  # updates
    batch: int  # sequences an update, in all processes together
    learning_rate: float  # the highest
    warmup: int = 100  # first updates, in which the rate rises in a line
    max_norm: float = 1.0  # of the gradient
    evaluate_every: int = 500  # updates
    checkpoint_every: int = 250  # updates

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "warmup", "evaluate_every", "checkpoint_every"):
            require_whole("recipe", name, getattr(self, name), 1)
        for name in ("learning_rate", "max_norm"):
            require_range("recipe", name, getattr(self, name), 0, float("inf"), "()")


@dataclass(frozen=True)
class TaggerModel:
    """Layers of bidirectional LSTMs between an embedding and a softmax: one label for every step."""

    n_embedding: int
    n_hidden: int  # units of each direction
    n_layers: int
    dropout: float = 0.0  # of what the embedding and each layer give

    def __post_init__(self) -> None:
        _require_model(self)


@dataclass(frozen=True)
class LanguageModel:
    """Layers of LSTMs between an embedding and a softmax that predicts the next symbol of a text."""

    n_embedding: int
    n_hidden: int
    n_layers: int
    dropout: float = 0.0  # of what the embedding and each layer give
    segment: int = 100  # steps that truncated backpropagation goes back

    def __post_init__(self) -> None:
        _require_model(self)
        require_whole("recipe", "segment", self.segment, 1)


def _require_model(model: Any) -> None:
    for name in ("n_embedding", "n_hidden", "n_layers"):
        require_whole("recipe", name, getattr(model, name), 1)
    require_range("recipe", "dropout", model.dropout, 0, 1, "[)")


class Recipe(NamedTuple):
    """Everything that makes a checkpoint, but for the seed."""

    name: str
    title: str
    task: Callable[[], Any]  # gives the Task; a function, because the task needs PyTorch and takes seconds to import
    metric: str  # in words, with its unit
    model: Any  # a dataclass, such as TaggerModel
    training: Training

    def settings(self) -> dict[str, Any]:
        """All settings by name."""
        return asdict(self.model) | asdict(self.training)


def change(recipe: Recipe, changes: Mapping[str, str]) -> Recipe:
    """The recipe with other settings, given as text: `change(recipe, {"n_hidden": "64"})`.

    Raises ValueError for a name that is not a setting, with the nearest that is, and for a value that does not fit.
    """
    for name in changes:
        if name not in recipe.settings():
            near = difflib.get_close_matches(name, recipe.settings(), n=1, cutoff=0)
            raise ValueError(f"recipe {recipe.name}: there is no setting {name!r}; the nearest is {near[0]!r}")
    return recipe._replace(model=_changed(recipe.model, changes), training=_changed(recipe.training, changes))


def with_settings(recipe: Recipe, settings: Mapping[str, Any]) -> Recipe:
    """The recipe with all its settings given as values, as a checkpoint has them; raises ValueError when they are not these."""
    if settings.keys() != recipe.settings().keys():
        raise ValueError(
            f"recipe {recipe.name}: the settings are {sorted(settings)}, expected {sorted(recipe.settings())}: "
            "the checkpoint is of another version"
        )
    return change(recipe, {name: str(value) for name, value in settings.items()})


def _changed(settings: Any, changes: Mapping[str, str]) -> Any:
    types = get_type_hints(type(settings))
    own = {field.name for field in fields(settings)} & set(changes)
    return replace(settings, **{name: _read(name, changes[name], types[name]) for name in own})


def _read(name: str, text: str, kind: type) -> Any:
    try:
        return kind(text)
    except ValueError:
        expected = {"int": "a whole number", "float": "a number"}[kind.__name__]
        raise ValueError(f"recipe: {name} is {text!r}, expected {expected}") from None
