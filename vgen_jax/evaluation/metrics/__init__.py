"""What can be asked of an evaluation, by name; names.py has the list."""
