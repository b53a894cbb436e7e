"""Checkpoints: tensors as safetensors, everything else as one JSON file beside them; never a pickle.

The JSON file is written last and names the other file with its checksum, so that a folder holds one whole checkpoint at every
moment: the old one until the new one is complete. What an interrupted writer left behind goes with the next checkpoint.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from companion.files import TEMPORARY, write_atomically

if TYPE_CHECKING:  # headers can be read, and recipes listed, without PyTorch
    from torch import Tensor

FORMAT = 1
HEADER = "checkpoint.json"
# The names that `write` and `write_atomically` give; other files in the folder are not ours.
WEIGHTS = re.compile(r"step-\d{8,}-[0-9a-f]{8}\.safetensors")
UNFINISHED = re.compile(rf"\..+\.\d+{re.escape(TEMPORARY)}")
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
    digest = hashlib.sha256(contents).hexdigest()
    weights = _name(header["step"], digest)
    whole = {"format": FORMAT, **header, "weights": weights, "weights_sha256": digest}
    try:
        write_atomically(folder / weights, contents)
        write_atomically(folder / HEADER, (json.dumps(whole, indent=1, ensure_ascii=False) + "\n").encode())
    except OSError as error:
        tidy(folder)  # a disk that is full needs the room
        raise ValueError(
            f"cannot write a checkpoint into {folder}: {error.strerror or error}; {last_good(folder)}"
        ) from error
    tidy(folder)


def read(folder: Path) -> Checkpoint:
    """The checkpoint of a folder. Raises ValueError when there is none, or it is not whole, saying what is wrong with it."""
    import safetensors.torch

    header = read_header(folder / HEADER)
    expected = _name(header["step"], header["weights_sha256"])
    if header["weights"] != expected:
        raise ValueError(
            f"{folder / HEADER}: weights is {header['weights']!r:.80}, expected {expected!r:.80} from step and weights_sha256"
        )
    path = folder / expected
    try:
        contents = path.read_bytes()
    except OSError as error:
        raise ValueError(f"cannot read {path}, the weights of the checkpoint: {error.strerror}") from error
    if hashlib.sha256(contents).hexdigest() != header["weights_sha256"]:
        raise ValueError(
            f"{path} is corrupt: its SHA-256 differs from weights_sha256 in {HEADER}; expected the file as written"
        )
    try:
        return Checkpoint(header, safetensors.torch.load(contents))
    except safetensors.SafetensorError as error:
        raise ValueError(f"{path} is corrupt: it is not safetensors ({error})") from error


def read_header(path: Path) -> dict[str, Any]:
    """The JSON file of a checkpoint; raises ValueError when it cannot be read or a field is missing or of another type."""
    try:
        header = json.loads(path.read_bytes())
    except OSError as error:
        raise ValueError(f"cannot read the checkpoint {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is corrupt: it is not JSON ({error})") from error
    if not isinstance(header, dict):
        raise ValueError(f"{path} holds a {type(header).__name__}, expected an object with the fields of a checkpoint")
    if header.get("format") != FORMAT:
        raise ValueError(f"{path} has format {header.get('format')!r}, expected {FORMAT}: it is of another version")
    for name, kind in FIELDS.items():
        if type(header.get(name)) is not kind:  # True is no whole number
            raise ValueError(f"{path}: {name} is {header.get(name)!r:.60}, expected {_KINDS[kind]}")
    return header


_KINDS = {int: "a whole number", str: "text", dict: "an object", list: "a list", float: "a number with a decimal point"}


def exists(folder: Path) -> bool:
    """Whether a folder has a checkpoint."""
    try:
        return (folder / HEADER).is_file()
    except OSError as error:
        raise ValueError(f"cannot read the folder {folder}: {error.strerror}") from error


def _name(step: int, digest: str) -> str:
    """What the weights are called: by what they hold, so that the file of the old header is never written over."""
    return f"step-{step:08d}-{digest[:8]}.safetensors"


def last_good(folder: Path) -> str:
    """The step of the folder's checkpoint, in words."""
    if not exists(folder):
        return "it has no checkpoint"
    return f"its last good checkpoint is that of step {read_header(folder / HEADER)['step']}"


def tidy(folder: Path) -> None:
    """Remove the weights of other checkpoints and what writers that were killed left behind, and no file of anyone else."""
    used = read_header(folder / HEADER)["weights"] if exists(folder) else ""
    for path in folder.glob("*"):
        if (WEIGHTS.fullmatch(path.name) and path.name != used) or UNFINISHED.fullmatch(path.name):
            with contextlib.suppress(OSError):
                path.unlink()
