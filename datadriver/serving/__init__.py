"""Scores: compute them with a champion, keep them as Parquet, read them back."""
