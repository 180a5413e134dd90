"""Operate: what a person orders or checks."""
