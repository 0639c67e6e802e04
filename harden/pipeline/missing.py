"""What a command still needs, and the lines of harden.toml that would supply it."""

from __future__ import annotations

from harden.errors import SettingsError
from harden.settings import FILE, Settings

_LINES = {
    "model": 'model = "model.onnx"            # or timm:NAME',
    "profile": 'profile = "rram1"               # the noise of the hardware; see harden profiles list',
    "data": 'data = "train.parquet"          # parquet, a folder of images, or .npz',
}
_EXAMPLES_LINE = 'test = "test.parquet"           # parquet, a folder of images, or .npz'
_TEST_LINE = 'test = "test.parquet"           # what to report on; optional'


def require(settings: Settings, *names: str) -> None:
    """Check that settings which have no default are there.

    Args:
        settings: The command's settings.
        names: The fields it cannot do without.

    Raises:
        SettingsError: Any is absent; shows the flags and the lines to add to harden.toml.
    """
    absent = [name for name in names if not getattr(settings, name)]
    if not absent:
        return
    flags = " and ".join(f"--{name}" for name in absent)
    trains = "method" in type(settings).model_fields
    lines = [_LINES[name] for name in absent]
    if "data" in absent:
        lines = [line for line in lines if line != _LINES["data"]]
        lines += [_LINES["data"], _TEST_LINE] if trains else [_EXAMPLES_LINE]
    hint = ". Without data: harden fit MODEL --method rescale" if trains else ""
    text = f"{flags} {'is' if len(absent) == 1 else 'are'} missing"
    if len(lines) == 1:
        raise SettingsError(text, fix=f"Give it, or put this line into {FILE} in this folder: {lines[0]}")
    raise SettingsError(
        text, fix=f"Give the flags, or put these lines into {FILE} in this folder{hint}", problems=lines
    )
