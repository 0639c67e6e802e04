"""What harden uses of scipy, which ships without types."""
