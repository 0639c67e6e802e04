"""harden: make a pretrained network robust against the noise of the hardware it will run on."""

__version__ = "0.1.0"
