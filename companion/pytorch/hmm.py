"""Log-likelihood of a hidden Markov model of symbols, differentiable; twin of `companion.hmm` (chapter *Why model sequences*).

Its parameters are the logarithms of the NumPy ones. The gradient of the log-likelihood with respect to them is what Baum-Welch
calls expected counts (Eisner, 2016, "Inside-Outside and Forward-Backward Algorithms Are Just Backprop").
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from companion.bptt import require_mask

# Stands for log 0, and underflows to it: the gradient of logsumexp over nothing but -inf would be NaN.
LOG_ZERO = -1e30


class HMM(nn.Module):
    """Twin of `companion.hmm.HMM` with a `Categorical` emission; random rows at first."""

    def __init__(self, n_states: int, n_symbols: int) -> None:
        super().__init__()
        self.start = log_rows(n_states)  # (S,)
        self.transition = log_rows(n_states, n_states)  # (S, S), from row to column
        self.emission = log_rows(n_states, n_symbols)  # (S, V)

    def forward(self, xs: Tensor, mask: Tensor | None = None) -> Tensor:
        """The log-likelihoods (B,) in nats of symbols xs (T, B) of type int64; -inf for an impossible sequence.

        Raises ValueError for a mask (T, B) that is not boolean, or not True for the steps of each sequence and then False.
        """
        if mask is not None:
            require_mask("HMM", mask.cpu().numpy(), *xs.shape)
        start, transition, emission = (p.clamp(min=LOG_ZERO) for p in (self.start, self.transition, self.emission))
        log_alpha = start + emission.T[xs[0]]
        for t in range(1, len(xs)):
            new = torch.logsumexp(log_alpha[:, :, None] + transition, dim=1) + emission.T[xs[t]]
            log_alpha = new if mask is None else torch.where(mask[t][:, None], new, log_alpha)
        total = torch.logsumexp(log_alpha, dim=1)
        return torch.where(total > LOG_ZERO / 2, total, -torch.inf)


def log_rows(*shape: int) -> nn.Parameter:
    """Logarithms of random probabilities, of which every row sums to one."""
    return nn.Parameter(torch.randn(shape).log_softmax(dim=-1))
