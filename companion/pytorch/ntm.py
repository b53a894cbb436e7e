"""The neural Turing machine by autograd, twin of `companion.ntm` (chapter *Neural Turing machines*; Graves et al. 2014).

The stages have the names and shapes of `companion.addressing` and `companion.heads`, where their equations stand; here each is
one function without a way back. B sequences, K heads, N rows of M numbers: weightings w (B, K, N), the memory (B, N, M).

The stages check nothing: to look at numbers on a GPU, a program has to wait for them. A key of zeros is therefore no error, its
cosine with every row is 0; and what is not finite goes on to the loss, where a training loop should look for it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import inf, prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.linalg import vector_norm
from torch.nn.functional import linear, softplus

from companion.addressing import SQUARED_NORM_FLOOR, WEIGHT_FLOOR
from companion.heads import HeadParameters, NTMSizes, head_shapes, head_slices, require_ntm_sizes
from companion.ntm import GATE_BIAS, HEAD_RANGE, MEMORY_START, NoState, NTMState
from companion.pytorch.lstm import LSTM
from companion.pytorch.rnn import weight
from companion.tree import tree_items, tree_leaves
from companion.validate import require_kind, require_range, require_whole

# --- the stages


def content_address(key: Tensor, strength: Tensor, memory: Tensor) -> Tensor:
    """Weighting (B, K, N) of the rows of memory (B, N, M) by their cosine with key (B, K, M), times strength (B, K)."""
    scaled = key * (strength / _norm(key))[:, :, None]  # few numbers: a key is shorter than a weighting
    return torch.softmax(scaled @ memory.mT / _norm(memory)[:, None], dim=2)


def _norm(v: Tensor) -> Tensor:
    # vector_norm goes through the memory once, a sum of squares twice. Its gradient at a row of zeros is 0.
    return torch.sqrt(vector_norm(v, dim=2) ** 2 + SQUARED_NORM_FLOOR)


def interpolate(content: Tensor, gate: Tensor, prev: Tensor) -> Tensor:
    """Weighting g w_c + (1 - g) w' of content (B, K, N) and prev (B, K, N) with gate (B, K)."""
    return prev + gate[:, :, None] * (content - prev)


def shift(w: Tensor, s: Tensor) -> Tensor:
    """Weighting (B, K, N) moved round by -J ... J rows; s (B, K, 2J + 1) says how likely each move is, in this order."""
    reach = s.shape[2] // 2
    moves = zip(s[..., None].unbind(2), range(-reach, reach + 1))
    return sum((s_j * w.roll(j, dims=2) for s_j, j in moves), start=torch.zeros_like(w))


def sharpen(w: Tensor, sharpness: Tensor) -> Tensor:
    """Weighting w^gamma / sum w^gamma of w (B, K, N) with sharpness gamma (B, K), as softmax(gamma log w)."""
    return torch.softmax(sharpness[:, :, None] * torch.log(w + WEIGHT_FLOOR), dim=2)


def read(memory: Tensor, w: Tensor) -> Tensor:
    """What the heads see: (B, K, M), rows of memory (B, N, M) averaged with w (B, K, N)."""
    return w @ memory


def erase_add(memory: Tensor, w: Tensor, erase: Tensor, add: Tensor) -> Tensor:
    """Memory (B, N, M) after K heads with weightings w (B, K, N) erased a share (B, K, M) in 0 ... 1, and added (B, K, M)."""
    kept = memory
    for w_k, erase_k in zip(w.unbind(1), erase.unbind(1)):
        kept = torch.addcmul(kept, kept, w_k[:, :, None] * erase_k[:, None], value=-1)  # kept (1 - w e)
    return torch.baddbmm(kept, w.mT, add)


