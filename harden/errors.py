"""Every error harden raises on purpose, and the exit code of the command that meets it.

::

    HardenError                      1  a bug, unless a subclass says otherwise
    ├── SettingsError                2  a wrong flag or setting
    │   ├── UnknownNameError         2  a name nobody registered (did you mean ...?)
    │   ├── RunFolderError           2  the folder holds another run, or is in use
    │   └── UnmeetableError          2  a --require that so few chips can never meet
    ├── InputError                   3  an unreadable, malformed or unsupported file
    │   ├── ModelError               3  the model
    │   │   └── UnsupportedError     3  operators or weights that harden cannot train
    │   ├── DataError                3  the data
    │   │   └── PreprocessError      3  nobody said how images become inputs
    │   ├── ProfileError             3  a noise profile
    │   └── MissingExtraError        3  an optional package that is not installed
    ├── WriteError                   3  a file cannot be written: a full disk, a read-only folder
    ├── DivergedError                4  training diverged; the last good state is kept
    ├── VerificationError            5  the exported file does not compute what was trained
    │   └── CanaryError              5  noise does not reach a tensor in ONNX Runtime
    └── RequirementError             6  the run is fine, a --require is not met

An error says what happened, where, and what to do about it. It is one line unless it lists several problems.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class HardenError(Exception):
    """Base of all errors that are meant for the user.

    Args:
        what: What happened, one sentence without a final full stop.
        where: File, field, node, tensor or item it happened at.
        fix: What the user can do about it.
        problems: Every fault, where several were found; a line each.
    """

    exit_code = 1

    def __init__(
        self,
        what: str,
        *,
        where: str | None = None,
        fix: str | None = None,
        problems: Sequence[str] = (),
    ) -> None:
        self.what = what
        self.where = where
        self.fix = fix
        self.problems = tuple(problems)
        super().__init__(str(self))

    def __str__(self) -> str:
        # A file's name may hold a line break; a message is one line.
        place = "\\n".join(str(self.where).splitlines()) if self.where else ""
        text = f"{place}: {self.what}" if place else self.what
        if len(self.problems) == 1:
            text = f"{text}: {self.problems[0]}"
        text = f"{text}. {self.fix}" if self.fix else text
        return "\n".join([text, *(f"  - {problem}" for problem in self.problems if len(self.problems) > 1)])

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.__dict__.copy(), self.args)


def _rebuild(kind: type[HardenError], state: dict[str, object], args: tuple[object, ...]) -> HardenError:
    error = kind.__new__(kind)
    error.__dict__.update(state)
    error.args = args
    return error


class SettingsError(HardenError):
    """A wrong flag or setting."""

    exit_code = 2


class UnknownNameError(SettingsError):
    """A name nobody registered; proposes the nearest ones."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        super().__init__(f"unknown {kind} '{name}'", fix=nearest(name, known))


def nearest(name: str, known: Iterable[str]) -> str:
    """What may have been meant by a name that nobody knows: the nearest ones, or else all.

    Example:
        >>> nearest("sigm", ["sigma", "rate"]), nearest("x", ["sigma", "rate"])
        ('Did you mean sigma?', 'Known: rate, sigma')
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    return f"Did you mean {' or '.join(near)}?" if near else f"Known: {', '.join(names) or 'none'}"


class RunFolderError(SettingsError):
    """The folder holds a run of other settings, or another process is using it."""


class UnmeetableError(SettingsError):
    """A requirement that the planned number of chips can never meet."""


class InputError(HardenError):
    """A file that is unreadable, malformed or unsupported."""

    exit_code = 3


class ModelError(InputError):
    """The model cannot be read, or is not what the command needs."""


class UnsupportedError(ModelError):
    """Operators or weights that harden cannot train, all of them at once."""


class DataError(InputError):
    """The data cannot be read, or does not fit the model."""


class PreprocessError(DataError):
    """Nobody said how an image becomes the model's input."""


class ProfileError(InputError):
    """A noise profile is malformed, or used outside what it was measured for."""


class MissingExtraError(InputError):
    """An optional package is needed and not installed."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs a package that is not installed", fix=f"pip install 'harden-onnx[{extra}]'")


class WriteError(HardenError):
    """A file cannot be written; what was there before is kept."""

    exit_code = 3


class DivergedError(HardenError):
    """Training diverged; the last good checkpoint is kept."""

    exit_code = 4


class VerificationError(HardenError):
    """The exported file does not compute what the trained module computes."""

    exit_code = 5


class CanaryError(VerificationError):
    """Noise does not reach a tensor in ONNX Runtime, or something else than noise does."""


class RequirementError(HardenError):
    """The run is complete, and a ``--require`` is not met."""

    exit_code = 6
