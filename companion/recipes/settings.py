"""What a recipe is: the settings of a model and of its training, as dataclasses that `--set key=value` changes.

A recipe names a task; the task holds the code. Nothing here needs PyTorch, so that recipes can be listed without it.
"""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, asdict, dataclass, fields, replace
from typing import Any, NamedTuple, get_type_hints

from companion.ntm import GATE_BIAS, HEAD_RANGE
from companion.validate import require_known, require_range, require_whole

# Larger ones are slips of the finger, and PyTorch does not survive them.
MAX_SIZE = 1_000_000_000
MAX_NUMBER = 1e37


@dataclass(frozen=True)
class Training:
    """How a recipe trains: Adam, its gradient clipped, at a rate that rises, holds, and falls in half a cosine to zero."""

    steps: int  # updates
    batch: int  # sequences an update, in all processes together
    learning_rate: float  # the highest
    warmup: int = 100  # first updates, in which the rate rises in a line
    hold: float = 0.0  # share of the updates before it begins to fall
    max_norm: float = 1.0  # of the gradient
    beta_2: float = 0.999  # share that Adam keeps of its mean of squared gradients at each update
    amsgrad: bool = False  # whether it divides by the largest of these means: steps stay small after a fall of the loss
    evaluate_every: int = 500  # updates
    checkpoint_every: int = 250  # updates

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "warmup", "evaluate_every", "checkpoint_every"):
            _require_size(name, getattr(self, name))
        for name in ("learning_rate", "max_norm"):
            require_range("recipe", name, getattr(self, name), 0, MAX_NUMBER, "(]")
        for name in ("hold", "beta_2"):
            require_range("recipe", name, getattr(self, name), 0, 1, "[)")


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
        _require_size("segment", self.segment)


@dataclass(frozen=True)
class MachineModel:
    """A neural Turing machine with a linear layer on top."""

    n_hidden: int = 100  # units of the controller
    controller: str = "lstm"  # or "feedforward"
    rows: int = 128
    tight_memory: bool = False  # whether it trains with only 2 to 9 rows more than answers, whatever `rows` says
    width: int = 20
    read_heads: int = 1
    write_heads: int = 1
    shift_range: int = 1
    gate_bias: float = GATE_BIAS  # of the interpolation gates at first
    strength_bias: float = 0.0  # added to the biases of the keys' strengths at first
    head_range: float = HEAD_RANGE  # of the weights from the controller to the heads at first, times 1 / sqrt(n_hidden)
    output_range: float = 1.0  # of the output's weights at first, times 1 / sqrt(its inputs)
    forget_bias: float = 0.0  # of an LSTM controller at first
    learned_start: bool = False  # whether the heads' first weightings are learned; otherwise all start at row 0

    def __post_init__(self) -> None:
        for name in ("n_hidden", "rows", "width", "read_heads", "write_heads"):
            _require_size(name, getattr(self, name))
        require_whole("recipe", "shift_range", self.shift_range, 0)
        for name in ("head_range", "output_range"):
            require_range("recipe", name, getattr(self, name), 0, MAX_NUMBER, "(]")
        for name in ("gate_bias", "strength_bias", "forget_bias"):
            require_range("recipe", name, getattr(self, name), -MAX_NUMBER, MAX_NUMBER, "[]")
        if self.tight_memory and self.shift_range > 1:
            raise ValueError(
                f"recipe: shift_range is {self.shift_range}, expected at most 1 with tight_memory: of 3 rows"
            )
        if self.learned_start and self.tight_memory:
            raise ValueError(
                "recipe: learned_start is true, expected false with tight_memory: most rows would not learn theirs"
            )
        require_known("recipe", "controller", self.controller, dict.fromkeys(("lstm", "feedforward")))


@dataclass(frozen=True)
class StackedModel:
    """Layers of LSTMs with a linear layer on top."""

    n_hidden: int
    n_layers: int

    def __post_init__(self) -> None:
        for name in ("n_hidden", "n_layers"):
            _require_size(name, getattr(self, name))


def _require_size(name: str, value: int) -> None:
    require_whole("recipe", name, value, 1)
    require_range("recipe", name, value, 1, MAX_SIZE, "[]")


def _require_model(model: Any) -> None:
    for name in ("n_embedding", "n_hidden", "n_layers"):
        _require_size(name, getattr(model, name))
    require_range("recipe", "dropout", model.dropout, 0, 1, "[)")


# What a setting of this type is called in a message.
EXPECTED: dict[Any, str] = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


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
            raise ValueError(f"recipe {recipe.name}: there is no setting {name!r:.60}; the nearest is {near[0]!r}")
    return recipe._replace(model=_changed(recipe.model, changes), training=_changed(recipe.training, changes))


def with_settings(recipe: Recipe, settings: Mapping[str, Any]) -> Recipe:
    """The recipe with all its settings given as values, as a checkpoint has them; one that is missing has its default.

    Raises ValueError for a setting that the recipe does not have, and for one that is missing and has no default.
    """
    if unknown := settings.keys() - recipe.settings().keys():
        raise ValueError(
            f"recipe {recipe.name}: the checkpoint is of another version: it has {sorted(unknown)}, not known here"
        )
    return recipe._replace(
        model=_given(recipe, recipe.model, settings), training=_given(recipe, recipe.training, settings)
    )


def _given(recipe: Recipe, like: Any, settings: Mapping[str, Any]) -> Any:
    values = {}
    for field in fields(like):
        kind = get_type_hints(type(like))[field.name]
        if field.name not in settings and field.default is MISSING:
            raise ValueError(f"recipe {recipe.name}: the checkpoint is of another version: it lacks {field.name}")
        value = settings.get(field.name, field.default)
        if type(value) is not kind:
            raise ValueError(f"recipe: {field.name} is {value!r:.60}, expected {EXPECTED[kind]}")
        values[field.name] = value
    return type(like)(**values)


def _changed(settings: Any, changes: Mapping[str, str]) -> Any:
    types = get_type_hints(type(settings))
    own = {field.name for field in fields(settings)} & set(changes)
    return replace(settings, **{name: _read(name, changes[name], types[name]) for name in own})


def _read(name: str, text: str, kind: Callable[[str], Any]) -> Any:
    read = {"true": True, "false": False}.__getitem__ if kind is bool else kind
    try:
        return read(text)
    except (KeyError, ValueError):
        raise ValueError(f"recipe: {name} is {text!r:.60}, expected {EXPECTED[kind]}") from None
