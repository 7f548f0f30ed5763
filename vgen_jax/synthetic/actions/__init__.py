"""Objects that move as their actions say."""
