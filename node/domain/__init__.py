"""The service's values and rules: pure, so that tests can walk all of them."""
