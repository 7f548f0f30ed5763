"""Continuous and discrete bottlenecks of autoencoders."""
