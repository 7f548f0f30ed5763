"""Networks whose features metrics compare, their weights, and resizing."""
