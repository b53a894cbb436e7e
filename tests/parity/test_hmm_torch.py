"""The hidden Markov model in PyTorch: the same log-likelihoods, and by autograd the expected counts."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch

from companion.baum_welch import expected_counts
from companion.bptt import prefix_mask
from companion.emissions import Categorical
from companion.hmm import HMM as NumpyHMM
from companion.hmm import hmm_init, log_likelihood
from companion.pytorch import copy_params, grads_like
from companion.pytorch.hmm import HMM
from tests.contract.hmms import Problem, S, V, equal, left_to_right, log, problem

PROBLEMS = {
    "masked": problem("categorical"),
    "without mask": problem("categorical", masked=False),
    "with zeros": left_to_right(problem("categorical")),
}
every_problem = pytest.mark.parametrize("name", PROBLEMS)


def tables(hmm: NumpyHMM) -> dict[str, Any]:
    return {"start": hmm.start, "transition": hmm.transition, "emission": hmm.emission.probabilities}


def twin(hmm: NumpyHMM) -> HMM:
    module = HMM(*hmm.emission.probabilities.shape)
    copy_params({name: log(array) for name, array in tables(hmm).items()}, module)
    return module


def tensors(p: Problem) -> tuple[Any, Any]:
    return torch.from_numpy(p.xs), None if p.mask is None else torch.from_numpy(p.mask)


@every_problem
def test_log_likelihoods_agree(name: str) -> None:
    p = PROBLEMS[name]
    equal(twin(p.hmm)(*tensors(p)).detach(), log_likelihood(*p))


@every_problem
def test_autograd_gives_the_expected_counts(name: str) -> None:
    p = PROBLEMS[name]
    module, counts = twin(p.hmm), expected_counts(*p)
    module(*tensors(p)).sum().backward()
    gradients = grads_like(tables(p.hmm), module)
    expected = tables(NumpyHMM(counts.start, counts.transition, counts.emission))
    for key, array in expected.items():
        equal(gradients[key], array)
        with pytest.raises(AssertionError):
            equal(gradients[key] * (1 + 1e-9), array)
    unmasked = expected_counts(p.hmm, p.xs)
    if p.mask is not None:
        with pytest.raises(AssertionError):
            equal(gradients["transition"], unmasked.transition)


def test_an_impossible_sequence_is_minus_infinity_and_leaves_the_gradient_alone() -> None:
    """Its own gradient is zero, not NaN."""
    p = problem("categorical")
    table = p.hmm.emission.probabilities.copy()
    table[:, 3], xs = 0, np.where(p.xs == 3, 4, p.xs)
    hmm = p.hmm._replace(emission=Categorical(table / table.sum(axis=1, keepdims=True)))
    bad = np.hstack([xs, xs[:, :1]])
    bad[1, -1] = 3
    module = twin(hmm)
    received = module(torch.from_numpy(bad))
    equal(received.detach(), log_likelihood(hmm, bad))
    assert received[-1] == -np.inf
    received.sum().backward()
    equal(grads_like(tables(hmm), module)["transition"], expected_counts(hmm, xs).transition)


def test_a_thousand_steps_are_finite_in_both_dtypes(rng: np.random.Generator) -> None:
    hmm, xs = hmm_init(rng, S, V), rng.integers(0, V, (1000, 2))
    expected = log_likelihood(hmm, xs)
    equal(twin(hmm)(torch.from_numpy(xs)).detach(), expected)
    received = twin(hmm).float()(torch.from_numpy(xs))
    assert received.dtype == torch.float32
    equal(received.detach(), expected, rtol=1e-5)


def test_zeros_need_no_more_than_half_precision() -> None:
    p = PROBLEMS["with zeros"]
    received = twin(p.hmm).half()(*tensors(p))
    received.sum().backward()
    assert received.dtype == torch.float16
    equal(received.detach().double(), log_likelihood(*p), rtol=1e-2)


def test_symbols_may_be_small_integers_and_padding_anything() -> None:
    p = PROBLEMS["masked"]
    xs, mask = tensors(p)
    module = twin(p.hmm)
    assert torch.equal(module(xs.to(torch.uint8), mask), module(xs, mask))
    assert torch.equal(module(torch.where(mask, xs, -1), mask), module(xs, mask))


@pytest.mark.parametrize(
    ("xs", "message"),
    [
        (torch.tensor([[0, 1], [-1, 2]]), "xs[1, 0] is -1, expected integers in 0.."),
        (torch.tensor([[0, V], [1, 2]]), f"xs[0, 1] is {V}, expected integers in 0.."),
        (torch.zeros(5, 2), "xs has dtype float32"),
        (torch.zeros(5, dtype=torch.int64), "xs has shape (5,), expected (T, B)"),
        (torch.zeros(0, 2, dtype=torch.int64), "xs has shape (0, 2), expected (T, B)"),
        (np.zeros((5, 2), int), "xs is a ndarray, expected Tensor"),
    ],
    ids=str,
)
def test_what_are_no_symbols_is_refused(xs: Any, message: str) -> None:
    with pytest.raises(ValueError, match="^HMM: " + re.escape(message)):
        HMM(S, V)(xs)


def test_rows_of_a_new_module_are_distributions() -> None:
    torch.manual_seed(3)
    module = HMM(S, V)
    assert {name: tuple(p.shape) for name, p in module.named_parameters()} == {
        "start": (S,),
        "transition": (S, S),
        "emission": (S, V),
    }
    for parameter in module.parameters():
        rows = parameter.detach().exp()
        equal(rows.sum(dim=-1), np.ones(rows.shape[:-1]))
        assert rows.std() > 0.01


def test_a_mask_with_a_hole_is_refused() -> None:
    mask = torch.from_numpy(prefix_mask(np.array([5, 3]), 5))
    mask[4, 1] = True
    with pytest.raises(ValueError, match=r"HMM: mask.*expected a prefix"):
        HMM(S, V)(torch.zeros(5, 2, dtype=torch.int64), mask)
    with pytest.raises(ValueError, match=r"HMM: mask is a ndarray, expected Tensor"):
        HMM(S, V)(torch.zeros(5, 2, dtype=torch.int64), mask.numpy())
