"""Labelled examples, decoded once, handed out as model inputs."""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from harden.data import sources
from harden.data.arrays import as_images, check, check_part, normalise
from harden.data.images import Progress, resize_all
from harden.data.labels import encode
from harden.data.layout import as_type, channel_axis, fits, mismatch, with_ones
from harden.data.preprocess import Preprocess, resolve_preprocess
from harden.data.sources.base import Examples, Origin, Request, digest_values
from harden.errors import DataError, SettingsError

Index = slice | np.ndarray | Sequence[int]
_HELD = 1 << 28  # bytes; of larger arrays that had to be converted, only what became of them is held


class Dataset:
    """Examples in a fixed order, with the preprocessing of the model they are meant for.

    Attributes:
        source: What was opened.
        sha256: Digest of the bytes that were read from it; a part of a data set keeps the digest of the whole.
        preprocess: How raw values become model input.
        examples: How many there are.
        classes: How many classes the labels number; 0 where they number none.
        class_names: Their names in order, where the source has names.
        labels: int64 [examples], class numbers; float32 [examples], numbers to predict; either as [examples, K] for
            several labels each; or ``None``.
        input_shape: Shape of one model input, such as (3, 32, 32).
        dtype: Type of a model input.
        images: Whether the examples are images.
        others: For models with several inputs, the examples' parts after the first, each [examples, ...] or more rows;
            without axes, one number for all examples.

    Example:
        >>> x, y = np.zeros((4, 8, 8, 1), np.uint8), np.array([0, 1, 0, 1])
        >>> data = Dataset.from_arrays(x, y, Preprocess(mean=(0.5,), std=(0.5,)))
        >>> data.inputs(slice(0, 2)).shape, float(data.inputs([0]).max())
        ((2, 1, 8, 8), -1.0)
    """

    def __init__(
        self,
        values: np.ndarray,
        labels: np.ndarray | None,
        preprocess: Preprocess,
        *,
        images: bool,
        source: str,
        sha256: str,
        class_names: tuple[str, ...] | None = None,
        others: tuple[np.ndarray, ...] = (),
        origin: Origin | None = None,
    ) -> None:
        self.origin = origin or Origin(values, labels)
        self._values = values
        self._rows: np.ndarray | None = None
        self._input = "input"
        self.others = others
        self.labels = labels
        self.preprocess = preprocess
        self.images = images
        self.source = source
        self.sha256 = sha256
        self.class_names = class_names
        numbered = labels is not None and labels.ndim == 1 and labels.dtype.kind == "i"
        self.classes = len(class_names) if class_names else int(labels.max()) + 1 if numbered else 0  # type: ignore[union-attr]
        self.examples = len(values)
        self.dtype = np.dtype(np.float32)
        self.input_shape = _shape_of(values, images, preprocess)

    @classmethod
    def open(
        cls,
        source: str | os.PathLike[str],
        preprocess: Preprocess | None,
        *,
        limit: int | None = None,
        labelled: bool = True,
        progress: Progress | None = None,
        inputs: Sequence[str] = (),
    ) -> Dataset:
        """Read and decode a data set.

        Args:
            source: A file, a folder, or a name of any form in docs/data.md.
            preprocess: From the model, or from ``resolve_preprocess``.
            limit: Read the first so many examples only.
            labelled: Whether labels must be there; without, ``labels`` is ``None``.
            progress: Called with (examples decoded, examples in all).
            inputs: Names of the model's inputs where it has several; each example then has a part for each of them.

        Raises:
            PreprocessError: ``preprocess`` is ``None``: the model does not say how images become its input.
            DataError: The source, or an item of it, cannot be read or does not fit; the message names it.
        """
        preprocess, name = resolve_preprocess(preprocess), os.fspath(source)
        if limit is not None and limit < 1:
            raise DataError(f"a limit of {limit} leaves no examples", where=name, fix="Give --limit 1 or more")
        request = Request(preprocess, limit, labelled, progress, tuple(inputs))
        examples = sources.read(name, request)
        if len(inputs) != len(examples.others) + 1 and len(inputs) > 1:
            what = f"the model takes {', '.join(inputs)}, and this form of data has one input per example"
            raise DataError(what, where=name, fix="Give an .npz with one array named after each input")
        data = cls._of(examples, preprocess, name)
        return data._like(origin=replace(data.origin, opened=True, limit=limit, inputs=tuple(inputs)))

    @classmethod
    def from_arrays(
        cls,
        values: np.ndarray,
        labels: np.ndarray | Sequence[object] | None,
        preprocess: Preprocess,
        *,
        source: str = "<memory>",
    ) -> Dataset:
        """A data set of arrays at hand; they mean what they mean in an ``.npz``.

        Raises:
            DataError: Values and labels do not belong together, or do not fit the preprocessing.
        """
        values = np.asarray(values)
        digest = digest_values(values, labels)
        return cls._of(Examples(values, labels, f"{source}, labels", digest), preprocess, source)

    @classmethod
    def _of(cls, examples: Examples, preprocess: Preprocess, source: str) -> Dataset:
        values, images = examples.values, examples.images
        if not images:  # arrays; image files have been resized as they were decoded
            values, images = as_images(values, preprocess, source)
            preprocess = _for_channels(preprocess, values.shape[3]) if images else preprocess
            if images and values.dtype == np.uint8:
                values = resize_all(values, preprocess)
        values = check(values, images, preprocess, source)
        labels, names = None, None
        if examples.labels is not None:
            labels, names = encode(examples.labels, examples.labels_where, examples.class_names)
            if len(labels) != len(values):
                what = f"{len(values)} examples and {len(labels)} labels"
                raise DataError(what, where=source, fix="Give one label per example")
        others = tuple(check_part(part, source) for part in examples.others)
        digest, handed_over = examples.sha256, examples.values
        if handed_over.nbytes > _HELD and not np.may_share_memory(handed_over, values):
            handed_over = values
        return cls(
            values,
            labels,
            preprocess,
            images=images,
            source=source,
            sha256=digest,
            class_names=names,
            others=others,
            origin=Origin(handed_over, examples.labels, examples.class_names, examples.others),
        )

    def __len__(self) -> int:
        return self.examples

    def __repr__(self) -> str:
        labels = "unlabelled" if self.labels is None else f"{self.classes} classes" if self.classes else "labelled"
        return f"Dataset({self.source!r}, {self.examples} examples {list(self.input_shape)}, {labels})"

    @property
    def total(self) -> int:
        """How many examples there are in the whole, of which this may be a part."""
        return len(self._values)

    def numbers(self, index: np.ndarray) -> np.ndarray:
        """The examples' places in the whole."""
        return index if self._rows is None else self._rows[index]

    def __getstate__(self) -> dict[str, object]:
        """For another process: its second reading begins with the values that are stored."""
        origin = replace(self.origin, values=self._values, opened=False)
        return {**self.__dict__, "origin": origin}

    def raw(self, index: Index) -> np.ndarray:
        """Values before normalisation: uint8 (or float) [B, H, W, C] for images, [B, ...] for arrays."""
        chosen = index if isinstance(index, slice) else np.asarray(index)
        return np.asarray(self._values[chosen if self._rows is None else self._rows[chosen]])

    def normalise(self, raw: np.ndarray) -> np.ndarray:
        """Raw values as model input: ``(x / scale - mean) / std``, in the model's layout and type.

        Raises:
            DataError: A number is none of that type.
        """
        numbers = normalise(raw, self.preprocess, self.images, integers=self.dtype.kind in "uib")
        return as_type(numbers, self.dtype, self._input, self.source).reshape(len(raw), *self.input_shape)

    def inputs(self, index: Index) -> np.ndarray:
        """Model inputs, [B, *input_shape]."""
        return self.normalise(self.raw(index))

    def feed(self, index: Index) -> tuple[np.ndarray, ...]:
        """Every input of the model: :meth:`inputs`, then the parts for further inputs as they are."""
        chosen = index if isinstance(index, slice) else np.asarray(index)
        rows = chosen if self._rows is None else self._rows[chosen]
        return (self.inputs(index), *(np.asarray(part[rows] if part.ndim else part) for part in self.others))

    def subset(self, index: Index) -> Dataset:
        """Some of the examples, in the order of ``index``; the decoded values are shared, not copied."""
        rows = np.arange(self.examples)[index if isinstance(index, slice) or len(index) else slice(0)]
        if len(rows) == 0:
            raise DataError("no examples left", where=self.source, fix="Choose at least one")
        labels = None if self.labels is None else self.labels[rows]
        own = rows if self._rows is None else self._rows[rows]
        return self._like(labels=labels, _rows=own, examples=len(rows))

    def sample(self, most: int, rng: np.random.Generator) -> Dataset:
        """At most so many of the examples, drawn at random, in the order of the whole."""
        return self.subset(np.sort(rng.permutation(self.examples)[:most]))

    def with_labels(self, labels: np.ndarray, classes: int) -> Dataset:
        """The same examples with these labels, integers [examples] in [0, classes)."""
        own = np.asarray(labels, dtype=np.int64)
        origin = replace(self.origin, labelled=False)
        return self._like(labels=own, classes=classes, class_names=None, origin=origin)

    def with_others(self, others: tuple[np.ndarray, ...]) -> Dataset:
        """The same examples with these parts for the model's further inputs."""
        return self._like(others=others)

    def _like(self, **changes: object) -> Dataset:
        """The same data set but for some attributes."""
        twin = copy.copy(self)
        twin.__dict__.update(changes)
        return twin

    def matching(
        self, shape: Sequence[int | str | None], model: str, dtype: np.dtype | None = None, name: str = "input"
    ) -> Dataset:
        """This data set for a model's input: in its layout, by the shapes, and in its type.

        Axes of length 1 are added or taken away, and channels of images go to the end where the model wants them.

        Args:
            shape: The model's input without the batch; names and ``None`` fit any length.
            model: What messages call the model.
            dtype: The input's type; float32 by default.
            name: The input's name, for messages.

        Raises:
            DataError: The shapes differ in more than that.

        Example:
            >>> data = Dataset.from_arrays(np.zeros((4, 128), np.float32), None, Preprocess((0,), (1,)))
            >>> data.matching((1, 128), "net.onnx").input_shape
            (1, 128)
        """
        target = [side if isinstance(side, int) and side > 0 else None for side in shape]
        placed = self._placed(target)
        if placed is None:
            shown = [side if isinstance(side, int) else "?" for side in shape]
            what = f"examples are {list(self.input_shape)}, and {model} wants {shown}"
            raise DataError(what, where=self.source, fix=mismatch(self.input_shape, target, self.images))
        dtype = np.dtype(np.float32) if dtype is None else dtype
        return placed if placed.dtype == dtype else placed._like(dtype=dtype, _input=name)

    def _placed(self, target: list[int | None]) -> Dataset | None:
        """The axes of the examples where a model wants them; None where that takes more than it may."""
        if fits(self.input_shape, target):
            return self
        orders: list[Dataset] = [self]
        shape = self._values.shape[1:]
        if self.images:
            layout = "NHWC" if self.preprocess.layout == "NCHW" else "NCHW"
            orders.append(self._in_layout(layout, self._values))
        elif shape == self.input_shape and (axis := channel_axis(shape, target)) is not None:
            orders.append(self._in_layout("NCHW" if axis == 2 else "NHWC", np.moveaxis(self._values, axis + 1, 3)))
        for data in reversed(orders):
            if fits(data.input_shape, target):
                return data
        shapes = ((data, with_ones(data.input_shape, target)) for data in orders)
        return next((data._like(input_shape=shape) for data, shape in shapes if shape is not None), None)

    def _in_layout(self, layout: str, values: np.ndarray) -> Dataset:
        preprocess = replace(_for_channels(self.preprocess, values.shape[3]), layout=layout)
        return self._like(
            _values=values, images=True, preprocess=preprocess, input_shape=_shape_of(values, True, preprocess)
        )

    def split(self, fraction: float, rng: np.random.Generator) -> tuple[Dataset, Dataset]:
        """Set a share of the examples aside, of each class the same share as near as whole numbers allow.

        Args:
            fraction: The share that is held out, in (0, 1).
            rng: Chooses which; from ``harden.streams.numpy_generator``.

        Returns:
            (rest, held out), both in the order of the whole.

        Raises:
            DataError: One of the two would be empty.
        """
        total = round(fraction * self.examples)
        if not 0 < total < self.examples:
            what = f"a share of {fraction:g} of {self.examples} examples leaves nothing on one side"
            raise DataError(what, where=self.source, fix="Give more examples, or a validation set of their own")
        groups = self.labels if self.labels is not None and self.classes else np.zeros(self.examples, np.int64)
        held = np.zeros(self.examples, bool)
        members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
        for indices, count in zip(members, _shares([len(member) for member in members], total), strict=True):
            held[rng.permutation(indices)[:count]] = True
        return self.subset(np.flatnonzero(~held)), self.subset(np.flatnonzero(held))


