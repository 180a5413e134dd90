"""Statistical methods, each tested against published values or an independent implementation."""
