"""Variational autoencoders and tokenizers."""
