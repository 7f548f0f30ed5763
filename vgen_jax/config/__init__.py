"""Settings, how configs are loaded, and how specs become objects."""
