"""One sentence and a line number out of numba's report, which has pages."""

import inspect
import re
from pathlib import Path

from openbell.errors import CompileError

#: Beginnings of lines of the report that say where numba was, not what is wrong.
_NOISE = ("Failed in", "During:", "File ", "-", "<source", "Overload", "There are", "No implementation of function Function(<intrinsic")
_TELLING = (
    "has no field",
    "Unknown attribute",
    "NameError",
    "not supported",
    "cannot",
    "Cannot",
    "Untyped",
    "Invalid use",
    "defined",
    "Unsupported",
    "unify",
)


def compile_error(cls: type, name: str, report: str) -> CompileError:
    """The error to raise when handler `name` of a strategy does not compile: the reason, the file, the line and its text."""
    lines = [line.strip() for line in report.splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(_NOISE) and any(word in line for word in _TELLING)]
    reason = telling[-1] if telling else lines[1] if len(lines) > 1 else report
    file, line, code = _place(cls, name, report)
    word = re.search(r"'(\w+)'", reason)
    if word and not re.search(rf"\b{word[1]}\b", code):
        line, code = _line_of(word[1], cls) or (line, code)
    return CompileError(
        f"{file}:{line}: {cls.__name__}.{name} cannot be compiled: {reason.rstrip('.')}, in `{code}`",
        "numbers, the indicators and fields declared in setup(), the bar and the broker",
        "use those, or set `compiled = False` on the strategy to run it as plain Python",
    )


def _place(cls: type, name: str, report: str) -> tuple[str, int, str]:
    """The last line of the user's own files that the report names, else the first line of the handler: file, line, text."""
    known = [base for base in cls.__mro__ if base.__module__ not in ("numpy", "builtins", "openbell.model.jit")]
    own = [file for base in known if (file := _file_of(base))]
    named = [
        (full, int(line))
        for file, line in re.findall(r'File "([^"]+)", line (\d+)', report)
        for full in own
        if full.endswith(file.lstrip("./"))
    ]
    if named:
        file, line = named[-1]
    else:
        code = getattr(cls, name).__code__
        file, line = code.co_filename, code.co_firstlineno
    source = Path(file).read_text().splitlines() if Path(file).is_file() else []
    return file, line, source[line - 1].strip() if 0 < line <= len(source) else ""


def _file_of(cls: type) -> str | None:
    """The file a class is written in; None for one of a prompt."""
    try:
        return inspect.getsourcefile(cls)
    except (OSError, TypeError):
        return None


def _line_of(word: str, cls: type) -> tuple[int, str] | None:
    """The first line of the class that has the word, where numba names only the caller or nothing: number, text."""
    if not _file_of(cls):
        return None
    lines, first = inspect.getsourcelines(cls)
    return next(((first + place, line.strip()) for place, line in enumerate(lines) if re.search(rf"\b{word}\b", line)), None)
