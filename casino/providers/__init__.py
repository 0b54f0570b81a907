"""Game providers at our wallet: one meaning, many dialects.

codes        why a call is refused
money        how amounts are written
signatures   who wrote a body
launches     a player opens a game
records      rounds and calls, beside the books
calls        debit, credit, rollback: what they do
dialect      what a dialect has to say
jaqpot       minor units, HTTP codes, HMAC
caleta       hundred-thousandths, HTTP 200 with a status, RSA
samples      users, dollars and games to play with
"""

from casino.providers.caleta import Caleta
from casino.providers.dialect import Dialect
from casino.providers.jaqpot import Jaqpot

DIALECTS: dict[str, Dialect] = {one.name: one for one in (Jaqpot(), Caleta())}
