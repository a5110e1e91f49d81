"""Names that MLflow, Airflow, Docker and file systems accept, made from names as plants write them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection

_HASHED = re.compile(r".*-(?=[0-9]*[a-f])[0-9a-f]{8}", re.DOTALL)


def slug(
    text: str, *, extra: str = "._-", max_length: int = 100, lower: bool = False, reserved: Collection[str] = ()
) -> str:
    """Make a name out of ASCII letters, digits and `extra`, different for different texts.

    A text that is such a name already stays as it is. Otherwise a readable part is followed by 8 hex digits of the
    text's sha256, the first 8 in a row with a letter among them. A text that ends like that by itself is hashed too, so
    that nothing can be mistaken for another's slug; a number such as `WELL-00000007` stays.

    >>> slug("P-101"), slug("15/9-F-1 C")
    ('P-101', '15-9-F-1-C-525d4a6b')

    Args:
        text: Any text.
        extra: Characters allowed besides letters and digits; never first or last.
        max_length: Longest result, 16 or more.
        lower: Whether upper-case letters must be changed too (Docker repositories).
        reserved: Texts that would be such names, and must be changed all the same.
    """
    allowed = ("" if lower else "A-Z") + "a-z0-9"
    inner = allowed + re.escape(extra)
    plain = re.fullmatch(f"[{allowed}]([{inner}]*[{allowed}])?", text)
    if plain and len(text) <= max_length and not _HASHED.fullmatch(text) and text not in reserved:
        return text
    readable = re.sub(f"[^{inner}]+", "-", text.lower() if lower else text)
    readable = re.sub(f"^[^{allowed}]+|[^{allowed}]+$", "", readable)[: max_length - 9]
    readable = re.sub(f"[^{allowed}]+$", "", readable) or "x"
    return f"{readable}-{_digits(text)}"


def _digits(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    found = re.search(r"(?=[0-9]{0,7}[a-f])[0-9a-f]{8}", digest)
    return found[0] if found else "a0000000"
