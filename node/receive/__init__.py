"""Receive: accepts associations, stores received objects and answers each once it is durable."""
