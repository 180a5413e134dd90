"""The configuration file that a new node starts from: the commented `config.toml` with every default."""

from pathlib import Path

from node.errors import ConfigurationError

__all__ = ["write_shipped"]

_PLACES = Path(__file__).with_name("config.toml"), Path(__file__).parents[2] / "config.toml"
"""In an installed package, and in a checkout."""


def write_shipped(folder: Path) -> Path:
    """Write `config.toml` to a folder, which is created if it does not exist.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    ConfigurationError
        If the folder has such a file already, or it cannot be written.
    """
    file = folder / "config.toml"
    text = next(place for place in _PLACES if place.is_file()).read_text(encoding="utf-8")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError as error:
        raise ConfigurationError((f"{file} exists already",)) from error
    except OSError as error:
        raise ConfigurationError((f"{file} cannot be written: {error.strerror}",)) from error
    return file
