"""A Gymnasium environment in words: FrozenLake through TextWrapper."""

import gymnasium

from lightning_twosome import TextWrapper

MOVES = {"left": (0, -1), "down": (1, 0), "right": (0, 1), "up": (-1, 0)}  # in the order of FrozenLake's actions
SURFACES = {b"F": "ice", b"S": "the first square", b"H": "a hole in the ice", b"G": "the present"}
NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight")


class FrozenLake(TextWrapper):
    """Find the present on a lake of 4 x 4 or 8 x 8 squares; moves off the lake or into a hole are not offered."""

    def __init__(self, map_name: str = "4x4", is_slippery: bool = False, render_mode: str | None = None) -> None:
        env = gymnasium.make("FrozenLake-v1", map_name=map_name, is_slippery=is_slippery, render_mode=render_mode)
        self.lake = env.unwrapped.desc
        super().__init__(env, self.describe, actions=[f"step {move}" for move in MOVES], mask=self.safe)

    def around(self, square: int) -> dict[str, bytes | None]:
        """What lies around a square; nothing beyond the shore."""
        row, column = divmod(int(square), self.lake.shape[1])
        cells = {move: (row + down, column + right) for move, (down, right) in MOVES.items()}
        inside = {move: 0 <= r < self.lake.shape[0] and 0 <= c < self.lake.shape[1] for move, (r, c) in cells.items()}
        return {move: self.lake[cell] if inside[move] else None for move, cell in cells.items()}

    def safe(self, square: int, info: dict) -> list[bool]:
        """Which moves lead to ice."""
        return [cell not in (None, b"H") for cell in self.around(square).values()]

    def describe(self, square: int, info: dict) -> str:
        """The prompt of a square."""
        row, column = divmod(int(square), self.lake.shape[1])
        near = [f"{move} is {SURFACES[cell]}" for move, cell in self.around(square).items() if cell]
        place = f"You stand on the frozen lake in row {NUMBERS[row]}, column {NUMBERS[column]}."
        return f"{place} From here, {', '.join(near)}. To find the present, you should now"
