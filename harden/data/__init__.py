"""Data sets, and the preprocessing that belongs to a model."""

from __future__ import annotations

from harden.data.augment import augment
from harden.data.dataset import Dataset
from harden.data.preprocess import METADATA_KEY, Preprocess, resolve_preprocess

__all__ = ["METADATA_KEY", "Dataset", "Preprocess", "augment", "resolve_preprocess"]
