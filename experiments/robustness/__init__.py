"""Scripts that interrupt commands and compare the files they have written."""
