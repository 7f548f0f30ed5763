"""What happens to clips after they are drawn."""
