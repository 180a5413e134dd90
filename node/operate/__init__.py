"""Operate: retry and purge studies, upgrade the database, check the node and its reports."""
