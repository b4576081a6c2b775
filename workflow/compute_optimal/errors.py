"""Errors that a person is meant to read: what is wrong, where, and what to do about it."""


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
