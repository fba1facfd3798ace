"""What was used last, in a bounded number of megabytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Generic, TypeVar

from lightning_twosome.errors import UserError

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

# Bytes that CPython, NumPy and PyTorch take beside the content, as measured on 64-bit Linux.
ENTRY = 128
ARRAY = 160
TENSOR = 640


class Recent(Generic[Key, Value]):
    """Values by key, of which the least recently used go first.

    Args:
        megabytes: Most that is kept.
        size: Bytes of a value together with its key.

    Attributes:
        bytes: What is kept now takes.
    """

    def __init__(self, megabytes: float, size: Callable[[Key, Value], int]) -> None:
        self.limit = int(megabytes * 2**20)
        self.bytes = 0
        self._size = size
        self._kept: OrderedDict[Key, Value] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: Key) -> Value | None:
        """The value, which is now the last one used; ``None`` where it is not kept."""
        value = self._kept.get(key)
        if value is not None:
            self._kept.move_to_end(key)
        return value

    def get_all(self, keys: Sequence[Key], make: Callable[[list[Key]], Iterable[Value]]) -> list[Value]:
        """The value of each key, whether or not all of them can be kept.

        Args:
            keys: Any, also several times.
            make: Gives the values of the different keys that are not kept, of which there may be none.
        """
        found = {key: self.get(key) for key in keys}
        new = [key for key, value in found.items() if value is None]
        made = dict(zip(new, make(new), strict=True))
        for key, value in made.items():
            self.keep(key, value)
        return [made[key] if (kept := found[key]) is None else kept for key in keys]

    def keep(self, key: Key, value: Value) -> None:
        """Keep a value, and drop others for it."""
        self.drop(key)
        self._kept[key] = value
        self.bytes += self._size(key, value)
        while self.bytes > self.limit:
            self.drop(next(iter(self._kept)))

    def drop(self, key: Key) -> None:
        """Forget one value, if it is kept."""
        if key in self._kept:
            self.bytes -= self._size(key, self._kept.pop(key))

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()
        self.bytes = 0

    def copy(self) -> Recent[Key, Value]:
        """Another one with the same values."""
        other = Recent(self.limit / 2**20, self._size)
        other.bytes, other._kept = self.bytes, OrderedDict(self._kept)
        return other


def check_cache_size(megabytes: float) -> float:
    """A number of megabytes that a memory may have.

    Raises:
        UserError: It is negative or no number.
    """
    if not 0 <= megabytes < float("inf"):
        raise UserError(f"cache_megabytes={megabytes} is no size: give megabytes, 512 by default, 0 for no memory.")
    return megabytes
