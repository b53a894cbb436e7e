"""A checkpoint is read as it was written, or refused in one line that says what is wrong; and the folder stays as it is."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from companion.recipes import RECIPES, checkpoint, training
from companion.recipes.loading import load_model
from tests.recipes.runs import SMALL, contents, edit, resume, run_until

LETTERS, TEXT, COPY = SMALL
STEP = 7


@pytest.fixture(autouse=True)
def _float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the command line: weights are in PyTorch's own default."""
    torch.set_default_dtype(torch.float32)
    for name, recipe in SMALL.items():
        monkeypatch.setitem(RECIPES, name, recipe)


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """For each recipe the folder of a run that was stopped."""
    torch.set_default_dtype(torch.float32)
    folders = {name: tmp_path_factory.mktemp("stopped") for name in SMALL}
    for name, folder in folders.items():
        run_until(STEP, name, folder)
    return folders


@pytest.fixture
def folder(stopped: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of the language model's."""
    return Path(shutil.copytree(stopped[TEXT], tmp_path / "run"))


def require_refusal(do: Callable[[], object], folder: Path, *parts: str) -> None:
    """One line that has all of its parts, and not a byte in the folder is another."""
    before = contents(folder)
    with pytest.raises(ValueError, match=re.escape(parts[0])) as caught:
        do()
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 400
    assert [part for part in (*parts, str(folder)) if part not in text] == [], text
    assert contents(folder) == before


def weights_of(folder: Path) -> Path:
    return folder / json.loads((folder / checkpoint.HEADER).read_text(encoding="utf-8"))["weights"]


def put_tensors(folder: Path, change_tensors: Callable[[dict[str, torch.Tensor]], object]) -> None:
    """Other tensors in a checkpoint that is whole, with their own name and checksum."""
    old = weights_of(folder)
    tensors = safetensors.torch.load(old.read_bytes())
    change_tensors(tensors)
    put_weights(folder, safetensors.torch.save(tensors))


def put_weights(folder: Path, contents: bytes) -> None:
    """Another file of weights, with its own name and checksum."""
    weights_of(folder).unlink()
    digest = hashlib.sha256(contents).hexdigest()
    name = f"step-{STEP:08d}-{digest[:8]}.safetensors"
    (folder / name).write_bytes(contents)
    edit(folder, weights=name, weights_sha256=digest)


# ---- what is written is what is read


@pytest.mark.parametrize("name", SMALL)
def test_a_checkpoint_holds_all_that_a_run_is(name: str, stopped: dict[str, Path]) -> None:
    header, tensors = checkpoint.read(stopped[name])
    run = resume(stopped[name], name)
    assert (run.step, header["step"], header["recipe"]) == (STEP, STEP, name)
    for key, value in run.module.state_dict().items():
        assert torch.equal(tensors[f"model.{key}"], value)
    for key, parameter in run.module.named_parameters():
        for part, value in run.optimizer.state[parameter].items():
            assert torch.equal(tensors[f"adam.{part}.{key}"], value)
            assert part == "step" or value.any(), "nothing was learned, so nothing was compared"
        assert f"adam.exp_avg_sq.{key}" in tensors
        assert (f"adam.max_exp_avg_sq.{key}" in tensors) == (name == COPY)
    assert ("carry" in tensors) == (name == TEXT)
    assert run.carry is None or torch.equal(run.carry, tensors["carry"])
    assert {key.partition(".")[0] for key in tensors} <= {"model", "adam", "carry"}


def test_a_model_is_loaded_whatever_the_default_type_is(folder: Path) -> None:
    for dtype in (torch.float32, torch.float64):
        torch.set_default_dtype(dtype)
        model = load_model(folder).module
        assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
        assert torch.equal(model.output.weight, checkpoint.read(folder).tensors["model.output.weight"])


def test_resuming_changes_no_file_of_a_stopped_run(folder: Path) -> None:
    before = contents(folder)
    resume(folder, TEXT)
    assert contents(folder) == before


# ---- headers


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.7, 0.99])
def test_a_truncated_header_is_refused(share: float, folder: Path) -> None:
    path = folder / checkpoint.HEADER
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    require_refusal(lambda: resume(folder, TEXT), folder, "checkpoint.json is corrupt: it is not JSON")


@pytest.mark.parametrize(
    "text", [b"\xff\xfe{", b"\xc3\x28", b"[" * 100_000, b"NaN,", b'{"step": 1' + b"0" * 5000 + b"}"]
)
def test_a_header_that_is_not_json_is_refused(text: bytes, folder: Path) -> None:
    (folder / checkpoint.HEADER).write_bytes(text)
    require_refusal(lambda: resume(folder, TEXT), folder, "checkpoint.json is corrupt: it is not JSON")


