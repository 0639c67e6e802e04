"""Reports: one JSON document of a run in, HTML, Markdown, plain text or a bill of materials out.

Nothing here runs a model or reads a data set. Whatever a report says stands in its document, so a report can be made
again from ``report.json`` alone, and equal documents give equal bytes.
"""
