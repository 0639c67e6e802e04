"""The sections of the report, one per file.

A section is a module with ``ORDER`` (smaller comes first), ``TITLE``, ``applies(document) -> bool`` and
``build(document) -> Section``. The registry finds it by its file name; nothing else needs to know of it.
"""
