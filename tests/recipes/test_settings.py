"""Settings of a recipe: changed as text, refused when they do not fit, and back from a checkpoint as they were."""

from __future__ import annotations

import json
from dataclasses import MISSING, FrozenInstanceError, dataclass, fields, replace

import pytest

from companion.recipes import RECIPES, LanguageModel, Recipe, Training, change, find
from companion.recipes.settings import with_settings

WHOLE = ("steps", "batch", "warmup", "evaluate_every", "checkpoint_every", "n_embedding", "n_hidden", "n_layers")
WHOLE += ("segment", "rows", "width", "read_heads", "write_heads", "shift_range")
TRUE_OR_FALSE = ("amsgrad", "tight_memory", "learned_start")
REAL = {
    "learning_rate": "(0, 1e+37]",
    "max_norm": "(0, 1e+37]",
    "dropout": "[0, 1)",
    "hold": "[0, 1)",
    "beta_2": "[0, 1)",
    "head_range": "(0, 1e+37]",
    "output_range": "(0, 1e+37]",
    "gate_bias": "[-1e+37, 1e+37]",
    "strength_bias": "[-1e+37, 1e+37]",
    "forget_bias": "[-1e+37, 1e+37]",
}
ONE_OF_EACH = {type(recipe.model): name for name, recipe in RECIPES.items()}.values()  # others have the same settings
PAIRS = [(recipe, name) for recipe in ONE_OF_EACH for name in find(recipe).settings()]
TAGGER = find("letters-to-phonemes")


def refusal(recipe: Recipe, **changes: str) -> str:
    """What `change` says, which must be one line."""
    with pytest.raises(ValueError, match=r"expected|nearest") as caught:
        change(recipe, changes)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_settings_are_those_that_the_tests_know() -> None:
    assert {name for _, name in PAIRS} == {*WHOLE, *REAL, *TRUE_OR_FALSE, "controller"}


def another(name: str, value: object) -> tuple[str, object]:
    """A value that a setting does not have yet, as text and as it is read."""
    if name in TRUE_OR_FALSE:
        return str(not value).lower(), not value
    if name == "controller":
        return "feedforward", "feedforward"
    return ("0.375", 0.375) if name in REAL else ("97", 97)


@pytest.mark.parametrize(("recipe", "name"), PAIRS)
def test_every_setting_is_changed_by_text_and_no_other_with_it(recipe: str, name: str) -> None:
    before = find(recipe)
    settings = before.settings()
    text, value = another(name, settings[name])
    assert settings[name] != value
    after = change(before, {name: text})
    assert after.settings() == settings | {name: value}
    assert type(after.settings()[name]) is type(settings[name])
    assert before.settings() == settings
    assert after[:4] == before[:4]
    assert (type(after.model), type(after.training)) == (type(before.model), Training)


def test_several_settings_are_changed_together() -> None:
    after = change(TAGGER, {"n_hidden": "3", "learning_rate": "1", "steps": "7"})
    changed = {name: value for name, value in after.settings().items() if value != TAGGER.settings()[name]}
    assert changed == {"n_hidden": 3, "learning_rate": 1.0, "steps": 7}
    assert type(changed["learning_rate"]) is float
    assert change(TAGGER, {}) == TAGGER


SLIPS = {
    "n_hiden": "n_hidden",
    "Steps": "steps",
    "batch_size": "batch",
    "drop-out": "dropout",
    "learning-rate": "learning_rate",
    "layers": "n_layers",
    "read_head": "read_heads",
    "ams-grad": "amsgrad",
}


@pytest.mark.parametrize(
    ("recipe", "name", "nearest"),
    [(recipe, name, nearest) for name, nearest in SLIPS.items() for recipe, own in PAIRS if own == nearest],
)
def test_unknown_setting_is_refused_with_the_nearest_name(recipe: str, name: str, nearest: str) -> None:
    assert refusal(find(recipe), **{name: "1"}) == (
        f"recipe {recipe}: there is no setting {name!r}; the nearest is {nearest!r}"
    )


def test_setting_of_another_recipe_or_without_a_name_is_refused() -> None:
    assert "no setting 'segment'" in refusal(TAGGER, segment="10")
    assert "no setting ''" in refusal(TAGGER, **{"": "10"})
    assert "no setting 'name'" in refusal(TAGGER, name="other")
    assert "no setting 'n_hiden'" in refusal(TAGGER, n_hidden="3", n_hiden="3")


@pytest.mark.parametrize(("recipe", "name"), [(recipe, name) for recipe, name in PAIRS if name in WHOLE])
@pytest.mark.parametrize("text", ["least - 1", "-1", "1.5", "", "ten", "nan", "inf", "1e3", "0x10"])
def test_what_is_no_whole_number_of_at_least_one_is_refused(recipe: str, name: str, text: str) -> None:
    least = 0 if name == "shift_range" else 1
    text = str(least - 1) if text == "least - 1" else text
    value = text if text in ("0", "-1") else repr(text)
    told = refusal(find(recipe), **{name: text})
    assert told.startswith(f"recipe: {name} is {value}, expected a whole number")
    assert text not in ("0", "-1") or told.endswith(f"of at least {least}")


@pytest.mark.parametrize(("recipe", "name"), [(recipe, name) for recipe, name in PAIRS if name in TRUE_OR_FALSE])
@pytest.mark.parametrize("text", ["", "True", "FALSE", "yes", "0", "1"])
def test_what_is_neither_true_nor_false_is_refused(recipe: str, name: str, text: str) -> None:
    assert refusal(find(recipe), **{name: text}) == f"recipe: {name} is {text!r}, expected true or false"


