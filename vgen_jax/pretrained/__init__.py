"""Networks trained by others, their weights and their preprocessing."""
