"""Recipes: what makes the checkpoints of the book, each with one command (`python -m companion train NAME`)."""

from collections.abc import Callable
from typing import Any

from companion.recipes.settings import (
    LanguageModel,
    MachineModel,
    Recipe,
    StackedModel,
    TaggerModel,
    Training,
    change,
)
from companion.validate import require_known


def _letters() -> Any:
    from companion.recipes.letters import TASK

    return TASK


def _language() -> Any:
    from companion.recipes.language import TASK

    return TASK


def _algorithmic(name: str) -> Callable[[], Any]:
    def task() -> Any:
        from companion.recipes import algorithmic

        return algorithmic.TASKS[name]

    return task


WRONG_BITS = "wrong bits a sequence"


def _machine(name: str, title: str, model: MachineModel, training: Training, metric: str = WRONG_BITS) -> Recipe:
    return Recipe(name, f"{title}: neural Turing machine", _algorithmic(name), metric, model, training)


def _lstm(name: str, title: str, training: Training, metric: str = WRONG_BITS) -> Recipe:
    return Recipe(f"{name}-lstm", f"{title}: LSTM", _algorithmic(name), metric, StackedModel(128, 3), training)


RECIPES: dict[str, Recipe] = {
    recipe.name: recipe
    for recipe in (
        Recipe(
            "letters-to-phonemes",
            "how each letter of an English word is spoken: bidirectional LSTM",
            _letters,
            "share of letters right",
            TaggerModel(n_embedding=32, n_hidden=128, n_layers=2, dropout=0.2),
            Training(steps=4000, batch=64, learning_rate=6e-3),
        ),
        Recipe(
            "wikitext-2",
            "the next character of Wikipedia articles: LSTM",
            _language,
            "bits a character",
            LanguageModel(n_embedding=64, n_hidden=256, n_layers=1),
            Training(
                steps=20_400, batch=16, learning_rate=6e-3, evaluate_every=3_400, checkpoint_every=680
            ),  # three passes
        ),
        _machine(
            "copy",
            "the vectors that were shown",
            MachineModel(tight_memory=True),
            Training(2500, 16, 3e-3, warmup=1, hold=0.3, max_norm=0.3, beta_2=0.99, evaluate_every=100),
        ),
        _lstm("copy", "the vectors that were shown", Training(6000, 16, 3e-3)),
    )
}


def find(name: str) -> Recipe:
    """The recipe of this name; raises ValueError, with the names there are, when there is none."""
    return require_known("companion.recipes", "name", name, RECIPES)


__all__ = [
    "RECIPES",
    "LanguageModel",
    "MachineModel",
    "Recipe",
    "StackedModel",
    "TaggerModel",
    "Training",
    "change",
    "find",
]
