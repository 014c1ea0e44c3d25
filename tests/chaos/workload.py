"""What is common to the workloads of all clients; `client.mjs` has the same in JavaScript."""

KINDS = {
    "note": 30,  # a plain function
    "slow": 12,  # async
    "fail": 5,  # raises
    "only": 8,  # has no answer
    "ask": 8,  # calls back before it answers
    "make": 6,  # a reference, called before it is there, and released
    "talk": 6,  # the server makes calls of its own
    "change": 4,  # all caches and live objects
    "tell": 3,  # the cache that the client owns
    "cancel": 4,
    "deadline": 2,
    "count": 2,  # a stream from the server
    "sum": 2,  # a stream to the server
    "big": 2,
}
"""How often each kind of call comes."""

TALKS = ["told", "toldSlowly", "fails", "hangs", "only"]
"""What the server calls, in `talk`."""

MODULUS = 2**31 - 1


def follow(state: int, number: int) -> int:
    """What a cache's state is after one more update: skipped, repeated or swapped ones show."""
    return (state * 31 + number) % MODULUS
