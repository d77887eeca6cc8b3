"""A picture to tile payloads, and back."""
