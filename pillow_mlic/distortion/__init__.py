"""Differentiable measures of what decoding loses, used by training and by the encoder."""
