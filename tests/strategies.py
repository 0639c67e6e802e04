"""Broken files for hypothesis: a good one with some of its bytes changed."""

from __future__ import annotations

from hypothesis import strategies as st

# Text that parsers stumble over: nesting, endless numbers, dates, odd keys.
ODD = st.sampled_from(
    ["[" * 300, "{" * 300, "9" * 5000, "1979-05-27", "inf", "nan", "-0.0", '"""', "a.b.c.d = 1\n", "[[a]]\n",
     "[a]\n", "\0", "true", "$sigma", "profile = 3\n", "at = [[]]\n", "chips = 1e400\n", "options = 1\n", "mean = {}\n"]
)  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """``content`` with one to four places flipped, overwritten, doubled, cut out, put in, or the end cut off."""
    found = bytearray(content)
    for _ in range(draw(st.integers(1, 4))):
        if not found:
            break
        at = draw(st.integers(0, len(found) - 1))
        length = draw(st.integers(1, 16))
        kind = draw(st.sampled_from(["flip", "overwrite", "double", "drop", "insert", "odd", "end"]))
        if kind == "flip":
            found[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "overwrite":
            found[at : at + length] = draw(st.binary(min_size=length, max_size=length))
        elif kind == "double":
            found[at:at] = found[at : at + 4 * length]
        elif kind == "drop":
            del found[at : at + length]
        elif kind == "insert":
            found[at:at] = draw(st.binary(max_size=8))
        elif kind == "odd":
            found[at:at] = draw(ODD).encode()
        else:
            del found[at:]
    return bytes(found)
