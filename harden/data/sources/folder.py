"""A folder of images: each sub-folder is a class."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from harden.data.images import Item, decode_all
from harden.data.labels import in_order
from harden.data.sources import arrow, parquet
from harden.data.sources.base import Examples, Request, digest_file, digest_files
from harden.errors import DataError

ACCEPTS = "a folder with one sub-folder of images per class"
ENDINGS = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
SPLITS = frozenset({"train", "training", "test", "testing", "val", "valid", "validation"})


def accepts(source: str) -> bool:
    """Whether the source is a folder, and not one of the other forms that are folders."""
    folder = Path(source)
    return folder.is_dir() and not parquet.accepts(source) and not arrow.accepts(source)


def read(source: str, request: Request) -> Examples:
    """Decode the images of all classes, class after class, in the order of their names.

    Raises:
        DataError: There is no image, no class, an unreadable image, or images of different sizes.
    """
    folder = Path(source)
    try:
        classes = in_order({entry.name for entry in folder.iterdir() if entry.is_dir() and entry.name[0] != "."})
        files = [(path, label) for label, name in enumerate(classes) for path in _images(folder / name)]
        if not request.labelled:
            files = [(path, -1) for path in _images(folder)]
    except OSError as error:
        raise DataError(
            f"cannot list the folder: {error.strerror}", where=source, fix="Check its permissions"
        ) from error
    if classes and SPLITS.issuperset(classes) and request.labelled:
        named = [f"{_flag(name)} {folder / name}" for name in sorted(classes, key=_flag)]
        raise DataError("its sub-folders are splits, not classes", where=source, fix=f"Name them: {' '.join(named)}")
    if not files and (hidden := next(iter(sorted(folder.rglob("*.parquet"))), None)):
        what, pattern = "no images in it, but parquet files below", hidden.with_name("*.parquet")
        raise DataError(what, where=source, fix=f"Name them: '{pattern}'")
    if not files:
        kinds = ", ".join(sorted(ENDINGS))
        loose = request.labelled and next(iter(_images(folder)), None)
        what = "images without labels: no sub-folder is a class" if loose else f"no images in it ({kinds})"
        raise DataError(what, where=source, fix="Put the images of each class into a sub-folder of its own")
    count = request.count(len(files))
    files = _first(files, count)
    pixels = decode_all((Item(str(path), path) for path, _ in files), count, request.preprocess, request.progress)
    names = ((path.relative_to(folder).as_posix(), digest_file(path)) for path, _ in files)
    return Examples(
        values=pixels,
        labels=[label for _, label in files] if request.labelled else None,
        labels_where=source,
        sha256=digest_files(names),
        class_names=classes if request.labelled else None,
        images=True,
    )


def _flag(split: str) -> str:
    return {"tr": "--data", "te": "--test"}.get(split[:2], "--val")


def _first(files: list[tuple[Path, int]], count: int) -> list[tuple[Path, int]]:
    """The first images of each class in turn: the first ``count`` of a sorted folder would all be of one class."""
    seen: Counter[int] = Counter()
    ranked = []
    for at, (_, label) in enumerate(files):
        ranked.append((seen[label], at))
        seen[label] += 1
    return [files[at] for at in sorted(at for _, at in sorted(ranked)[:count])]


def _images(folder: Path) -> list[Path]:
    images = (path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS and path.name[0] != ".")
    return sorted((path for path in images if path.is_file()), key=lambda path: path.relative_to(folder).parts)
