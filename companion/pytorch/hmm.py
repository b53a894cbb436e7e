"""Log-likelihood of a hidden Markov model of symbols, differentiable; twin of `companion.hmm` (chapter *Why model sequences*).

Its parameters are the logarithms of the NumPy ones, unconstrained: nothing keeps their rows normalised. The gradient
of the log-likelihood with respect to them is what Baum-Welch calls expected counts (Eisner, 2016, "Inside-Outside and
Forward-Backward Algorithms Are Just Backprop").
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from companion.bptt import require_mask
from companion.validate import require_indices, require_kind, require_shape


class HMM(nn.Module):
    """Twin of `companion.hmm.HMM` with a `Categorical` emission; random rows at first."""

    def __init__(self, n_states: int, n_symbols: int) -> None:
        super().__init__()
        self.start = log_rows(n_states)  # (S,)
        self.transition = log_rows(n_states, n_states)  # (S, S), from row to column
        self.emission = log_rows(n_states, n_symbols)  # (S, V)

    def forward(self, xs: Tensor, mask: Tensor | None = None) -> Tensor:
        """The log-likelihoods (B,) in nats of symbols xs (T, B); -inf for an impossible sequence.

        Raises ValueError unless xs are integers (T, B) in 0 ... V-1 and a mask (T, B) is boolean, True for the steps of each
        sequence and then False.
        """
        xs = _checked(xs, mask, self.emission.shape[1])
        # Stands for log 0, and underflows to it: the gradient of logsumexp over nothing but -inf would be NaN.
        log_zero = -(torch.finfo(self.start.dtype).max ** 0.75)
        start, transition, emission = (p.clamp(min=log_zero) for p in (self.start, self.transition, self.emission))
        log_alpha = start + emission.T[xs[0]]
        for t in range(1, len(xs)):
            new = torch.logsumexp(log_alpha[:, :, None] + transition, dim=1) + emission.T[xs[t]]
            log_alpha = new if mask is None else torch.where(mask[t][:, None], new, log_alpha)
        total = torch.logsumexp(log_alpha, dim=1)
        return torch.where(total > log_zero / 2, total, -torch.inf)


def _checked(xs: Tensor, mask: Tensor | None, n_symbols: int) -> Tensor:
    """The symbols as int64, with 0 for padding."""
    require_kind("HMM", "xs", xs, Tensor)
    require_shape("HMM", "xs", xs.cpu().numpy(), "T", "B")
    if mask is not None:
        require_kind("HMM", "mask", mask, Tensor)
        require_mask("HMM", mask.cpu().numpy(), *xs.shape)
        xs = torch.where(mask, xs, 0)
    require_indices("HMM", "xs", xs.cpu().numpy(), n_symbols)
    return xs.long()


def log_rows(*shape: int) -> nn.Parameter:
    """Logarithms of random probabilities, of which every row sums to one."""
    return nn.Parameter(torch.randn(shape).log_softmax(dim=-1))