@pytest.mark.parametrize(("text", "kind"), [("[]", "list"), ("7", "int"), ("null", "NoneType"), ('"x"', "str")])
def test_a_header_that_is_no_object_is_refused(text: str, kind: str, folder: Path) -> None:
    (folder / checkpoint.HEADER).write_text(text)
    require_refusal(lambda: resume(folder, TEXT), folder, f"holds a {kind}, expected an object")


@pytest.mark.parametrize("value", [0, 2, "1", None, True])
def test_a_checkpoint_of_another_version_is_refused(value: Any, folder: Path) -> None:
    edit(folder, format=value)
    require_refusal(lambda: resume(folder, TEXT), folder, "format", repr(value), "expected")


@pytest.mark.parametrize("field", checkpoint.FIELDS)
def test_a_field_that_is_missing_or_of_another_type_is_named(field: str, folder: Path) -> None:
    path = folder / checkpoint.HEADER
    header = json.loads(path.read_text(encoding="utf-8"))
    for value in (None, [1], {"a": 1}, "text", 1.5, 3, True):
        if type(value) is not checkpoint.FIELDS[field]:
            edit(folder, **header | {field: value})
            require_refusal(lambda: resume(folder, TEXT), folder, field, repr(value), "expected")
    path.write_text(json.dumps({name: value for name, value in header.items() if name != field}))
    require_refusal(lambda: resume(folder, TEXT), folder, field, "None", "expected")


OTHERS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "seed": ({"seed": 5}, ["seed 5, expected 0"]),
    "recipe": ({"recipe": LETTERS}, [f"recipe {LETTERS!r}, expected {TEXT!r}"]),
    "unknown recipe": ({"recipe": "other"}, ["recipe 'other'", TEXT]),
    "data": ({"data_sha256": "3" * 64}, ["data_sha256 '333", "expected '222"]),
    "precision": ({"precision": "bfloat16"}, ["precision 'bfloat16', expected 'float32'"]),
    "no precision": ({"precision": None}, ["precision None, expected 'float32'"]),
    "step": ({"step": STEP + 1}, ["step"]),
    "negative step": ({"step": -STEP}, ["step"]),
    "two symbols swapped": ({"inputs": list("bacdefghijk")}, ["11 inputs, expected 11", "number 0"]),
    "a symbol more": ({"outputs": list("abcdefghijkl")}, ["12 outputs, expected 11", "number 11"]),
    "no symbols": ({"inputs": []}, ["0 inputs, expected 11", "number 0"]),
    "numbers as symbols": ({"inputs": [*range(11)]}, ["inputs", "number 0"]),
}


@pytest.mark.parametrize("other", OTHERS)
def test_a_checkpoint_of_another_run_is_refused_and_what_differs_is_named(other: str, folder: Path) -> None:
    fields, parts = OTHERS[other]
    edit(folder, **fields)
    require_refusal(lambda: resume(folder, TEXT), folder, *parts)


def test_settings_that_differ_are_named(folder: Path) -> None:
    settings = checkpoint.read(folder).header["settings"]
    for name, value in settings.items():
        other = {bool: not value, int: value + 1, float: (value + 0.1) / 2}[type(value)]
        edit(folder, settings=settings | {name: other})
        require_refusal(lambda: resume(folder, TEXT), folder, f"{name} {other}, expected {value}")
    edit(folder, settings={name: value for name, value in settings.items() if name != "warmup"})
    require_refusal(lambda: resume(folder, TEXT), folder, "warmup 100, expected 5")
    edit(folder, settings=settings | {"momentum": 0.9})
    require_refusal(lambda: resume(folder, TEXT), folder, "it has ['momentum'], not known here")


def test_a_run_of_another_seed_or_recipe_does_not_go_on(folder: Path) -> None:
    require_refusal(lambda: resume(folder, TEXT, seed=1), folder, "seed 0, expected 1")
    require_refusal(lambda: resume(folder, LETTERS), folder, TEXT, LETTERS)
    require_refusal(lambda: resume(folder, TEXT, batch="4"), folder, "batch 8, expected 4")


def test_a_folder_with_a_run_is_refused_without_resume(folder: Path) -> None:
    run = training.begin(SMALL[TEXT])
    require_refusal(lambda: training.settle(run, folder), folder, "already holds a run", "--resume")


# ---- weights


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../run", "no.safetensors", "checkpoint.json", "/", "a\0b", "\ud800", "x" * 300, "../{}", "/{}"],
)
def test_a_header_that_names_another_file_is_refused(name: str, folder: Path) -> None:
    shutil.copy(weights_of(folder), folder.parent)
    edit(folder, weights=name.format(weights_of(folder).name))
    require_refusal(lambda: resume(folder, TEXT), folder, "weights" if "step" in name else "checkpoint.json")


