"""Measuring codecs: metrics, BD-rate, codecs under test, the bench and its report.

Uses the format only as a user would, through Pillow.
"""
