"""Networks against results of the published code; see `recipe.py` for the stand-in weights."""
