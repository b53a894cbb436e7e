"""The two models compute what our NumPy code computes with the same weights, and their gradients are right."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from companion.bidirectional import BidirectionalParams, bidirectional
from companion.bptt import unroll
from companion.lstm import LSTM, LSTMState, lstm_step
from companion.ops import LinearParams, embedding, linear
from companion.pytorch.convert import from_torch
from companion.recipes import LanguageModel, TaggerModel
from companion.recipes.language import CharacterModel
from companion.recipes.letters import Tagger
from companion.recipes.task import Dropped, lstm
from companion.stacked import stacked

T, B, V, K = 7, 4, 9, 6
LENGTHS = np.array([4, 7, 1, 6])
MASK = np.arange(T)[:, None] < LENGTHS
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}
every_dtype = pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
every_depth = pytest.mark.parametrize("n_layers", [1, 2, 3])


@pytest.fixture(autouse=True)
def _float32() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    yield
    torch.set_default_dtype(before)


def tagger(n_layers: int = 2, n_hidden: int = 5, dropout: float = 0.0) -> Tagger:
    return _random(Tagger(TaggerModel(3, n_hidden, n_layers, dropout), V, K))


def characters(n_layers: int = 2, n_hidden: int = 5, dropout: float = 0.0) -> CharacterModel:
    return _random(CharacterModel(LanguageModel(3, n_hidden, n_layers, dropout), V, K))


def _random(module: Any) -> Any:
    """Random biases too: what is all ones or zeros would hide a mix-up."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(0.7 * torch.randn(parameter.shape, generator=generator))
    return module.eval()


def symbols(rng: np.random.Generator, steps: int = T) -> Tensor:
    return torch.from_numpy(rng.integers(0, V, (steps, B)))


def embedded(module: Any, inputs: Tensor) -> Any:
    xs, _ = embedding(module.embedding.weight.detach().numpy(), inputs.numpy())
    return xs


def scores(module: Any, ys: Any) -> Any:
    params = LinearParams(*(parameter.detach().numpy() for parameter in module.output.parameters()))
    rows, _ = linear(params, ys.reshape(-1, ys.shape[-1]))
    return rows.reshape(*ys.shape[:-1], K)


def require_close(ours: Any, theirs: Tensor, dtype: torch.dtype) -> None:
    assert theirs.dtype == dtype
    assert ours.dtype == theirs.detach().numpy().dtype
    np.testing.assert_allclose(theirs.detach().numpy(), ours, rtol=0, atol=TOLERANCE[dtype])


# ---- the same numbers as NumPy


@every_dtype
@every_depth
def test_tagger_gives_the_logits_of_our_stacked_bidirectional_lstm(
    n_layers: int, dtype: torch.dtype, rng: np.random.Generator
) -> None:
    module, inputs = tagger(n_layers).to(dtype), symbols(rng)
    params = tuple(map(from_torch, module.layers))
    ys, _, _ = stacked(LSTM, params, embedded(module, inputs), mask=MASK)
    logits, carry = module(inputs, torch.from_numpy(MASK))
    require_close(scores(module, ys), logits, dtype)
    assert carry is None
    if n_layers == 1:
        assert isinstance(params[0], BidirectionalParams)
        ys, _, _ = bidirectional(LSTM, params[0], embedded(module, inputs), mask=MASK)
        require_close(scores(module, ys), logits, dtype)


@every_dtype
@every_depth
def test_character_model_gives_the_logits_and_the_state_of_our_stacked_lstm(
    n_layers: int, dtype: torch.dtype, rng: np.random.Generator
) -> None:
    module = characters(n_layers).to(dtype)
    params, state, carry = tuple(map(from_torch, module.layers)), None, None
    for steps in (T, 2, 1):  # three segments, the state handed on
        inputs = symbols(rng, steps)
        ys, state, _ = stacked(LSTM, params, embedded(module, inputs), state)
        logits, carry = module(inputs, None, carry)
        require_close(scores(module, ys), logits, dtype)
        require_close(np.concatenate([np.stack(layer) for layer in state]), carry, dtype)


@every_dtype
def test_character_model_is_our_lstm_step_after_step(dtype: torch.dtype, rng: np.random.Generator) -> None:
    module, inputs = characters(1).to(dtype), symbols(rng)
    params, xs = from_torch(module.layers[0]), embedded(module, inputs)
    carry = torch.from_numpy(rng.normal(size=(2, B, 5))).to(dtype)
    state = LSTMState(*carry.numpy())
    logits, last = module(inputs, None, carry)
    ys, _, _ = unroll(LSTM, params, xs, state)
    require_close(scores(module, ys), logits, dtype)
    for x, row in zip(xs, logits):
        y, state, _ = lstm_step(params, x, state)
        require_close(scores(module, y), row, dtype)
    require_close(np.stack(state), last, dtype)


def test_comparison_finds_biases_in_the_wrong_order(rng: np.random.Generator) -> None:
    module, inputs = characters(1).double(), symbols(rng)
    params = from_torch(module.layers[0])
    wrong = params._replace(b=np.roll(params.b, 5))
    ys, _, _ = unroll(LSTM, wrong, embedded(module, inputs))
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        require_close(scores(module, ys), module(inputs)[0], torch.float64)


