"""The report's plots, one family a file: plain numbers in, a figure block with its alternative text out."""
