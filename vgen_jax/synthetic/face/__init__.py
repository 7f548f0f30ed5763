"""A face whose mouth follows the sound."""
