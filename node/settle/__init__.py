"""Settle: judge whether a study is whole, and what is to become of it."""
