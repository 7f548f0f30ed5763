"""Output of a run: pictures of clips and the log of its metrics."""
