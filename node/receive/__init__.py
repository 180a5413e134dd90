"""Receive: from the bytes of a sender to durable rows and an honest answer."""
