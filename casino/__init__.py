"""The rules: use-cases inside a given transaction.

sources         the program a page came from, with its casino and asset
rows            lines of text for COPY
pages           a page of facts, applied whole
bets            placed and ended halves, merged
players         made once, whoever comes first
assets          what a casino counts in
transfers       money into and out of a program
jackpots, pools, fees, seeds, system_events    facts beside bets
stats           deltas, and their sums
wallets         topped up, spent, passed on
samples         assets and users to try wallets with
outbox          messages for the feed
commands        requests about money, decided many at once
wallets         top-ups, bonuses, spends, transfers between players
stakes          from which money a stake is paid, to which winnings return
providers       game providers that play from our wallet
finality        promoted, retracted
dead_letters    what could not be read, and reading it again
"""
