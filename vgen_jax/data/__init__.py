"""Sources of clips by index, one a file, and the pipeline that serves them."""