def test_weights_that_are_missing_truncated_or_changed_are_refused(folder: Path) -> None:
    path = weights_of(folder)
    whole = path.read_bytes()
    changed = bytes([*whole[:-1], whole[-1] ^ 1])
    for wrong in (b"", whole[:8], whole[:-1], whole + b"\0", changed):
        path.write_bytes(wrong)
        require_refusal(lambda: resume(folder, TEXT), folder, path.name, "corrupt", "SHA-256")
    path.unlink()
    require_refusal(lambda: resume(folder, TEXT), folder, path.name)


@pytest.mark.parametrize("wrong", [b"", b"no tensors", b"\xff" * 9, b"\x02\0\0\0\0\0\0\0{]"], ids=repr)
def test_weights_that_are_not_safetensors_are_refused(wrong: bytes, folder: Path) -> None:
    put_weights(folder, wrong)
    require_refusal(lambda: resume(folder, TEXT), folder, weights_of(folder).name)


TENSORS: dict[str, tuple[Callable[[dict[str, Any]], object], list[str]]] = {
    "missing": (
        lambda t: t.pop("model.output.bias"),
        ["model.output.bias nothing", "expected torch.float32 of shape (11,)"],
    ),
    "extra": (
        lambda t: t.update({"model.x": torch.ones(2)}),
        ["model.x torch.float32 of shape (2,), expected nothing"],
    ),
    "shape": (lambda t: t.update({"model.output.bias": torch.ones(10)}), ["of shape (10,)", "of shape (11,)"]),
    "order of axes": (
        lambda t: t.update({"model.output.weight": t["model.output.weight"].T.contiguous()}),
        ["model.output.weight torch.float32 of shape (6, 11), expected torch.float32 of shape (11, 6)"],
    ),
    "type": (
        lambda t: t.update({"model.output.bias": t["model.output.bias"].double()}),
        ["model.output.bias torch.float64 of shape (11,), expected torch.float32 of shape (11,)"],
    ),
    "Adam's missing": (lambda t: t.pop("adam.exp_avg.output.bias"), ["adam.exp_avg.output.bias nothing"]),
    "Adam's step missing": (lambda t: t.pop("adam.step.output.bias"), ["adam.step.output.bias nothing"]),
    "all of Adam's missing": (lambda t: [t.pop(k) for k in [*t] if "adam" in k], ["adam.", "nothing"]),
    "Adam's extra": (lambda t: t.update({"adam.exp_avg.x": torch.ones(1)}), ["adam.exp_avg.x", "expected nothing"]),
    "of another Adam": (
        lambda t: t.update({"adam.max_exp_avg_sq.output.bias": torch.ones(11)}),
        ["adam.max_exp_avg_sq.output.bias", "expected nothing"],
    ),
    "Adam's shape": (lambda t: t.update({"adam.exp_avg_sq.output.bias": torch.ones(1)}), ["of shape (1,)", "(11,)"]),
    "Adam's type": (
        lambda t: t.update({"adam.exp_avg.output.bias": torch.ones(11).double()}),
        ["adam.exp_avg.output.bias torch.float64"],
    ),
    "carry missing": (lambda t: t.pop("carry"), ["carry nothing"]),
    "carry of another batch": (lambda t: t.update({"carry": t["carry"][:, :4].contiguous()}), ["carry", "(4, 4, 6)"]),
    "carry of fewer layers": (lambda t: t.update({"carry": t["carry"][:2].contiguous()}), ["carry", "(2, 8, 6)"]),
    "scale of a loss": (lambda t: t.update({"scaler.scale": torch.tensor(8.0)}), ["scaler.scale", "expected nothing"]),
    "anything": (lambda t: t.update({"x": torch.ones(1)}), ["for x torch.float32 of shape (1,), expected nothing"]),
}


@pytest.mark.parametrize("wrong", TENSORS)
def test_tensors_that_do_not_fit_are_named(wrong: str, folder: Path) -> None:
    change_tensors, parts = TENSORS[wrong]
    put_tensors(folder, change_tensors)
    require_refusal(lambda: resume(folder, TEXT), folder, *parts)
    if "model" in parts[0]:
        require_refusal(lambda: load_model(folder), folder, *parts)


def test_a_run_with_amsgrad_needs_its_largest_means(stopped: dict[str, Path], tmp_path: Path) -> None:
    folder, lost = Path(shutil.copytree(stopped[COPY], tmp_path / "run")), "adam.max_exp_avg_sq.output.bias"
    require_refusal(lambda: resume(folder, COPY, amsgrad="false"), folder, "amsgrad True, expected False")
    put_tensors(folder, lambda tensors: tensors.pop(lost))
    require_refusal(lambda: resume(folder, COPY), folder, f"{lost} nothing, expected torch.float32 of shape (8,)")
