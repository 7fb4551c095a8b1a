"""The free checks of an item."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from hotshotd.brain.filters import (
    AFTER_THREAD,
    BEFORE_THREAD,
    Filter,
    ItemView,
    find_refusals,
    found_keyword,
    on_own_post,
)
from hotshotd.brain.keywords import Keywords
from hotshotd.brain.rules import ReplyRules
from hotshotd.brain.verdict import Why
from hotshotd.platform import Author, Item, Kind, Notice, Reason, Ref, Thread

Make = Callable[..., Item]


def first_refusal(view: ItemView, by: ReplyRules, *, table: tuple[Filter, ...]) -> Why | None:
    return next(find_refusals(view, by, table=table), None)


def rules(**changes: Any) -> ReplyRules:
    fields: dict[str, Any] = {"own_key": "bot", "followup_only": False}
    return ReplyRules(**(fields | changes))


def before(item: Item, now: datetime, *, by: ReplyRules | None = None, **known: Any) -> Why | None:
    return first_refusal(ItemView(item, now, **known), by or rules(), table=BEFORE_THREAD)


def after(view: ItemView, by: ReplyRules) -> Why | None:
    return first_refusal(view, by, table=AFTER_THREAD)


def test_filters__let_an_ordinary_comment_pass(make_comment: Make, now: datetime) -> None:
    """Nothing is refused without a reason."""
    assert before(make_comment(), now) is None


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"author": Author("BOT")}, Why.OWN),
        ({"author": None}, Why.DELETED),
        ({"text": "[deleted]"}, Why.DELETED),
        ({"removed": True}, Why.REMOVED),
        ({"text": "[removed]"}, Why.REMOVED),
        ({"locked": True}, Why.LOCKED),
        ({"archived": True}, Why.ARCHIVED),
        ({"author": Author("AutoModerator")}, Why.IGNORED_AUTHOR),
        ({"level": 7, "parent": Ref("t1_x")}, Why.MAX_LEVELS),
        ({"text": " \n"}, Why.EMPTY),
        ({"text": "I hate PINEAPPLE."}, Why.KEYWORD),
    ],
)
def test_filters__refuse_what_an_item_tells(
    make_comment: Make, now: datetime, changes: dict[str, Any], why: Why
) -> None:
    """What the listing shows is enough to refuse."""
    by = rules(negative=Keywords.compile(["pineapple"]))
    assert before(make_comment(**changes), now, by=by) is why


@pytest.mark.parametrize(
    ("known", "why"),
    [
        ({"answered": {Ref("t1_one")}}, Why.ALREADY_ANSWERED),
        ({"own": {Ref("t1_one")}}, Why.OWN),
        ({"ignored": {"alice"}}, Why.OPTED_OUT),
    ],
)
def test_filters__refuse_what_is_known(make_comment: Make, now: datetime, known: dict[str, Any], why: Why) -> None:
    """What the bot wrote, answered, or was asked to leave alone is left alone."""
    assert before(make_comment(), now, **known) is why


@pytest.mark.parametrize(("age", "why"), [(900, None), (901, Why.TOO_OLD), (-60, None)])
def test_filters__answer_nothing_older_than_lookback(
    make_comment: Make, now: datetime, age: int, why: Why | None
) -> None:
    """Exactly `lookback` old is young enough; a platform's clock may be ahead."""
    assert before(make_comment(created_at=now - timedelta(seconds=age)), now) is why


def test_filters__give_the_inbox_its_own_lookback(make_comment: Make, now: datetime) -> None:
    """Unread inbox items stay answerable for `inbox_lookback`."""
    hours = make_comment(created_at=now - timedelta(hours=20))
    days = make_comment(created_at=now - timedelta(hours=25))
    assert before(hours, now, reason=Reason.COMMENT_REPLY) is None
    assert before(days, now, reason=Reason.COMMENT_REPLY) is Why.TOO_OLD


@pytest.mark.parametrize(
    ("reason", "key"),
    [
        (Reason.COMMENT_REPLY, "inbox_comments"),
        (Reason.POST_REPLY, "inbox_comments"),
        (Reason.MENTION, "inbox_mentions"),
        (Reason.MESSAGE, "inbox_messages"),
    ],
)
def test_filters__follow_the_inbox_switches(make_comment: Make, now: datetime, reason: Reason, key: str) -> None:
    """Each kind of notice has its switch."""
    notice = Notice(Ref("n"), reason, make_comment())
    view = ItemView.of_notice(notice, now=now)
    assert first_refusal(view, rules(**{key: False}), table=BEFORE_THREAD) is Why.INBOX_OFF
    assert first_refusal(view, rules(**{key: True}), table=BEFORE_THREAD) is None


@pytest.mark.parametrize(
    ("changes", "known", "why"),
    [
        ({}, {}, Why.FOLLOWUP_ONLY),
        ({}, {"reason": Reason.MENTION}, None),
        ({"parent": Ref("t1_mine")}, {"own": {Ref("t1_mine")}}, None),
        ({"submission_author": Author("Bot")}, {}, None),
        ({"submission_author": Author("Bot"), "parent": Ref("t1_strangers")}, {}, Why.FOLLOWUP_ONLY),
    ],
)
def test_filters__followup_only_answers_who_spoke_to_the_bot(
    make_comment: Make, now: datetime, changes: dict[str, Any], known: dict[str, Any], why: Why | None
) -> None:
    """Answers, mentions, and comments on own posts; strangers talking under an own post are not."""
    assert before(make_comment(**changes), now, by=rules(followup_only=True), **known) is why


