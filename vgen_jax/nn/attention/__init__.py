"""Attention layers, transformers and their caches."""
