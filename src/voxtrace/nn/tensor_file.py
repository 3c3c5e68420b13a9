"""Tensors that ``torch.save`` wrote, from a file that a stranger may have made: no code, no more than the file has.

A checkpoint is a zip archive with a pickle in it. ``weights_only`` keeps code out; here sizes are checked: torch
unpacks whatever an archive promises, and a tensor may claim more numbers than lie behind it.
"""

from __future__ import annotations

import pickle
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch

from voxtrace.nn.finite import tensors_in
from voxtrace.safe_text import brief

_LARGEST_PICKLE = 64 << 20  # bytes; names and numbers beside the tensors


def load_tensors(file: Path, harmless: list[Any] | None = None) -> Any:
    """Return what ``torch.save`` wrote, on the CPU.

    ``harmless`` are classes beside tensors, plain containers and numbers that may occur.

    Raises
    ------
    ValueError
        When it is no such archive, is packed, is damaged, or a tensor claims more numbers than are stored.
    pickle.UnpicklingError
        When it holds other classes.
    OSError
        When it cannot be read.
    """
    _check_archive(file)
    try:
        with torch.serialization.safe_globals(harmless or []), warnings.catch_warnings():
            # torch warns about the pickle's protocol, which does not matter with weights_only
            warnings.simplefilter("ignore", UserWarning)
            found = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, OSError, MemoryError):
        raise
    except Exception as error:  # torch and its unpickler have errors of many classes
        raise ValueError(brief(error)) from error
    for name, tensor in tensors_in(found):
        if tensor.layout != torch.strided or tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise ValueError(f"{brief(name)} claims more numbers than are stored")
    return found


def _check_archive(file: Path) -> None:
    """Refuse what is no archive as torch writes them: nothing in it is packed, so that nothing can grow."""
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            pickled = [one for one in members if one.filename.endswith(".pkl")]
            if any(one.compress_type != zipfile.ZIP_STORED for one in members):
                raise ValueError("a part of it is compressed, which torch never does")
            if sum(one.file_size for one in members) > file.stat().st_size:
                raise ValueError("it promises more bytes than it has")
            if any(one.file_size > _LARGEST_PICKLE for one in pickled):
                raise ValueError(f"its names take more than {_LARGEST_PICKLE >> 20} MiB")
            if any(b"bytearray" in archive.read(one) for one in pickled):
                raise ValueError("it asks for plain memory")
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, UnicodeError) as error:
        raise ValueError(f"it is no archive of torch ({brief(error)})") from error
