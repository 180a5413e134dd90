"""Decide when a study is complete, and whether it is analysed, waited for, refused or ignored."""
