"""Bottlenecks of autoencoders, continuous and discrete."""
