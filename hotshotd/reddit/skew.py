"""What time Reddit says it is: from the Date header of an answer that needs no sign-in."""

from __future__ import annotations

from datetime import datetime

import requests

from hotshotd.reddit.account import Sites, build_user_agent
from hotshotd.reddit.outcome import parse_date
from hotshotd.reddit.transport import RedditSession

#: Seconds to connect, and for the answer.
LIMIT_SECONDS = (5.0, 5.0)


def read_reddit_time(sites: Sites, *, operator: str) -> datetime | None:
    """Ask once, and give Reddit's time to the second; None where it can't be asked or says nothing.

    Blocks for 10 s at the most.
    """
    session = RedditSession()
    agent = build_user_agent(operator=operator, username=operator)
    try:
        with session.get(
            f"{sites.oauth_url.rstrip('/')}/api/v1/me",
            headers={"User-Agent": agent},
            timeout=LIMIT_SECONDS,
            allow_redirects=False,
            stream=True,
        ) as response:
            return parse_date(response.headers)
    except requests.RequestException:
        return None
    finally:
        session.close()
