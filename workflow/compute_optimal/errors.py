"""Errors that a person is meant to read: what is wrong, where, and what to do about it."""

from __future__ import annotations

import errno
from pathlib import Path


class StudyError(Exception):
    """A problem with the user's input, files or machine; never a bug of the study itself.

    ``what`` says what is wrong, ``where`` names the file, key or value, ``cure`` says what to do.
    The command line prints the three on lines of their own and exits with status 1.
    """

    def __init__(self, what: str, *, where: str | None = None, cure: str | None = None) -> None:
        self.what, self.where, self.cure = what, where, cure
        lines = [what]
        if where:
            lines.append(f"  where: {where}")
        if cure:
            lines.append(f"  do:    {cure}")
        super().__init__("\n".join(lines))


class NotAtHandError(StudyError):
    """What lies elsewhere cannot be had now, which proves nothing about what is here."""


def ends_the_same_way(error: BaseException) -> bool:
    """Whether another try at the same will end in ``error`` again.

    True of what is wrong with the input; false where the machine or the network had a part in it,
    which may do better next time, and for a bug, of which nothing is known.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError | MemoryError):
            return False
        cause = cause.__cause__ or cause.__context__
    return isinstance(error, StudyError)


def is_found_here(error: StudyError) -> bool:
    """Whether ``error`` tells of what is here, and not of something that cannot be had now."""
    return not isinstance(error, NotAtHandError) and ends_the_same_way(error)


_CANNOT_WRITE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG}


def in_words(error: BaseException) -> StudyError | None:
    """``error`` for people, where the machine or a file is to blame; None for a bug.

    For the outermost frame: what is known to go wrong is told where it happens, with more to say.
    """
    if isinstance(error, StudyError):
        return error
    if isinstance(error, MemoryError):
        return StudyError(
            "the memory of this machine is not enough",
            where="this machine",
            cure="end other programs, or run on a larger machine; what was finished is kept",
        )
    if isinstance(error, OSError):
        writing = error.errno in _CANNOT_WRITE
        return StudyError(
            f"cannot {'write' if writing else 'read or write'}: {error.strerror or error}",
            where=str(error.filename or Path.cwd()),
            cure="free some space or mend the path or its permissions, then give the same command "
            "again; everything that was finished before is kept",
        )
    # What libraries say of files; known by its package, which need not be imported here.
    package, _, _ = type(error).__module__.partition(".")
    if type(error).__name__ in _OF_FILES.get(package, ()):
        first = str(error).strip().partition("\n")[0]
        return StudyError(
            f"cannot read or write a file of tables: {first}",
            where=str(Path.cwd()),
            cure="free some space, or remove the file if it is a result, which is made anew; then "
            "give the same command again",
        )
    return None


_OF_FILES = {
    "polars": ("ComputeError",),
    "pyo3_runtime": ("PanicException",),
    "_duckdb": (
        *("Error", "FatalException", "IOException", "InvalidInputException"),
        *("OutOfMemoryException", "SerializationException"),
    ),
}
