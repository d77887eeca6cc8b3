"""The bytes of a .mlic file: container, numbers, alpha plane, preview."""
