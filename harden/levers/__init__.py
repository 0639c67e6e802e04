"""Levers: what makes a network robust besides the objective it is trained with. One file each, all combinable."""
