"""The user's own loader: ``package.module:function``, imported from the working directory or the environment."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from typing import Any

from harden.data.samples import read_samples
from harden.data.sources.base import Examples, Request, digest_values
from harden.errors import DataError, HardenError

ACCEPTS = "module:function that returns (x, y) or pairs of example and label"
RESERVED = ("hf", "timm", "torchvision")


def accepts(source: str) -> bool:
    """Whether the source reads ``module:function``, is no file, and begins with no other form's name."""
    named = re.fullmatch(r"([A-Za-z_][\w.]*):[A-Za-z_]\w*", source)
    return named is not None and named[1] not in RESERVED and not Path(source).exists()


def read(source: str, request: Request) -> Examples:
    """Call the function without arguments.

    It returns arrays ``(x, y)`` (or ``x`` alone where labels are not asked for), a map-style data set, or an iterable
    of (example, label).

    Raises:
        DataError: It cannot be imported, raises, or returns something else.
    """
    function = _function(source)
    try:
        loaded = function()
        if _is_array(loaded):
            loaded = (loaded, None)
        if isinstance(loaded, tuple) and len(loaded) == 2 and _is_array(loaded[0]):
            return _of_arrays(*loaded, source, request)
        return read_samples(loaded, source, request)
    except HardenError:
        raise
    except Exception as error:  # whatever the user's code raises
        said = " ".join(str(error).split())
        fix = "It is called without arguments, and returns (x, y) or pairs of example and label"
        raise DataError(f"the loader raised {type(error).__name__}: {said}", where=source, fix=fix) from error


def _function(source: str) -> Any:
    module, _, name = source.partition(":")
    sys.path.insert(0, "")
    try:
        function = getattr(importlib.import_module(module), name)
    except Exception as error:  # the module is the user's code, and runs when imported
        what = f"cannot be imported: {type(error).__name__}: {' '.join(str(error).split())}"
        raise DataError(what, where=source, fix="Run where the module is, or install it") from error
    finally:
        sys.path.remove("")
    if not callable(function):
        raise DataError("is not a function", where=source, fix="Name a function without arguments")
    return function


def _is_array(value: Any) -> bool:
    return hasattr(value, "shape") and hasattr(value, "__len__")


def _of_arrays(x: Any, y: Any, source: str, request: Request) -> Examples:
    import numpy as np

    values, labels = np.asarray(x), None
    if request.labelled:
        if y is None:
            raise DataError("the loader returns no labels", where=source, fix="Return (x, y)")
        labels = np.asarray(y)
        if labels.shape[:1] != values.shape[:1]:
            what = f"{len(values)} examples and labels of shape {list(labels.shape)}"
            raise DataError(what, where=source, fix="x and y need the same length")
        labels = labels[: request.limit]
    values = values[: request.limit]
    return Examples(values, labels, f"{source}, labels", digest_values(values, labels))
