"""Models over the codes of a tokenizer."""
