"""The books, and the only writer of them.

accounts     names that hold a balance, and the rule of each kind
transfers    what moves: balanced postings, with a type, a reference and a reason
books        locked accounts on which transfers and holds are decided one by one, then written
posting      post_many(session, transfers), reversals of what stands
holds        setting aside, capturing, releasing, expiring
statements   entries page by page, balances now and as of then
errors       why the books refuse
"""
