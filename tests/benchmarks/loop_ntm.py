"""A neural Turing machine as it is usually published for PyTorch: what the fast ones are compared with.

A memory object that the heads share and that changes as they work; an object for each head, with a linear layer of its own whose
output it cuts into pieces; one step at a time under autograd; shifts and writes for one sequence of the batch after the other,
each result put into its place in an array made before. So it is in a version that many start from
(github.com/loudinthecloud/pytorch-ntm, 2017), whose linear layer on top is not here. It computes what `companion.ntm` does with
an LSTM controller, in the default dtype of torch.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from companion.heads import NTMSizes, head_shapes
from companion.lstm import LSTMParams
from companion.ntm import NTMParams


class Memory:
    """N rows of M numbers for every sequence of a batch."""

    def __init__(self, batch: int, sizes: NTMSizes) -> None:
        self.contents = torch.full((batch, sizes.rows, sizes.width), 1e-6)

    def read(self, w: Tensor) -> Tensor:
        return torch.matmul(w.unsqueeze(1), self.contents).squeeze(1)

    def write(self, w: Tensor, erase: Tensor, add: Tensor) -> None:
        before, self.contents = self.contents, torch.zeros_like(self.contents)
        for b in range(len(w)):
            self.contents[b] = before[b] * (1 - torch.outer(w[b], erase[b])) + torch.outer(w[b], add[b])

    def address(
        self, key: Tensor, strength: Tensor, gate: Tensor, s: Tensor, sharpness: Tensor, last: Tensor
    ) -> Tensor:
        similarity = F.cosine_similarity(self.contents, key.unsqueeze(1), dim=-1, eps=1e-8)
        content = F.softmax(strength * similarity, dim=1)
        gated = gate * content + (1 - gate) * last
        shifted = torch.zeros_like(gated)
        for b in range(len(gated)):
            shifted[b] = shift(gated[b], s[b])
        powers = (shifted + 1e-12) ** sharpness
        return powers / powers.sum(dim=1, keepdim=True)


def shift(w: Tensor, s: Tensor) -> Tensor:
    """The weighting of one sequence, moved round by -J ... J rows."""
    reach = len(s) // 2
    around = torch.cat([w[-reach:], w, w[:reach]])
    return F.conv1d(around.view(1, 1, -1), s.flip(0).view(1, 1, -1)).view(-1)


class Head(nn.Module):
    """What read and write heads have in common: parameters from the controller, and a weighting from these."""

    def __init__(self, n_hidden: int, lengths: list[int]) -> None:
        super().__init__()
        self.lengths = lengths
        self.linear = nn.Linear(n_hidden, sum(lengths))

    def parameters_of(self, h: Tensor) -> list[Tensor]:
        z, ends = self.linear(h), np.cumsum([0, *self.lengths])
        return [z[:, start:end] for start, end in pairwise(ends)]

    def address(self, memory: Memory, key: Tensor, *others: Tensor) -> Tensor:
        strength, gate, s, sharpness, last = others
        return memory.address(
            torch.tanh(key),
            F.softplus(strength),
            torch.sigmoid(gate),
            F.softmax(s, dim=1),
            1 + F.softplus(sharpness),
            last,
        )


class ReadHead(Head):
    def forward(self, h: Tensor, memory: Memory, last: Tensor) -> tuple[Tensor, Tensor]:
        w = self.address(memory, *self.parameters_of(h), last)
        return memory.read(w), w


class WriteHead(Head):
    def forward(self, h: Tensor, memory: Memory, last: Tensor) -> Tensor:
        *parameters, erase, add = self.parameters_of(h)
        w = self.address(memory, *parameters, last)
        memory.write(w, torch.sigmoid(erase), torch.tanh(add))
        return w


class LoopNTM(nn.Module):
    """One read head and one write head around an LSTM."""

    def __init__(self, params: NTMParams, sizes: NTMSizes) -> None:
        super().__init__()
        (_, H), M, S = params.W_z.shape, sizes.width, 2 * sizes.shift_range + 1
        self.sizes, self.n_hidden = sizes, H
        self.controller = nn.LSTM(params.controller.W_x.shape[1], H)
        self.read_head = ReadHead(H, [M, 1, 1, S, 1])
        self.write_head = WriteHead(H, [M, 1, 1, S, 1, M, M])
        counts = [int(np.prod(shape)) for shape in head_shapes(sizes)]
        blocks = np.split(np.arange(sum(counts)), np.cumsum(counts)[:-1])
        first, second = zip(*(np.split(block, 2) for block in blocks[:5]), strict=True)
        self.read_rows, self.write_rows = np.concatenate(first), np.concatenate([*second, *blocks[5:]])
        self.load(params)

    def load(self, params: NTMParams) -> None:
        """Take these weights; rows of W_z as in `companion.heads`."""
        controller, W_z, b_z = params
        values: dict[str, Any] = {
            "controller.weight_ih_l0": controller.W_x,
            "controller.weight_hh_l0": controller.W_h,
            "controller.bias_ih_l0": controller.b,
            "controller.bias_hh_l0": np.zeros_like(controller.b),
        }
        for name, rows in (("read_head", self.read_rows), ("write_head", self.write_rows)):
            values |= {f"{name}.linear.weight": W_z[rows], f"{name}.linear.bias": b_z[rows]}
        self.load_state_dict({name: torch.tensor(value) for name, value in values.items()})

    def gradients(self) -> NTMParams:
        """The gradients of these weights."""
        grads = {name: parameter.grad.numpy() for name, parameter in self.named_parameters()}
        W_x, W_h, b = (grads[f"controller.{name}_l0"] for name in ("weight_ih", "weight_hh", "bias_ih"))
        order = np.argsort(np.concatenate([self.read_rows, self.write_rows]))
        W_z, b_z = (
            np.concatenate([grads[f"{head}.linear.{name}"] for head in ("read_head", "write_head")])[order]
            for name in ("weight", "bias")
        )
        return NTMParams(LSTMParams(W_x, W_h, b), W_z, b_z)

    def forward(self, xs: Tensor) -> Tensor:
        """Outputs (T, B, H + M) for xs (T, B, D)."""
        batch = xs.shape[1]
        memory, reads = Memory(batch, self.sizes), torch.zeros(batch, self.sizes.width)
        state = torch.zeros(1, batch, self.n_hidden), torch.zeros(1, batch, self.n_hidden)
        w_read = w_write = F.one_hot(torch.zeros(batch, dtype=torch.long), self.sizes.rows).to(xs.dtype)
        ys = []
        for x in xs:
            h, state = self.controller(torch.cat([x, reads], dim=1).unsqueeze(0), state)
            h = h.squeeze(0)
            reads, w_read = self.read_head(h, memory, w_read)
            w_write = self.write_head(h, memory, w_write)
            ys.append(torch.cat([h, reads], dim=1))
        return torch.stack(ys)