def test_filters__linkpost_only_judges_posts_at_once(make_submission: Make, now: datetime) -> None:
    """A text post is refused, a link or a picture passes."""
    by = rules(linkpost_only=True)
    assert before(make_submission(), now, by=by) is Why.LINKPOST_ONLY
    assert before(make_submission(link="https://x.example"), now, by=by) is None
    assert before(make_submission(is_picture=True), now, by=by) is None


def test_filters__linkpost_only_judges_comments_by_their_thread(
    make_comment: Make, make_submission: Make, now: datetime
) -> None:
    """A comment is undecided until its submission is known."""
    by = rules(linkpost_only=True)
    view = ItemView(make_comment(), now)
    assert first_refusal(view, by, table=BEFORE_THREAD) is None
    assert after(view.with_thread(Thread(make_submission(), ())), by) is Why.LINKPOST_ONLY
    assert after(view.with_thread(Thread(make_submission(link="https://x.example"), ())), by) is None


def test_filters__forced_link_posts_need_no_followup(make_submission: Make, now: datetime) -> None:
    """`linkpost_only: force` answers strangers' link posts too."""
    by = rules(followup_only=True, linkpost_only=True, force_link_posts=True)
    assert before(make_submission(link="https://x.example"), now, by=by) is None


def test_filters__count_levels_from_the_thread(make_comment: Make, make_submission: Make, now: datetime) -> None:
    """A listing does not tell a deep comment's level; its thread does, and a top-level comment is 1."""
    levels = tuple(make_comment(ref=Ref(f"t1_{n}")) for n in range(6))
    view = ItemView(make_comment(parent=Ref("t1_5")), now, thread=Thread(make_submission(), levels))
    assert after(view, rules(max_levels=6)) is Why.MAX_LEVELS
    assert after(view, rules(max_levels=7)) is None


@pytest.mark.parametrize(
    ("field", "why"), [("locked", Why.LOCKED), ("removed", Why.REMOVED), ("archived", Why.ARCHIVED)]
)
def test_filters__refuse_closed_threads(
    make_comment: Make, make_submission: Make, now: datetime, field: str, why: Why
) -> None:
    """A comment under a closed submission can't be answered."""
    view = ItemView(make_comment(), now, thread=Thread(make_submission(**{field: True}), ()))
    assert after(view, rules()) is why


def test_filters__read_keywords_in_titles_and_threads(make_comment: Make, make_submission: Make, now: datetime) -> None:
    """What would go into the prompt is read too, but for the bot's own words."""
    by = rules(negative=Keywords.compile(["pineapple"]))
    own = make_comment(author=Author("bot"), text="pineapple")
    assert before(make_submission(title="Pineapple!"), now, by=by) is Why.KEYWORD
    assert after(ItemView(make_comment(), now, thread=Thread(make_submission(text="pineapple"), ())), by) is Why.KEYWORD
    assert after(ItemView(make_comment(), now, thread=Thread(make_submission(), (own,))), by) is None


def test_filters__do_not_read_user_names(make_comment: Make, now: datetime) -> None:
    """A name in the text trips no keyword."""
    by = rules(negative=Keywords.compile(["pineapple"]))
    assert before(make_comment(text="as u/pineapple-fan said"), now, by=by) is None
    assert found_keyword(ItemView(make_comment(text="u/x pineapple"), now), by) == "pineapple"


def test_filters__let_messages_pass_what_is_about_threads(make_comment: Make, now: datetime) -> None:
    """A private message has no submission and no level."""
    message = make_comment(kind=Kind.MESSAGE, parent=None, submission=None)
    by = rules(linkpost_only=True, followup_only=True, max_levels=1, inbox_messages=True)
    assert before(message, now, by=by, reason=Reason.MESSAGE) is None


def test_on_own_post__believes_the_thread(make_comment: Make, make_submission: Make, now: datetime) -> None:
    """Whose post it is stands in the listing, in own history, or in the thread."""
    by = rules()
    assert on_own_post(ItemView(make_comment(submission_author=Author("Bot")), now), by)
    assert on_own_post(ItemView(make_comment(), now, own={Ref("t3_post")}), by)
    assert on_own_post(ItemView(make_comment(), now, thread=Thread(make_submission(author=Author("bot")), ())), by)
    assert not on_own_post(ItemView(make_comment(), now), by)


def test_on_own_post__believes_the_inbox(make_comment: Make, make_submission: Make, now: datetime) -> None:
    """A reply to a post that the bot made a moment ago is one, though nobody has noted that post yet."""
    by = rules()
    assert on_own_post(ItemView(make_comment(), now, Reason.POST_REPLY), by)
    assert not on_own_post(ItemView(make_comment(), now, Reason.COMMENT_REPLY), by)
    other = Thread(make_submission(author=Author("ann")), ())
    assert not on_own_post(ItemView(make_comment(), now, Reason.POST_REPLY, thread=other), by)
