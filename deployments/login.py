"""Who works at this machine."""

import getpass
import os


def login_name() -> str:
    """Return the login name of the person whose process this is, for ``created_by`` and the history."""
    try:
        import pwd

        return pwd.getpwuid(os.getuid()).pw_name  # which, unlike LOGNAME, nobody can set
    except (ImportError, KeyError):
        pass
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container may run as a user without a name
        return "cli"
