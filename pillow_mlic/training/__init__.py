"""Training: data, objective, optimiser, loop."""
