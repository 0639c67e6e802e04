"""Whatever a file holds: what it means, or a HardenError."""

from __future__ import annotations

from pathlib import Path

import pytest
import targets
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

FUZZ = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
# Text that parsers stumble over: nesting, endless numbers, dates, odd keys.
ODD = st.sampled_from(
    ["[" * 300, "{" * 300, "9" * 5000, "1979-05-27", "inf", "nan", "-0.0", '"""', "a.b.c.d = 1\n", "[[a]]\n",
     "[a]\n", "\0", "true", "$sigma", "profile = 3\n", "at = [[]]\n", "chips = 1e400\n", "options = 1\n", "mean = {}\n"]
)  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    found = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(found) - 1, 0)))
        kind = draw(st.sampled_from(["set", "cut", "insert", "odd", "drop", "double"]))
        if kind == "set" and found:
            found[at] = draw(st.integers(0, 255))
        elif kind == "cut":
            del found[at:]
        elif kind == "insert":
            found[at:at] = draw(st.binary(max_size=8))
        elif kind == "odd":
            found[at:at] = draw(ODD).encode()
        elif kind == "double":
            found[at:at] = found[at : at + draw(st.integers(1, 64))]
        else:
            del found[at : at + draw(st.integers(1, 16))]
    return bytes(found)


@pytest.mark.parametrize("name", [name for name in targets.TARGETS if name not in ("parquet", "csv", "npz")])
@given(data=st.data())
@FUZZ
def test_damaged_files(tmp_path: Path, name: str, data: st.DataObject) -> None:
    targets.attempt(name, data.draw(damaged(targets.TARGETS[name][2])), tmp_path)


@pytest.mark.parametrize("name", ["settings", "profile", "measurements"])
@given(text=st.text(max_size=80) | st.lists(ODD, max_size=4).map("".join))
@FUZZ
def test_arbitrary_text(tmp_path: Path, name: str, text: str) -> None:
    targets.attempt(name, text.encode("utf-8", "surrogatepass"), tmp_path)


@pytest.mark.parametrize("name", sorted(targets.TARGETS))
def test_the_seeds_themselves_are_read(tmp_path: Path, name: str) -> None:
    read, file, content = targets.TARGETS[name]
    (tmp_path / file).write_bytes(content)
    read(tmp_path / file)


# Keys with every kind of value, well-formed: what the types do not catch must be caught by what they mean.
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


@given(values=st.dictionaries(st.sampled_from(sorted(targets.FitSettings.model_fields)), VALUES, max_size=5))
@settings(deadline=None, max_examples=200)
def test_settings_of_any_kind(values: dict[str, object]) -> None:
    with targets.contextlib.suppress(targets.HardenError):
        targets.resolve(targets.FitSettings, {"model": "a.onnx", **values}, None)
