"""The only training loop, with its checkpoints and its selection."""
