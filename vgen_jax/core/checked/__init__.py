"""Files with checksums, which show damage when they are read."""
