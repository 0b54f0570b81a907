"""Games: arithmetic only, without clock, chance or I/O; one file each, and a line for it here."""

from games import coinflip, crash, dice, limbo, numbers
from games import range as range_game
from games.rules import Game

ROOMS: tuple[Game, ...] = (
    numbers,
    dice,
    limbo,
    coinflip,
    crash,
    range_game,
)
GAMES: dict[bytes, Game] = {game.NAME: game for game in ROOMS}
