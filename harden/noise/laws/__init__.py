"""Noise laws, one a file; the file's name is the law's name in a profile."""
