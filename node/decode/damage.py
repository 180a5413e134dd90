"""Turn whatever goes wrong while an instance is read into a refusal with its reason.

Images come from outside, and no list of exceptions covers what damaged bytes make a library raise. What is
read of one instance is therefore read inside `damage_refused`: a fault in it costs its series, and nothing
else of the study.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from analysis.domain.reason import Reason
from analysis.errors import RefusedError

__all__ = ["damage_refused", "kind_of"]


@contextmanager
def damage_refused(code: str) -> Iterator[None]:
    """Raise a refusal in place of any error of the block.

    Parameters
    ----------
    code : str
        Code of the reason, whose sentence has a place for the `kind` of the error. Its message is left out,
        as it may quote the dataset.

    Raises
    ------
    RefusedError
        If the block raises an exception; a refusal is passed on unchanged.
    """
    try:
        yield
    except RefusedError:
        raise
    except MemoryError:
        raise RefusedError(Reason("needs_too_much_memory")) from None
    except Exception as error:
        raise RefusedError(Reason(code, kind=kind_of(error))) from error


def kind_of(error: BaseException) -> str:
    """Return the name of the type of an error, with its module where the name alone says nothing.

    Examples
    --------
    >>> import zlib
    >>> kind_of(KeyError()), kind_of(zlib.error())
    ('KeyError', 'zlib.error')
    """
    kind = type(error)
    return f"{kind.__module__}.error" if kind.__name__ == "error" else kind.__name__
