"""Checkpoints: tensors as safetensors, everything else as one JSON file beside them; never a pickle.

The JSON file is written last and names the other file with its checksum, so that a folder holds one whole checkpoint at every
moment: the old one until the new one is complete. What an interrupted writer left behind goes with the next checkpoint.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from companion.files import TEMPORARY, write_atomically
from companion.files import sha256 as checksum

if TYPE_CHECKING:  # headers can be read, and recipes listed, without PyTorch
    from torch import Tensor

FORMAT = 1
HEADER = "checkpoint.json"
# What a header must have, and of which type.
FIELDS = {
    "format": int,
    "recipe": str,
    "seed": int,
    "step": int,
    "settings": dict,
    "inputs": list,
    "outputs": list,
    "data_sha256": str,
    "metrics": dict,
    "seconds": float,
    "versions": dict,
    "weights": str,
    "weights_sha256": str,
}


class Checkpoint(NamedTuple):
    """What a run is at one step."""

    header: dict[str, Any]  # the JSON file
    tensors: dict[str, Tensor]  # "model.*", and what training needs besides


def write(folder: Path, header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Make this the checkpoint of the folder, in one step.

    `header` has the FIELDS without the last two and the format. Raises ValueError when the files cannot be written; then the
    folder has the checkpoint that it had before.
    """
    import safetensors.torch

    contents = safetensors.torch.save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    digest = _digest(contents)
    # Named by what it holds: the file of the old header is never written over.
    weights = f"step-{header['step']:08d}-{digest[:8]}.safetensors"
    whole = {"format": FORMAT, **header, "weights": weights, "weights_sha256": digest}
    try:
        write_atomically(folder / weights, contents)
        write_atomically(folder / HEADER, (json.dumps(whole, indent=1, ensure_ascii=False) + "\n").encode())
    except OSError as error:
        raise ValueError(
            f"cannot write a checkpoint into {folder}: {error.strerror or error}; {last_good(folder)}"
        ) from error
    _tidy(folder, weights)


def read(folder: Path) -> Checkpoint:
    """The checkpoint of a folder. Raises ValueError when there is none, or it is not whole, saying what is wrong with it."""
    import safetensors.torch

    header = read_header(folder / HEADER)
    path = folder / header["weights"]
    if path.parent != folder or not path.is_file():
        raise ValueError(f"{folder / HEADER} names {header['weights']!r}, expected a file beside it")
    if checksum(path) != header["weights_sha256"]:
        raise ValueError(
            f"{path} is corrupt: its SHA-256 differs from weights_sha256 in {HEADER}; expected the file as written"
        )
    return Checkpoint(header, safetensors.torch.load_file(path))


def read_header(path: Path) -> dict[str, Any]:
    """The JSON file of a checkpoint; raises ValueError when it cannot be read or a field is missing or of another type."""
    try:
        header = json.loads(path.read_bytes())
    except OSError as error:
        raise ValueError(f"cannot read the checkpoint {path}: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"{path} is corrupt: it is not JSON ({error})") from error
    if not isinstance(header, dict):
        raise ValueError(f"{path} holds a {type(header).__name__}, expected an object with the fields of a checkpoint")
    if header.get("format") != FORMAT:
        raise ValueError(f"{path} has format {header.get('format')!r}, expected {FORMAT}: it is of another version")
    for name, kind in FIELDS.items():
        if not isinstance(header.get(name), kind):
            raise ValueError(f"{path}: {name} is {header.get(name)!r:.60}, expected {_KINDS[kind]}")
    return header


_KINDS = {int: "a whole number", str: "text", dict: "an object", list: "a list", float: "a number with a decimal point"}


def exists(folder: Path) -> bool:
    """Whether a folder has a checkpoint."""
    return (folder / HEADER).is_file()


def _digest(contents: bytes) -> str:
    import hashlib

    return hashlib.sha256(contents).hexdigest()


def last_good(folder: Path) -> str:
    """The step of the folder's checkpoint, in words."""
    if not exists(folder):
        return "it has no checkpoint"
    return f"its last good checkpoint is that of step {read_header(folder / HEADER)['step']}"


def _tidy(folder: Path, weights: str) -> None:
    """Remove the weights of older checkpoints and what writers that were killed left behind."""
    for path in [*folder.glob("step-*.safetensors"), *folder.glob(f".*{TEMPORARY}")]:
        if path.name != weights:
            path.unlink(missing_ok=True)
