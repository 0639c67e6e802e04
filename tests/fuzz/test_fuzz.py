"""Whatever a file holds: what it means, or a HardenError."""

from __future__ import annotations

import pytest
import targets
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strategies import ODD, damaged

FUZZ = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("name", [name for name in targets.TARGETS if name not in ("parquet", "csv", "npz")])
@given(data=st.data())
@FUZZ
def test_damaged_files(tmp_path, name, data):
    targets.attempt(name, data.draw(damaged(targets.TARGETS[name][2])), tmp_path)


@pytest.mark.parametrize("name", ["settings", "profile", "measurements"])
@given(text=st.text(max_size=80) | st.lists(ODD, max_size=4).map("".join))
@FUZZ
def test_arbitrary_text(tmp_path, name, text):
    targets.attempt(name, text.encode("utf-8", "surrogatepass"), tmp_path)


@pytest.mark.parametrize("name", sorted(targets.TARGETS))
def test_the_seeds_themselves_are_read(tmp_path, name):
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
def test_settings_of_any_kind(values):
    with targets.contextlib.suppress(targets.HardenError):
        targets.resolve(targets.FitSettings, {"model": "a.onnx", **values}, None)
