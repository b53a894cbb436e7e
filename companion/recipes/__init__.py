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
OVER_OPTIMUM = "cross-entropy, as a multiple of the least there is"


def _pair(
    name: str, title: str, model: MachineModel, training: Training, batch: int = 32, metric: str = WRONG_BITS
) -> tuple[Recipe, Recipe]:
    """A neural Turing machine, and an LSTM that sees as many sequences, `batch` of them an update."""
    of_lstm = Training(training.steps * training.batch // batch, batch, learning_rate=3e-3)
    return (
        Recipe(name, f"{title}: neural Turing machine", _algorithmic(name), metric, model, training),
        Recipe(f"{name}-lstm", f"{title}: LSTM", _algorithmic(name), metric, StackedModel(128, 3), of_lstm),
    )


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
        *_pair(
            "copy",
            "the vectors that were shown",
            MachineModel(tight_memory=True),
            Training(4000, 16, 3e-3, warmup=1, hold=0.3, max_norm=0.3, beta_2=0.99, amsgrad=True, evaluate_every=100),
            batch=16,
        ),
        Recipe(
            "copy-adrift",
            "a machine that copies 20 vectors and fails at 120: forget bias 1, and memory to spare",
            _algorithmic("copy"),
            WRONG_BITS,
            MachineModel(forget_bias=1.0),
            Training(4000, 16, 3e-3, warmup=1, hold=0.3, max_norm=0.3, beta_2=0.99, amsgrad=True, evaluate_every=100),
        ),
        *_pair(
            "repeat-copy",
            "the vectors that were shown, as often as asked for",
            MachineModel(head_range=3.0, output_range=2.4),
            Training(6000, 8, 3e-3, warmup=1, hold=0.6, max_norm=0.3),
        ),
        *_pair(
            "associative-recall",
            "what followed an item when it was shown",
            MachineModel(),
            Training(4000, 8, 3e-3, warmup=1, hold=0.6, max_norm=0.3, beta_2=0.99, amsgrad=True),
        ),
        *_pair(
            "n-grams",
            "the next bit of a random source",
            MachineModel(rows=64, gate_bias=0.0, strength_bias=2.0, head_range=3.0, output_range=2.4),
            Training(10_000, 8, 5e-3, warmup=1, hold=0.3, max_norm=0.3, beta_2=0.99, amsgrad=True),
            metric=OVER_OPTIMUM,
        ),
        *_pair(
            "priority-sort",
            "vectors by their priority",
            MachineModel(rows=64, read_heads=4, write_heads=4, head_range=3.0, output_range=2.4),
            Training(8000, 8, 3e-3, warmup=1, hold=0.6, max_norm=0.3),
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
