"""The lines of several files as one series of numbers, in the order of the files."""

#: Numbers that each file has; those of the first one are its lines.
LINES_OF_A_FILE = 1 << 40
#: From here on numbers are of rows that are in no file.
IN_NO_FILE = LINES_OF_A_FILE // 2


def place_of(line: int) -> tuple[int, int]:
    """Which file a line is in, from 0, and its number there."""
    return divmod(line, LINES_OF_A_FILE)


def named(line: int, files: "tuple[str, ...]") -> str:
    """A line for people: ``line 5``, and of which file where there are several."""
    file, number = place_of(line)
    return f"line {number} of {files[file]}" if files else f"line {number}"
