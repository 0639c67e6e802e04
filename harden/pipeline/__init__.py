"""The named steps of a run, in order. Each takes settings and hands back one document."""
