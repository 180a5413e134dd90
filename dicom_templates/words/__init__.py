"""What a person reads: every sentence, in every language, and the report that they make."""