def head_parameters(sizes: NTMSizes, z: Tensor) -> HeadParameters:
    """What a linear map z (B, P) says to the heads, each number squashed into its range."""
    shapes = head_shapes(sizes)
    parts = torch.split(z, [prod(shape) for shape in shapes], dim=1)
    blocks: Any = [part.view(len(z), *shape) for part, shape in zip(parts, shapes)]
    raw: Any = HeadParameters(*blocks)
    return HeadParameters(
        raw.key.tanh(),
        _softplus(raw.strength),
        raw.gate.sigmoid(),
        raw.s.softmax(dim=2),
        1 + _softplus(raw.sharpness),
        raw.erase.sigmoid(),
        raw.add.tanh(),
    )


def _softplus(z: Any) -> Any:
    # Above the threshold torch returns z. Its own, 20, leaves out e^-20 = 2e-9, which a float64 still holds.
    return softplus(z, threshold=40)


def address(heads: Any, memory: Tensor, prev: Tensor) -> Tensor:
    """The next weighting (B, K, N) of every head, from memory (B, N, M) and the weighting before (B, K, N)."""
    w_c = content_address(heads.key, heads.strength, memory)
    w_g = interpolate(w_c, heads.gate, prev)
    w_s = shift(w_g, heads.s)
    return sharpen(w_s, heads.sharpness)


# --- the machine


class Feedforward(nn.Module):
    """Twin of `companion.ntm.Feedforward`, a controller without a memory of its own."""

    def __init__(self, n_in: int, n_hidden: int) -> None:
        super().__init__()
        self.W_x = weight(n_hidden, n_in, n_hidden)  # (H, D)
        self.b = nn.Parameter(torch.zeros(n_hidden))  # (H,)

    def initial_state(self, batch: int) -> NoState:
        """Nothing."""
        return NoState()

    def forward(self, x: Tensor, state: NoState) -> tuple[Tensor, NoState]:
        """One step: x (B, D) -> y = h (B, H)."""
        return torch.tanh(linear(x, self.W_x, self.b)), state


Controller = partial(LSTM, forget_bias=0.0)


