"""Where a recipe runs: the device, the precision, and which of how many processes this is.

`torchrun` starts the processes and tells each of them its rank in the environment; PyTorch's own DistributedDataParallel
averages their gradients, through gloo on CPUs and NCCL on GPUs. Nothing of that is written here.
"""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, distributed

from companion.validate import require_known

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class Place(NamedTuple):
    """A device and a rank."""

    device: torch.device = torch.device("cpu")
    precision: str = "float32"  # of the products inside the model; weights and sums stay in float32
    rank: int = 0
    n_processes: int = 1

    @property
    def writes(self) -> bool:
        """Whether this process writes files and prints: one of them does."""
        return self.rank == 0

    def columns(self, batch: int) -> slice:
        """The columns of a batch that are for this process; raises ValueError when they cannot be shared out evenly."""
        if batch % self.n_processes:
            raise ValueError(
                f"train: batch is {batch}, expected a multiple of the {self.n_processes} processes that share it"
            )
        size = batch // self.n_processes
        return slice(self.rank * size, (self.rank + 1) * size)

    def autocast(self) -> torch.autocast:
        """A context in which products are computed in the precision."""
        return torch.autocast(
            self.device.type,
            PRECISIONS[self.precision],
            enabled=self.precision != "float32",
        )

    def together(self, xs: Tensor) -> Tensor:
        """The columns (axis 1) of all processes side by side, on each of them."""
        if self.n_processes == 1:
            return xs
        shares = [torch.empty_like(xs) for _ in range(self.n_processes)]
        distributed.all_gather(shares, xs.contiguous())
        return torch.cat(shares, dim=1)

    def sum(self, value: float) -> float:
        """The sum of a number over all processes."""
        if self.n_processes == 1:
            return value
        total = torch.tensor(value, dtype=torch.float64, device=self.device)
        distributed.all_reduce(total)
        return float(total)


@contextlib.contextmanager
def enter(device: str = "auto", precision: str = "float32") -> Iterator[Place]:
    """The place that is asked for; under `torchrun`, one of its processes, connected with the others.

    Raises ValueError for a device that is not there, and for a precision in which it cannot run an LSTM.
    """
    require_known("recipes", "precision", precision, PRECISIONS)
    rank, n_processes, local_rank = (int(os.environ.get(name, k)) for name, k in _TORCHRUN)
    place = Place(_device(device, local_rank), precision, rank, n_processes)
    _require_precision(place)
    if "WORLD_SIZE" not in os.environ:
        yield place
        return
    _meet("nccl" if place.device.type == "cuda" else "gloo")
    try:
        yield place
    finally:
        distributed.destroy_process_group()


def _meet(backend: str) -> None:
    """Connect the processes.

    On one machine, torchrun keeps the store in which they find each other's addresses when it starts them anew. So each
    start uses names of its own there: the restarted would find the addresses of the dead.
    """
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True" or os.environ.get("GROUP_WORLD_SIZE") != "1":
        distributed.init_process_group(backend)
        return
    torch_distributed: Any = distributed  # the types of PyTorch leave out these two
    store, rank, n_processes = next(torch_distributed.rendezvous("env://"))
    own = torch_distributed.PrefixStore(f"start-{os.environ['TORCHELASTIC_RESTART_COUNT']}", store)
    distributed.init_process_group(backend, store=own, rank=rank, world_size=n_processes)


_TORCHRUN = (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_RANK", 0))


def launch() -> str:
    """What tells one call of `torchrun` from another: the process of its agent; empty without torchrun."""
    return f"{platform.node()}-{os.getppid()}" if "TORCHELASTIC_RESTART_COUNT" in os.environ else ""


def restarted() -> bool:
    """Whether `torchrun` started this process anew after a fault."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", 0)) > 0


def _device(name: str, local_rank: int) -> torch.device:
    require_known("recipes", "device", name, {"auto": 0, "cpu": 0, "cuda": 0})
    n_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    all_have_one = n_gpus >= int(os.environ.get("LOCAL_WORLD_SIZE", 1))
    if name == "cpu" or (name == "auto" and not all_have_one):
        return torch.device("cpu")
    if n_gpus <= local_rank:
        raise ValueError(
            f"recipes: device is 'cuda' for process {local_rank} of this machine, expected 'cpu' or 'auto': "
            f"PyTorch {torch.__version__} finds {n_gpus} GPUs"
        )
    torch.cuda.set_device(local_rank)
    return torch.device("cuda", local_rank)


def _require_precision(place: Place) -> None:
    """Try a small LSTM: whether a device knows a precision is not written anywhere in one place."""
    if place.precision == "float32":
        return
    with torch.random.fork_rng(devices=[]):  # its weights are drawn from the caller's generator
        layer = torch.nn.LSTM(2, 3, dtype=torch.float32).to(place.device)
    try:
        with place.autocast():
            ys, _ = layer(torch.ones(2, 1, 2, device=place.device))
        ys.float().sum().backward()
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"recipes: precision is {place.precision!r}, but an LSTM does not run in it on {place.device}, expected 'float32' "
            f"({reason})"
        ) from error
