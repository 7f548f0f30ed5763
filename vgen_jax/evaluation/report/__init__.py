"""One page for a browser that shows what evaluations found."""
