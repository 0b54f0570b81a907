"""A game provider of our own: the other side of the casino's wire, for the demo and the tests.

wire     signed calls to the casino: time-outs, the same call again, what an answer means
rounds   sessions and rounds, written down before anything is sent
"""
