"""A twin of the NTM that runs on the processor by `companion.fast`: PyTorch's parameters and optimisers, our backward pass.

PyTorch's autograd records every operation of every step; the fast layer takes one call forward and one back for a whole episode.
With numba installed its loops are compiled, otherwise they are NumPy's: the same numbers but for rounding.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from companion.bptt import Layer
from companion.lstm import LSTMParams
from companion.ntm import FeedforwardParams, NTMParams, NTMState
from companion.tree import tree_items, tree_map

try:
    from companion.fast.compiled_ntm import ntm as fast_layer
except (ImportError, RuntimeError):  # no numba, or none that finds a folder for what it compiles
    from companion.fast.ntm import ntm as fast_layer  # type: ignore[assignment]

__all__ = ["fast_layer", "params_of", "run"]


def params_of(module: nn.Module) -> NTMParams:
    """The parameters of a twin on the processor, as NumPy arrays that share its memory."""
    named = {name: parameter.detach().numpy() for name, parameter in module.named_parameters()}
    kind: Any = LSTMParams if "controller.W_h" in named else FeedforwardParams
    return NTMParams(kind(*(named[f"controller.{field}"] for field in kind._fields)), named["W_z"], named["b_z"])


class _Episode(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, layer: Layer, params: NTMParams, state: NTMState, xs: Tensor, w: Tensor, *tensors: Tensor
    ) -> Tensor:
        """Weightings and parameters come twice: in arrays to compute with, and as tensors that want a gradient."""
        ys, _last, cache = layer.forward(params, xs.detach().numpy(), state, None)
        ctx.layer, ctx.params, ctx.cache = layer, params, cache
        ctx.save_for_backward(*tensors)
        return torch.from_numpy(ys)

    @staticmethod
    def backward(ctx: Any, dys: Tensor) -> Any:
        _ = ctx.saved_tensors  # an error if one was changed meanwhile: ctx.params shares its memory
        dparams, dxs, dstate = ctx.layer.backward(ctx.params, ctx.cache, dys.contiguous().numpy(), None)
        grads = (torch.from_numpy(array) for _, array in tree_items(dparams))
        return None, None, None, torch.from_numpy(dxs), torch.from_numpy(dstate.w), *grads


def run(layer: Layer, module: nn.Module, xs: Tensor, state: Any) -> Tensor:
    """Outputs (T, B, H + R M) of a twin for xs (T, B, D), by the fast `layer` of the same heads; all on the processor.

    Of the state, a NTMState of tensors, the weightings get a gradient, and nothing else.
    """
    params, named = params_of(module), dict(module.named_parameters())
    arrays = tree_map(lambda tensor: tensor.detach().numpy(), state)
    tensors = (named[name] for name, _ in tree_items(params))
    ys: Tensor = _Episode.apply(layer, params, arrays, xs, state.w, *tensors)  # type: ignore[no-untyped-call]
    return ys
