"""Talks to any server that has the event `echo`, and says what became of it:

    /usr/bin/python3 -B greet.py ws://127.0.0.1:8080/ws TOKEN [COUNT]
"""

import asyncio
import sys
from collections import Counter

from client import Client


async def greet(url: str, token: str, count: int) -> bool:
    stages = []
    client = Client(url, token=lambda: token, listen=lambda what, **news: what == "state" and stages.append(news["state"]))
    # All at once, and at once: they wait until the server has confirmed that it is ready.
    sends = [client.send("echo", {"number": number}) for number in range(count)]
    outcomes = Counter([(await send).outcome for send in sends])
    await client.close()
    print(" -> ".join(stages))
    print(", ".join(f"{number} {name}" for name, number in outcomes.items()))
    return outcomes["acknowledged"] == count


if __name__ == "__main__":
    url, token, *count = sys.argv[1:]
    sys.exit(0 if asyncio.run(greet(url, token, int(*count or ["20"]))) else 1)
