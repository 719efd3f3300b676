"""Who sits at this command line."""

import getpass


def login_name() -> str:
    """The login name, for ``created_by`` and the history."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container may run as a user without a name
        return "cli"
