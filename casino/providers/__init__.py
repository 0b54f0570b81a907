"""Game providers at our wallet: one meaning, many dialects.

codes        why a call is refused
money        how amounts are written
signatures   who wrote a body
launches     a player opens a game
records      rounds and calls, beside the books
rewards      bets that a player was given
calls        debit, credit, rollback: what they do
plays        a bet and its payout at once
reversals    payouts taken back, and what is owed then
asides       tips, promotions, and rewards ended
dialect      what a dialect has to say
jaqpot       minor units, HTTP codes, HMAC
caleta       hundred-thousandths, HTTP 200 with a status, RSA
valkyrie     decimals, types of transactions, HMAC with a time
samples      users, dollars and games to play with
"""

from casino.providers.caleta import Caleta
from casino.providers.dialect import Dialect
from casino.providers.jaqpot import Jaqpot
from casino.providers.valkyrie import Valkyrie

DIALECTS: dict[str, Dialect] = {one.name: one for one in (Jaqpot(), Caleta(), Valkyrie())}
