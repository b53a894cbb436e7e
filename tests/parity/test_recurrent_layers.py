"""Bidirectional and stacked layers against their PyTorch twins, with masks and with the same dropout."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from companion.bidirectional import BidirectionalState, bidirectional_init, reverse
from companion.bptt import prefix_mask
from companion.gru import GRU
from companion.pytorch import bidirectional as twin_bidirectional
from companion.pytorch import copy_params, rnn
from companion.pytorch.bidirectional import Bidirectional
from companion.pytorch.gru import GRU as TwinGRU
from companion.pytorch.stacked import Stacked
from companion.stacked import stacked, stacked_backward, stacked_init
from companion.tree import tree_items, tree_leaves, tree_map
from tests.contract.cells import OUTPUTS, random_state
from tests.parity.recurrent import LENGTHS, TOLERANCE, B, D, H, Run, T, given, of_twin, ours, require_equal
from tests.parity.test_recurrent_twins import TWINS

STACKABLE = [name for name in TWINS if name not in OUTPUTS]  # whose outputs are as many as its units
whole_or_masked = pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "masked"])
both_directions = pytest.mark.parametrize("both_ways", [False, True], ids=["one way", "both ways"])


def random_params(params: Any, rng: np.random.Generator) -> Any:
    return tree_map(lambda a: (a + 0.5 * rng.normal(size=a.shape)).astype(a.dtype), params)


@pytest.mark.parametrize("dtype", TOLERANCE)
@whole_or_masked
@pytest.mark.parametrize("name", TWINS)
def test_both_directions_equal_the_twin(name: str, lengths: Any, dtype: Any, rng: np.random.Generator) -> None:
    cell, twin = TWINS[name]
    params = random_params(bidirectional_init(cell, rng, D, H, dtype), rng)
    g = given(cell, params, rng, lengths, dtype)
    g = g._replace(state=BidirectionalState(*(random_state(cell, rng, one_way, B) for one_way in params)))
    require_equal(ours(cell, g), of_twin(Bidirectional(twin, D, H), g), dtype)


@pytest.mark.parametrize("dtype", TOLERANCE)
@both_directions
@whole_or_masked
@pytest.mark.parametrize("name", STACKABLE)
def test_layers_equal_the_twin(name: str, lengths: Any, both_ways: bool, dtype: Any, rng: np.random.Generator) -> None:
    cell, twin = TWINS[name]
    params = random_params(stacked_init(cell, rng, D, H, 2, dtype, both_ways), rng)
    g = given(cell, params, rng, lengths, dtype)
    require_equal(ours(cell, g), of_twin(Stacked(twin, D, H, 2, both_ways), g), dtype)


class GivenDropout(nn.Module):
    """Stands in for nn.Dropout and multiplies by the masks it was given, one a call."""

    def __init__(self, masks: list[Any]) -> None:
        super().__init__()
        self.masks = iter(masks)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.from_numpy(next(self.masks))


@both_directions
@whole_or_masked
def test_dropout_with_the_same_masks_equals_the_twin(lengths: Any, both_ways: bool, rng: np.random.Generator) -> None:
    params = random_params(stacked_init(GRU, rng, D, H, 3, both_ways=both_ways), rng)
    g = given(GRU, params, rng, lengths)
    ys, last, cache = stacked(GRU, params, g.xs, g.state, g.mask, 0.4, rng)
    received = Run(ys, last, *stacked_backward(GRU, params, cache, g.dys, g.dstate))
    module = Stacked(TwinGRU, D, H, 3, both_ways, dropout_rate=0.4)
    masks = cache.dropped[1:]
    assert all(0 < (mask == 0).sum() < mask.size for mask in masks)
    module.dropout = GivenDropout(masks)
    require_equal(received, of_twin(module, g), np.float64)
    module.dropout = GivenDropout(masks[::-1])
    with pytest.raises(AssertionError):
        require_equal(received, of_twin(module, g), np.float64)


def test_dropout_of_the_twin_ends_with_training_and_never_touches_inputs_or_outputs(rng: np.random.Generator) -> None:
    params = random_params(stacked_init(GRU, rng, D, H, 2), rng)
    xs = torch.from_numpy(rng.normal(size=(T, B, D)))
    module, single = Stacked(TwinGRU, D, H, 2, dropout_rate=0.5), Stacked(TwinGRU, D, H, 1, dropout_rate=0.5)
    copy_params(params, module)
    copy_params(params[:1], single)
    expected, _, _ = stacked(GRU, params, xs.numpy())
    training, _ = module(xs)
    assert not np.allclose(training.detach().numpy(), expected)
    assert (training != 0).all()
    require_equal(module.eval()(xs)[0].detach().numpy(), expected, np.float64)
    require_equal(single(xs)[0].detach().numpy(), stacked(GRU, params[:1], xs.numpy())[0], np.float64)


def test_names_are_the_paths_of_our_parameters(rng: np.random.Generator) -> None:
    """A child called "forward" must survive what PyTorch does with modules."""
    params = stacked_init(GRU, rng, D, H, 2, both_ways=True)
    module = Stacked(TwinGRU, D, H, 2, both_ways=True)
    names = [name for name, _ in tree_items(params)]
    assert [name for name, _ in module.named_parameters()] == names
    assert {"0.forward.W_x", "1.backward.b_n"} <= set(names)
    assert list(module.state_dict()) == names
    assert sum(1 for part in module.modules() if isinstance(part, TwinGRU)) == 4
    twice = copy.deepcopy(module)
    other = Stacked(TwinGRU, D, H, 2, both_ways=True)
    other.load_state_dict(module.state_dict())
    xs = torch.from_numpy(rng.normal(size=(T, B, D)))
    for copied in (twice, other):
        assert torch.equal(copied(xs)[0], module(xs)[0])
    assert {p.dtype for p in module.to(torch.float32).parameters()} == {torch.float32}
    assert all(not part.training for part in module.eval().modules())


@both_directions
def test_states_are_zero_unless_given(both_ways: bool, rng: np.random.Generator) -> None:
    module, xs = Stacked(TwinGRU, D, H, 2, both_ways), torch.from_numpy(rng.normal(size=(T, B, D)))
    _, last = module(xs)
    expected = module(xs, tree_map(torch.zeros_like, last))
    for a, b in zip(tree_leaves(module(xs)), tree_leaves(expected), strict=True):
        assert torch.equal(a, b)


def test_reversal_equals_ours(rng: np.random.Generator) -> None:
    xs, mask = rng.normal(size=(T, B, D)), prefix_mask(LENGTHS, T)
    theirs = twin_bidirectional.reverse(torch.from_numpy(xs), torch.from_numpy(mask)).numpy()
    np.testing.assert_array_equal(theirs, reverse(xs, mask))
    np.testing.assert_array_equal(twin_bidirectional.reverse(torch.from_numpy(xs)).numpy(), reverse(xs))


def test_a_twin_takes_any_factory_of_cells(rng: np.random.Generator) -> None:
    module = Bidirectional(partial(rnn.Elman, activation=torch.relu), D, H)
    ys, _ = module(torch.from_numpy(rng.normal(size=(T, B, D))))
    assert ys.shape == (T, B, 2 * H)
    assert (ys >= 0).all()
