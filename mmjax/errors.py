"""The one exception that stands for a mistake of the user's rather than a defect of the program."""

MISTAKE, INTERRUPTED = 2, 130  # exit codes: after such a mistake, and after Ctrl-C


class UserError(Exception):
    """Bad input: one line that names the file, field or shape and the fix.

    The command line prints it without a traceback and exits with code 2.
    """


class ToldElsewhere(UserError):
    """A mistake that another process of the run has met, and has told the user about."""
