"""From distributions and symbols to bytes, and back."""
