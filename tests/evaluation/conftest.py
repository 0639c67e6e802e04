"""The classifiers of :mod:`classifiers`, as fixtures."""

from __future__ import annotations

from classifiers import deep, digits, make_linear, problem, unlabelled

__all__ = ["deep", "digits", "make_linear", "problem", "unlabelled"]
