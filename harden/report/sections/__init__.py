"""The sections of the report, one per file.

A section is a module with ``ORDER`` (smaller comes first), ``TITLE`` and ``build(reading) -> Section``; a reading is a
:class:`harden.report.document.Reading`. One without blocks has nothing to say and is left out. The registry finds it by
its file name; nothing else needs to know of it. No two have the same ``ORDER``.
"""
