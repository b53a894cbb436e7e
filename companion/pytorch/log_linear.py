"""Log-linear language model, twin of `companion.log_linear` (chapter *Why model sequences*)."""

import torch
from torch import Tensor, nn

from companion.log_linear import require_contexts
from companion.validate import require_kind


class LogLinear(nn.Module):
    """Logits of the next symbol from the n-1 symbols before it, each with a vote of its own."""

    def __init__(self, order: int, n_symbols: int) -> None:
        super().__init__()
        self.W = nn.Parameter(torch.empty(order - 1, n_symbols + 1, n_symbols))  # (n-1, V+1, V); row V: start mark
        self.b = nn.Parameter(torch.zeros(n_symbols))  # (V,)
        nn.init.normal_(self.W, std=0.01)

    def forward(self, contexts: Tensor) -> Tensor:
        """Map integers (N, n-1), in column j-1 the symbol j places back -> logits (N, V).

        Raises ValueError unless contexts are integers (N, n-1) in 0 ... V.
        """
        require_kind("LogLinear", "contexts", contexts, Tensor)
        require_contexts("LogLinear", "contexts", contexts.cpu().numpy(), len(self.W), len(self.b))
        places = torch.arange(len(self.W), device=contexts.device)
        votes: Tensor = self.W[places, contexts.long()]  # (N, n-1, V)
        return self.b + votes.sum(dim=1)
