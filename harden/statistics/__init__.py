"""Intervals, tolerance bounds, distributions and tests: numbers about numbers. Knows no model, no data and no noise."""
