"""Sources of clips by index and the input pipeline."""
