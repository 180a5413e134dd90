"""What a person reads: the sentences in every language, and the report that is composed of them."""