@pytest.mark.parametrize(("recipe", "name"), [(recipe, name) for recipe, name in PAIRS if name in REAL])
@pytest.mark.parametrize("text", ["", "ten", "0,5", "1.5.2", "nan", "inf", "-inf", "1e999", "below"])
def test_what_is_no_number_in_the_range_is_refused(recipe: str, name: str, text: str) -> None:
    text = ("-1e+38" if "bias" in name else "-0.1") if text == "below" else text
    told = refusal(find(recipe), **{name: text})
    if text in ("", "ten", "0,5", "1.5.2"):
        assert told == f"recipe: {name} is {text!r}, expected a number"
    else:
        assert told == f"recipe: {name} is {float(text)}, expected a number in {REAL[name]}"


def test_the_ends_of_ranges() -> None:
    assert refusal(TAGGER, dropout="1.0") == "recipe: dropout is 1.0, expected a number in [0, 1)"
    assert change(TAGGER, {"dropout": "0"}).model.dropout == 0
    for name in ("learning_rate", "max_norm"):
        assert refusal(TAGGER, **{name: "0"}) == f"recipe: {name} is 0.0, expected a number in (0, 1e+37]"
    assert change(TAGGER, dict.fromkeys(("steps", "batch", "n_layers"), "1")).training.batch == 1


def test_settings_made_in_python_are_checked_too() -> None:
    with pytest.raises(ValueError, match=r"^recipe: steps is 2.0, expected a whole number of at least 1$"):
        Training(steps=2.0, batch=1, learning_rate=0.1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^recipe: batch is True, expected a whole number"):
        Training(steps=2, batch=True, learning_rate=0.1)
    with pytest.raises(ValueError, match=r"^recipe: learning_rate is '0.1', expected a number$"):
        Training(steps=2, batch=1, learning_rate="0.1")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^recipe: segment is 0, expected"):
        LanguageModel(1, 1, 1, segment=0)


@pytest.mark.parametrize("name", RECIPES)
def test_settings_cannot_be_changed_in_place(name: str) -> None:
    with pytest.raises(FrozenInstanceError):
        find(name).training.steps = 3  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        find(name).model.n_hidden = 3


@pytest.mark.parametrize("name", RECIPES)
def test_settings_come_back_from_a_checkpoint_as_they_were(name: str) -> None:
    awkward = {"learning_rate": "0.1234567890123456789", "dropout": "1e-17", "max_norm": "1e29", "steps": "123456789"}
    awkward = {key: text for key, text in awkward.items() if key in find(name).settings()}
    for recipe in (find(name), change(find(name), awkward)):
        again = with_settings(find(name), json.loads(json.dumps(recipe.settings())))
        assert again.settings() == recipe.settings()
        assert (again.model, again.training) == (recipe.model, recipe.training)


@pytest.mark.parametrize("name", RECIPES)
def test_settings_of_another_version_are_refused(name: str) -> None:
    recipe = find(name)
    settings = recipe.settings()
    with pytest.raises(
        ValueError, match=r"the checkpoint is of another version: it has \['momentum'\], not known here$"
    ):
        with_settings(recipe, settings | {"momentum": 0.9})
    needed = [
        field.name for part in (recipe.model, recipe.training) for field in fields(part) if field.default is MISSING
    ]
    assert {"steps", "batch", "learning_rate"} <= {*needed}
    for lost in needed:
        with pytest.raises(ValueError, match=f"the checkpoint is of another version: it lacks {lost}$"):
            with_settings(recipe, {key: value for key, value in settings.items() if key != lost})
    for value in ("ten", [1], None, 1.5, True, 0):
        with pytest.raises(ValueError, match=r"^recipe: n_hidden is .*, expected a whole number"):
            with_settings(recipe, settings | {"n_hidden": value})
    for value in ("true", None, 1, 0.0):
        with pytest.raises(ValueError, match=r"^recipe: amsgrad is .*, expected true or false$"):
            with_settings(recipe, settings | {"amsgrad": value})


def test_setting_that_an_older_version_did_not_have_is_its_default() -> None:
    recipe = change(TAGGER, {"warmup": "7", "amsgrad": "true"})
    older = {key: value for key, value in recipe.settings().items() if key not in ("warmup", "amsgrad")}
    assert with_settings(recipe, older).settings() == recipe.settings() | {"warmup": 100, "amsgrad": False}


def test_setting_that_is_true_or_false_comes_back_as_it_was() -> None:
    @dataclass(frozen=True)
    class Model:
        tied: bool = False

    recipe = TAGGER._replace(model=Model())
    assert with_settings(recipe, recipe.settings()).model == Model()
    assert change(recipe, {"tied": "true"}).model == Model(tied=True)
    assert refusal(recipe, tied="False") == "recipe: tied is 'False', expected true or false"


@pytest.mark.parametrize("name", RECIPES)
def test_no_setting_of_a_model_has_the_name_of_one_of_training(name: str) -> None:
    recipe = find(name)
    assert len(recipe.settings()) == len(vars(recipe.model)) + len(vars(recipe.training))


def test_recipe_that_is_not_there_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(ValueError, match=f"name is 'letters', expected one of: {', '.join(RECIPES)}$"):
        find("letters")
    assert all(recipe.name == name for name, recipe in RECIPES.items())


def test_settings_that_differ_are_not_equal() -> None:
    assert replace(TAGGER.training, steps=1) != TAGGER.training
    assert change(TAGGER, {"steps": str(TAGGER.training.steps)}) == TAGGER
