"""The text of ``--profile``, taken apart and put together; and the definition behind its name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from harden.errors import ProfileError, SettingsError
from harden.parsing import LARGEST_TOML, read_text
from harden.registry import DEVICES

_SAMPLER = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def split_text(text: str) -> tuple[str, dict[str, str]]:
    """Split ``NAME[:key=value,...]``; commas in parentheses belong to a value.

    Raises:
        SettingsError: A part is not key=value, or a key comes twice; all of them are listed.

    Example:
        >>> split_text("gaussian:sigma=lognormal(0.1,0.3),relative_to=weight")
        ('gaussian', {'sigma': 'lognormal(0.1,0.3)', 'relative_to': 'weight'})
        >>> split_text("my_lab.chips:sample:spread=2")
        ('my_lab.chips:sample', {'spread': '2'})
    """
    name, rest = _split_name(text.strip())
    knobs: dict[str, str] = {}
    problems: list[str] = []
    for part in re.split(r",(?![^()]*\))", rest) if rest else []:
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not key or not value:
            problems.append(f"'{part.strip()}': expected key=value")
        elif key in knobs:
            problems.append(f"{key}: given twice")
        else:
            knobs[key] = value
    if problems:
        raise SettingsError(f"cannot read profile '{text}'", fix="Write NAME:key=value,key=value.", problems=problems)
    return name, knobs


def join_text(name: str, knobs: Mapping[str, object]) -> str:
    """The text that :func:`split_text` splits.

    Example:
        >>> join_text("gaussian", {"sigma": 0.3}), join_text("pcm", {})
        ('gaussian:sigma=0.3', 'pcm')
    """
    return f"{name}:{','.join(f'{key}={value}' for key, value in knobs.items())}" if knobs else name


def _split_name(text: str) -> tuple[str, str]:
    end = text.find(".toml")
    if end >= 0:
        end += len(".toml")
        return text[:end], text[end:].removeprefix(":")
    match = _SAMPLER.match(text)
    if match and text[match.end() : match.end() + 1] in ("", ":") and text.partition(":")[0] not in DEVICES:
        return match[0], text[match.end() :].removeprefix(":")
    name, _, rest = text.partition(":")
    return name, rest


def find_definition(name: str) -> tuple[str, str]:
    """The name to show, and the TOML text, of a profile.

    Raises:
        UnknownNameError: Neither a shipped device nor a file.
        ProfileError: The file cannot be read.
    """
    if name in DEVICES:
        return name, DEVICES.text(name)
    path = Path(name)
    if name.endswith(".toml") or path.is_file():
        return path.stem, read_text(path, LARGEST_TOML, ProfileError)
    if _SAMPLER.fullmatch(name):
        return name, f'summary = "black-box sampler {name}"\ncitation = "{name}"\n[sampler]\nfunction = "{name}"\n'
    return name, DEVICES.text(name)
