"""``python -m harden`` is the command ``harden``."""

from harden.cli import main

if __name__ == "__main__":
    main()
