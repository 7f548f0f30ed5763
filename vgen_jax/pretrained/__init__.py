"""Networks that others have trained, their weights, and how images fit them."""
