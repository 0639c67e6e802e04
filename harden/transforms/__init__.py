"""Changes to a network's weights, and what is measured for them, without gradients: what transforms and levers do."""
