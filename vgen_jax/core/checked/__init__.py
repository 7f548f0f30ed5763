"""Files with checksums, which reveal damage when the files are read."""
