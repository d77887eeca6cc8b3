"""The window. The modules above, which know nothing of Qt, decide what it shows and does."""
