"""Analyse: a worker process turns the files of a study into its results, or into a refusal."""