class NTM(nn.Module):
    """Twin of `companion.ntm.ntm(controller, rows, width, read_heads, write_heads, shift_range, gate_bias)`.

    `controller` makes the twin of a cell from its numbers of inputs and of units, as the classes `LSTM` and `Feedforward` do.
    Raises ValueError as `companion.ntm.ntm` does.
    """

    def __init__(
        self,
        n_in: int,
        n_hidden: int,
        controller: Callable[[int, int], nn.Module] = Controller,
        rows: int = 128,
        width: int = 20,
        read_heads: int = 1,
        write_heads: int = 1,
        shift_range: int = 1,
        gate_bias: float = GATE_BIAS,
    ) -> None:
        super().__init__()
        sizes = NTMSizes(rows, width, read_heads, write_heads, shift_range)
        _require_sizes(n_in, n_hidden, controller, sizes, gate_bias)
        P, gates = sum(map(prod, head_shapes(sizes))), head_slices(sizes).gate
        self.controller = controller(n_in + read_heads * width, n_hidden)
        self.W_z = weight(P, n_hidden, n_hidden)  # (P, H)
        self.b_z = nn.Parameter(weight(1, P, n_hidden)[0].detach())  # (P,)
        with torch.no_grad():
            self.W_z.mul_(HEAD_RANGE)
            self.b_z[gates] = gate_bias
        self.n_in, self.sizes = n_in, sizes

    def initial_state(self, batch: int, rows: int | None = None) -> NTMState:
        """Controller and reads at 0, memory at 1e-6, every head wholly at row 0; `rows` gives it another memory than its own.

        Raises ValueError as `companion.ntm.ntm_initial_state` does.
        """
        own, width, read_heads, write_heads, _ = self.sizes
        rows = own if rows is None else rows
        require_whole("NTM.initial_state", "batch", batch, 1)
        require_ntm_sizes("NTM.initial_state", self.sizes._replace(rows=rows))
        memory: Any = self.W_z.new_full((batch, rows, width), MEMORY_START)
        w: Any = self.W_z.new_zeros(batch, read_heads + write_heads, rows)
        w[:, :, 0] = 1
        reads: Any = self.W_z.new_zeros(batch, read_heads, width)
        return NTMState(self.controller.initial_state(batch), memory, w, reads)  # type: ignore[operator]

    def forward(self, x: Tensor, state: NTMState) -> tuple[Tensor, NTMState]:
        """One step: x (B, D) -> y = [h, reads] (B, H + R M) and the next state.

        Raises ValueError for shapes that do not fit; the state may have another number of rows than this machine's.
        """
        _require_shape("NTM.forward", "x", x, "B", self.n_in)
        self._require_state("NTM.forward", state, len(x))
        return self._step(x, state)

    def run(self, xs: Tensor, state: NTMState | None = None) -> tuple[Tensor, NTMState]:
        """A sequence: xs (T, B, D) -> ys (T, B, H + R M) and the last state. Errors as those of a step."""
        _require_shape("NTM.run", "xs", xs, "T", "B", self.n_in)
        state = self.initial_state(xs.shape[1]) if state is None else state
        self._require_state("NTM.run", state, xs.shape[1])
        ys = []
        for x in xs.unbind():
            y, state = self._step(x, state)
            ys.append(y)
        return torch.stack(ys), state

    def _step(self, x: Tensor, state: Any) -> tuple[Tensor, NTMState]:
        seen = torch.cat([x, state.reads.flatten(1)], dim=1)
        h, inner = self.controller(seen, state.controller)
        heads: Any = head_parameters(self.sizes, linear(h, self.W_z, self.b_z))
        w: Any = address(heads, state.memory, state.w)
        w_read, w_write = w.split([self.sizes.read_heads, self.sizes.write_heads], dim=1)
        reads: Any = read(state.memory, w_read)
        memory: Any = erase_add(state.memory, w_write, heads.erase, heads.add)
        return torch.cat([h, reads.flatten(1)], dim=1), NTMState(inner, memory, w, reads)

    def _require_state(self, function: str, state: Any, batch: int) -> None:
        require_kind(function, "state", state, NTMState)
        _, width, read_heads, write_heads, _ = self.sizes
        _require_shape(function, "state.memory", state.memory, batch, "N", width)
        rows = state.memory.shape[1]
        _require_shape(function, "state.w", state.w, batch, read_heads + write_heads, rows)
        _require_shape(function, "state.reads", state.reads, batch, read_heads, width)
        require_ntm_sizes(function, self.sizes._replace(rows=rows))
        inner = self.controller.initial_state(batch)  # type: ignore[operator]
        require_kind(function, "state.controller", state.controller, type(inner))
        for (name, tensor), like in zip(tree_items(state.controller), tree_leaves(inner)):
            _require_shape(function, f"state.controller.{name}", tensor, *like.shape)


# --- what the machine asks of its arguments


def _require_sizes(n_in: int, n_hidden: int, controller: object, sizes: NTMSizes, gate_bias: float) -> None:
    if isinstance(controller, nn.Module) or not callable(controller):
        raise ValueError(
            f"NTM: controller is {controller!r:.60}, expected what makes one, such as the class LSTM of companion.pytorch.lstm"
        )
    for name, number in (("n_in", n_in), ("n_hidden", n_hidden)):
        require_whole("NTM", name, number, 1)
    require_ntm_sizes("NTM", sizes)
    require_range("NTM", "gate_bias", gate_bias, -inf, inf, "()")


def _require_shape(function: str, name: str, tensor: object, *axes: int | str) -> None:
    """Raise ValueError unless `tensor` has these axes: a number is a size to match, a letter any size except 0."""
    if not isinstance(tensor, Tensor):
        raise ValueError(f"{function}: {name} is a {type(tensor).__name__}, expected a tensor")
    shape = tuple(tensor.shape)
    fits = len(shape) == len(axes) and all(
        size == axis or (isinstance(axis, str) and size >= 1) for size, axis in zip(shape, axes)
    )
    if not fits:
        expected = ", ".join(map(str, axes))
        raise ValueError(f"{function}: {name} has shape {shape}, expected ({expected})")
