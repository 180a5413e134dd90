"""The tables of config.toml, each with its values and the function that reads it in a module of its name."""
