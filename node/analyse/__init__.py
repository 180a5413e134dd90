"""Turn the files of a study into its results or into a refusal, in worker processes."""
