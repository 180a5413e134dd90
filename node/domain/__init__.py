"""The values and rules of the service, free of side effects, so that tests can try every case."""
