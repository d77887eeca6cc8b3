"""The window. What it shows and does is decided in the modules above, which know nothing of Qt."""