def _shape_of(values: np.ndarray, images: bool, record: Preprocess) -> tuple[int, ...]:
    """The shape of an example in a model: of images [N, H, W, C], in the record's layout."""
    sides = values.shape[1:]
    return (sides[-1], *sides[:-1]) if images and record.layout == "NCHW" else sides


def _for_channels(record: Preprocess, count: int) -> Preprocess:
    """The record, where its one mean of 0 and std of 1 are to serve several channels."""
    if record.channels == count:
        return record
    return replace(record, mean=record.mean * count, std=record.std * count, channels=count)


def _shares(sizes: list[int], total: int) -> list[int]:
    """Whole numbers proportional to ``sizes`` with the given sum, by largest remainders."""
    exact = np.array(sizes) * (total / sum(sizes))
    counts = np.floor(exact).astype(int)
    for index in np.argsort(-(exact - counts), kind="stable")[: total - counts.sum()]:
        counts[index] += 1
    return counts.tolist()


def check_data(data: object) -> None:
    """Refuse what is no data set, such as a path.

    Raises:
        SettingsError: It is none.
    """
    if not isinstance(data, Dataset):
        raise SettingsError(
            f"data is a {type(data).__name__}, not a Dataset", fix="Dataset.open(path, preprocess=model.preprocess)"
        )
