"""What a file or a machine does: bits, heat maps, speed, skipping, portability."""
