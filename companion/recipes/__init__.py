"""Recipes: what makes the checkpoints of the book, each with one command (`python -m companion train NAME`)."""

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
