"""Noise laws, one per file; the file's name is the law's name in a profile."""
