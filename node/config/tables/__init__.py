"""The tables of config.toml, each in the module of its name: its values, and the function that reads them."""
