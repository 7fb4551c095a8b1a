"""What an idle bot in three subreddits asks of Reddit at each poll. Limit: 3 requests.

The baseline is the plain way: two listings for each subreddit, the inbox and the mentions.
"""

from __future__ import annotations

import sys

from stage import PLACES, POSTS, REPLIES, Daemon, run_daemon, wait_running, wait_until

LIMIT = 3.0
POLLS = 6
NAIVE = 2 * len(PLACES) + 2
#: Asked once at a start, whatever comes after.
START = ("/api/v1/access_token", "/api/v1/me", "/user/bot000/comments", "/user/bot000/submitted")


def count_polls(daemon: Daemon) -> tuple[int, int]:
    """Give the polls so far, and the requests that were made for them."""
    counts = daemon.count_requests()
    return counts.get("/message/unread/", 0), sum(count for path, count in counts.items() if path not in START)


def main() -> int:
    with run_daemon(1, job=REPLIES, interval="1s") as daemon:
        wait_running(daemon)
        # The first poll may be under way: count between two of the inbox's, which comes first in each.
        wait_until(lambda: count_polls(daemon)[0] >= 1 + POLLS, seconds=60)
        polls, requests = count_polls(daemon)
    each = requests / polls
    with run_daemon(1, job=POSTS, interval="1s") as daemon:
        wait_running(daemon)
        wait_until(lambda: daemon.count_requests().get("/user/bot000/submitted", 0) >= 1, seconds=60)
        idle = count_polls(daemon)[1]
    print(f"requests for each poll of a bot that answers, in {len(PLACES)} subreddits: {each:.2f} (limit {LIMIT:g})")
    print(f"the plain way: {NAIVE}; ratio {each / NAIVE:.2f}")
    print(f"requests of a bot that only posts, between its posts: {idle}")
    return 0 if each <= LIMIT and idle == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