# ---- padding


@every_depth
def test_padding_changes_no_logit_of_a_word(n_layers: int, rng: np.random.Generator) -> None:
    module, inputs, mask = tagger(n_layers).double(), symbols(rng), torch.from_numpy(MASK)
    logits, _ = module(inputs, mask)
    other = torch.where(mask, inputs, (inputs + 1) % V)  # other letters in the padding
    assert torch.equal(module(other, mask)[0][mask], logits[mask])
    longer = torch.cat([other, symbols(rng, 3)]), torch.cat([mask, torch.zeros(3, B, dtype=torch.bool)])
    assert torch.equal(module(*longer)[0][:T][mask], logits[mask])


@every_depth
def test_a_word_has_the_same_logits_alone_as_among_others(n_layers: int, rng: np.random.Generator) -> None:
    module, inputs = tagger(n_layers).double(), symbols(rng)
    logits, _ = module(inputs, torch.from_numpy(MASK))
    for column, length in enumerate(LENGTHS):
        alone, _ = module(inputs[:length, [column]], torch.ones(length, 1, dtype=torch.bool))
        torch.testing.assert_close(alone[:, 0], logits[:length, column], rtol=0, atol=1e-12)


def test_columns_of_a_text_do_not_see_each_other(rng: np.random.Generator) -> None:
    module, inputs = characters().double(), symbols(rng)
    carry = torch.from_numpy(rng.normal(size=(4, B, 5)))
    logits, last = module(inputs, None, carry)
    for k in range(B):
        alone, state = module(inputs[:, [k]], None, carry[:, [k]])
        torch.testing.assert_close(alone[:, 0], logits[:, k], rtol=0, atol=1e-12)
        torch.testing.assert_close(state[:, 0], last[:, k], rtol=0, atol=1e-12)


# ---- gradients


def differences_agree(module: nn.Module, arguments: tuple[Any, ...], mask: Tensor, rate: float) -> bool:
    """Central differences of the loss of a training step, with respect to every weight, in float64."""
    targets = torch.arange(mask.numel()).reshape(mask.shape) % K
    names, parameters = zip(*module.named_parameters())

    def loss(*values: Tensor) -> Tensor:
        module.dropout = rate
        dropped = Dropped(torch.Generator().manual_seed(3), B, slice(0, B))
        logits, _ = functional_call(module, dict(zip(names, values)), (*arguments, dropped))
        return cross_entropy(logits[mask], targets[mask], reduction="sum") / mask.sum()

    return torch.autograd.gradcheck(loss, parameters, eps=1e-6, atol=1e-8, rtol=1e-6)


@pytest.mark.parametrize("rate", [0.0, 0.4])
def test_gradient_of_the_tagger_is_that_of_central_differences(rate: float, rng: np.random.Generator) -> None:
    module, mask = tagger(n_hidden=2).double().train(), torch.from_numpy(MASK)
    assert differences_agree(module, (symbols(rng), mask, None), mask, rate)


@pytest.mark.parametrize("rate", [0.0, 0.4])
def test_gradient_of_the_character_model_is_that_of_central_differences(rate: float, rng: np.random.Generator) -> None:
    module, mask = characters(n_hidden=2).double().train(), torch.ones(T, B, dtype=torch.bool)
    carry = torch.from_numpy(rng.normal(size=(4, B, 2)))
    assert differences_agree(module, (symbols(rng), None, carry), mask, rate)


def test_central_differences_find_a_gradient_that_is_cut(rng: np.random.Generator) -> None:
    module, mask = characters(1, n_hidden=2).double(), torch.ones(T, B, dtype=torch.bool)
    module.embedding.register_forward_hook(lambda embedding, inputs, xs: 0.5 * xs + 0.5 * xs.detach())
    with pytest.raises(RuntimeError, match="Jacobian mismatch"):
        differences_agree(module, (symbols(rng), None, None), mask, 0.0)


@pytest.mark.parametrize("build", [tagger, characters])
def test_without_dropout_to_apply_the_rate_is_of_no_consequence(build: Any, rng: np.random.Generator) -> None:
    inputs, mask = symbols(rng), torch.from_numpy(MASK)
    plain, with_rate = build(dropout=0.0).train(), build(dropout=0.6).train()
    assert torch.equal(plain(inputs, mask)[0], with_rate(inputs, mask)[0])
    dropped = Dropped(torch.Generator().manual_seed(3), B, slice(0, B))
    assert not torch.equal(plain(inputs, mask)[0], with_rate(inputs, mask, None, dropped)[0])


# ---- the first weights


@pytest.mark.parametrize("both_ways", [False, True])
def test_forget_gates_start_open(both_ways: bool) -> None:
    params = from_torch(lstm(3, 5, both_ways))
    for direction in params if both_ways else (params,):
        i, f, g, o = np.split(direction.b, 4)
        assert f.tolist() == [1.0] * 5
        for gate in (i, g, o):
            assert len(set(gate.tolist())) == 5
            assert np.all(np.abs(gate) <= 2 / np.sqrt(5))  # two biases of torch.nn, each within 1 / sqrt(n_hidden)
