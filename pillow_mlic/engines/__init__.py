"""What runs a network, and where."""
