"""What a conversion leaves on disk."""
