"""The station that gets studies from archives, when somebody or the clock asked for them."""
