"""What is fuzzed: each target takes bytes, and raises only when something is wrong.

A target may let through the errors that its docstring promises; anything else is a find.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast
from zoneinfo import ZoneInfo

from fuzzing.making import Source, make_json, make_text
from hotshotd._types import BotName
from hotshotd.brain import plain_post, ssi
from hotshotd.brain.clean import CleanRules, clean_body, clean_reply, clean_title
from hotshotd.brain.keywords import default_keywords
from hotshotd.brain.optout import wants_out
from hotshotd.brain.prompt import Persona, build_reply_prompt
from hotshotd.clock import SystemClock
from hotshotd.config.loader import load_bot, make_bare_main
from hotshotd.control import handlers
from hotshotd.control.protocol import Daemon
from hotshotd.errors import HotshotError, InferenceError, PlatformError, ProtocolError, QuotaError
from hotshotd.importing.card import read_json_card, read_png_card
from hotshotd.importing.files import settle
from hotshotd.importing.ssi_ini import read_ini
from hotshotd.inference import build, horde_answers
from hotshotd.inference.base import Endpoint, Message, Prompt, Speaker
from hotshotd.inference.http import Answer, Call, ServiceSession
from hotshotd.inference.refusals import read_problem
from hotshotd.inference.transport import Flight
from hotshotd.platform import Author, Item, Kind, Ref, Thread
from hotshotd.quota.ledger import Ledger
from hotshotd.quota.moment import Moment
from hotshotd.quota.plan import BotPlan, Plan
from hotshotd.quota.records import Loaded
from hotshotd.quota.requests import HANDLERS, parse_plan
from hotshotd.quota.room import Room, Tenant
from hotshotd.quota.stub import StubQuota
from hotshotd.reddit import links, outcome, parse
from hotshotd.wire import LineBuffer

Target = Callable[[bytes], None]

_NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
_RULES = CleanRules(own_names=("BotName",), other_names=("ann", "bob"), told=("I keep a lighthouse far out at sea.",))
_KEY = "sk-fuzz-secret"
_FOLDER = Path(tempfile.mkdtemp(prefix="fuzz-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))
_MAIN = make_bare_main({"XDG_STATE_HOME": str(_FOLDER), "XDG_RUNTIME_DIR": str(_FOLDER)})


def fuzz_yaml(data: bytes) -> None:
    """A bot's file of any bytes, or of pieces: faults, never an exception (an old program's file included)."""
    source = Source(data)
    head = (b"", b"name: duck\nreply: ", b"bot_username: duck\n", b"safety: {moderators: ")[source.byte() % 4]
    body = source.rest() if source.byte() % 2 else make_text(source).encode("utf-8", "surrogatepass")
    path = _FOLDER / "bot.yaml"
    path.write_bytes(head + body)
    load = load_bot(path, _MAIN)
    assert (load.bot is None) == bool(load.faults), "neither a bot nor a fault, or both"


class _SilentDaemon:
    """Takes every command; what matters is what reaches it."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        def command(*_: Any, **__: Any) -> None:
            return None

        return command


def fuzz_control(data: bytes) -> None:
    """Lines on the control socket: a message that is none ends the connection, a strange one is answered."""
    with suppress(ProtocolError):
        LineBuffer(limit=4096).feed(data)
    request = make_json(Source(data))
    if not isinstance(request, dict):
        return
    request["op"] = Source(data[::-1]).choose((*sorted(handlers.COMMANDS), request.get("op")))
    replies: list[Any] = []
    handlers.handle(
        cast(Daemon, _SilentDaemon()),
        handlers.Exchange(request, replies.append, lambda code, message: replies.append((code, message))),
    )
    assert not any(isinstance(reply, tuple) and reply[0] == "internal" for reply in replies), replies


def _make_room() -> Room:
    plan = Plan(zone=ZoneInfo("UTC"), bots={BotName("duck"): BotPlan(budget=10_000)})
    return Room(ledger=Ledger(Loaded(), plan=plan, at=Moment(_NOW, 0.0)))


def fuzz_quota(data: bytes) -> None:
    """Messages on the quota socket: refused as such, and the ledger's invariants hold after each."""
    source, room = Source(data), _make_room()
    tenant = Tenant(lease=1, bot=BotName("duck"), client="c")
    room.enter(tenant)
    for step in range(1 + source.byte() % 6):
        message = make_json(source)
        if not isinstance(message, dict):
            continue
        name = source.choose(tuple(HANDLERS))
        with suppress(ProtocolError, QuotaError):
            HANDLERS[name](room, tenant, message, Moment(_NOW, float(step)))
        with suppress(HotshotError):
            parse_plan(message)
        room.ledger.check_invariants()


class _CannedSession(ServiceSession):
    """A session whose every request has the same answer, without a network."""

    def __init__(self, answer: Callable[[Call], Answer]) -> None:
        quota = StubQuota(SystemClock(), budgets={"duck": None})
        super().__init__(admission=quota.enter("duck"), clock=SystemClock(), pause=lambda _seconds: True)
        self._canned = answer

    def _exchange(self, call: Call, flight: Flight) -> Answer:  # noqa: ARG002
        return self._canned(call)


def _endpoint() -> Endpoint:
    return Endpoint(name="service", url="http://127.0.0.1:9/v1", key=_KEY)


_PROMPT = Prompt(text="Once upon a time", messages=(Message(Speaker.USER, "Once upon a time"),))


def _ask_text(api: str) -> Callable[[ServiceSession], object]:
    return lambda session: build.build_text_model(
        api=api, endpoint=_endpoint(), model="m", parameters={"num_return_sequences": 2}, session=session
    ).generate(_PROMPT)


def _ask_ranker(api: str) -> Callable[[ServiceSession], object]:
    return lambda session: build.build_ranker(api=api, endpoint=_endpoint(), model="m", session=session).score(
        ["context"], "reply"
    )


def _ask_moderator(name: str) -> Callable[[ServiceSession], object]:
    return lambda session: build.build_moderator(
        name=name,
        endpoint=_endpoint(),
        threshold=0.9,
        languages=["en"],
        session=session,
        own=build.ModelOfModerator("chat" if name == "chat" else "hf", "m", None),
    ).judge("a text")


def _ask_topics(api: str) -> Callable[[ServiceSession], object]:
    return lambda session: build.build_topic_model(api=api, endpoint=_endpoint(), model="m", session=session).classify(
        "a text", ["sea", "war"]
    )


def _ask_captioner(kind: str, version: str | None) -> Callable[[ServiceSession], object]:
    return lambda session: build.build_captioner(
        kind=kind, endpoint=_endpoint(), session=session, model="m", version=version
    ).describe("https://pictures.example/a.png")


#: Every client of a service, by what is asked of it.
CLIENTS: MappingProxyType[str, Callable[[ServiceSession], object]] = MappingProxyType(
    {
        **{f"text {api}": _ask_text(api) for api in ("hf", "completions", "chat")},
        **{f"ranker {api}": _ask_ranker(api) for api in ("hf", "rerank", "classify", "judge")},
        **{f"moderator {name}": _ask_moderator(name) for name in ("perspective", "openai", "mistral", "hf", "chat")},
        **{f"topics {api}": _ask_topics(api) for api in ("hf", "chat")},
        "caption azure 4.0": _ask_captioner("azure", "4.0"),
        "caption azure 3.2": _ask_captioner("azure", "3.2"),
        "caption chat": _ask_captioner("chat", None),
        **{
            f"painter {api}": lambda session, api=api: build.build_painter(  # type: ignore[misc]
                api=api, endpoint=_endpoint(), model="m", parameters={}, session=session
            ).paint("a cat")
            for api in ("hf", "chat")
        },
    }
)

_STATUSES = (200, 200, 200, 200, 400, 401, 402, 404, 422, 429, 500, 503)


def fuzz_services(data: bytes) -> None:
    """Any answer to any client: a usable value or an InferenceError, whose message never holds the key."""
    source = Source(data)
    ask = CLIENTS[source.choose(tuple(CLIENTS))]
    status = source.choose(_STATUSES)
    # Every second answer is plain bytes; two in a row may differ, for clients that ask twice.
    bodies = [_make_body(source), _make_body(source)]

    def answer(call: Call) -> Answer:
        headers = {"content-type": "application/json", "retry-after": make_text(Source(data[-4:]), most=3)}
        body = bodies.pop(0) if len(bodies) > 1 else bodies[0]
        return Answer(status=status, headers=headers, body=body, where=call.where)

    try:
        ask(_CannedSession(answer))
    except (InferenceError, QuotaError) as exc:
        if _KEY in str(exc):
            raise AssertionError("the key stands in a message") from exc


def _make_body(source: Source) -> bytes:
    if source.byte() % 8 == 0:
        return source.rest()
    value = make_json(source)
    return json.dumps(value).encode() if source.byte() % 16 else json.dumps(value).encode()[:-3]


def fuzz_refusals(data: bytes) -> None:
    """Error answers of any shape: read, short, and without the key or what was sent."""
    source = Source(data)
    body, sent = make_json(source), f"{make_text(source)} a text that was sent"
    problem = read_problem(
        source.choose(_STATUSES),
        body,
        headers={"retry-after": make_text(source, most=4)},
        secrets=(_KEY,),
        sent=(sent,),
        now=_NOW,
    )
    assert len(problem.cause) <= 200
    assert _KEY not in problem.cause


def fuzz_horde(data: bytes) -> None:
    """AI Horde's answers, read step by step."""
    body = make_json(Source(data))
    for read in (
        horde_answers.read_job_id,
        horde_answers.read_progress,
        horde_answers.read_generations,
        lambda value, *, where: horde_answers.read_form(value, "caption", where=where),
    ):
        with suppress(InferenceError):
            read(body, where="horde")


def fuzz_reddit(data: bytes) -> None:
    """Reddit's answers of any shape: things, or a platform error."""
    source = Source(data)
    answer = make_json(source)
    children = answer if isinstance(answer, list) else [answer]
    parse.parse_items(children)
    parse.parse_notices(children)
    for read in (
        lambda: parse.parse_page(answer, what="x"),
        lambda: parse.parse_branch(answer, ref=Ref("t1_abc")),
        lambda: parse.parse_identity(answer),
        lambda: parse.parse_lease(answer),
        lambda: parse.first_item(answer, ref=Ref("t1_abc")),
        lambda: parse.parse_new_ref(answer, kind=Kind.COMMENT),
        lambda: outcome.error_of_answer(answer),
        lambda: links.parse_link(make_text(source), site_url="https://www.reddit.com"),
    ):
        with suppress(PlatformError):
            read()
    outcome.parse_wait_text(make_text(source))


def fuzz_ssi(data: bytes) -> None:
    """What a fine-tuned model may write: a post, or none; `repr` and back is the same text."""
    source = Source(data)
    text = make_text(source)
    post = ssi.parse_post(text, prompt="<|soss")
    assert post is None or post.title
    plain_post.parse_post(text)
    plain_post.parse_title(text)
    whole = "".join(char for char in text if not 0xD800 <= ord(char) < 0xE000)
    assert ssi.decode_escapes(repr(whole + "'\"")[1:-1]) == whole + "'\""


def fuzz_cleaner(data: bytes) -> None:
    """What a model may write: what is publishable stays so when it is cleaned again, and no keyword search hangs."""
    text = make_text(Source(data))
    for clean, limit in ((clean_reply, 10_000), (clean_body, 40_000), (clean_title, 300)):
        cleaned = clean(text, _RULES)
        if cleaned.text is not None:
            assert len(cleaned.text) <= limit
            assert clean(cleaned.text, _RULES).text == cleaned.text, (text, cleaned.text)
    default_keywords().find(text)
    wants_out(text)


def fuzz_prompt(data: bytes) -> None:
    """Whatever people write, a prompt keeps its limit and lets nobody speak as the bot."""
    source = Source(data)
    top = Item(Ref("t3_x"), Kind.SUBMISSION, Author("ann"), make_text(source), "pond", _NOW, title=make_text(source))
    levels = tuple(
        Item(Ref(f"t1_{n}"), Kind.COMMENT, Author("bob"), make_text(source), "pond", _NOW, parent=Ref("t3_x"))
        for n in range(source.byte() % 4)
    )
    item = Item(Ref("t1_it"), Kind.COMMENT, Author("eve"), make_text(source), "pond", _NOW, parent=Ref("t3_x"))
    prompt = build_reply_prompt(
        Persona("BotName", "I keep a lighthouse."), Thread(top, levels), item, max_prompt_chars=900
    )
    assert max(prompt.count_text(), prompt.count_messages()) <= 900
    turns = [line for line in prompt.text.splitlines() if line.startswith("BotName replied:")]
    assert len(turns) == 1, turns


def fuzz_card(data: bytes) -> None:
    """A character card as JSON or PNG: a draft that becomes a loadable file, or an error with a reason."""
    source = Source(data)
    with suppress(HotshotError):
        read_png_card(data, source="card.png")
    with suppress(HotshotError):
        read_png_card(_make_png(source), source="card.png")
    with suppress(HotshotError):
        draft = read_json_card(json.dumps(make_json(source)), source="card.json")
        settle(draft, name="card", main=_MAIN)


def fuzz_ini(data: bytes) -> None:
    """An ssi-bot ini of any text."""
    source = Source(data)
    text = source.rest().decode("utf-8", "replace") if source.byte() % 2 else make_text(source)
    with suppress(HotshotError):
        read_ini(f"[duck]\n{text}", source="ssi-bot.ini")


def _make_png(source: Source) -> bytes:
    import zlib

    def chunk(name: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4, "big") + name + body + zlib.crc32(name + body).to_bytes(4, "big")

    kind = source.choose((b"tEXt", b"zTXt", b"iTXt"))
    keyword = source.choose((b"chara", b"ccv3", b"Comment"))
    body = json.dumps(make_json(source)).encode()
    import base64

    payload = base64.b64encode(body) if source.byte() % 4 else source.rest()[:64]
    middle = {b"tEXt": b"\0", b"zTXt": b"\0\0", b"iTXt": b"\0\0\0\0\0"}[kind]
    packed = zlib.compress(payload) if kind == b"zTXt" else payload
    header = (1).to_bytes(4, "big") * 2 + b"\x08\x02\0\0\0"
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(kind, keyword + middle + packed) + chunk(b"IEND", b"")


#: What can be fuzzed, by name.
TARGETS: MappingProxyType[str, Target] = MappingProxyType(
    {
        "yaml": fuzz_yaml,
        "control": fuzz_control,
        "quota": fuzz_quota,
        "services": fuzz_services,
        "refusals": fuzz_refusals,
        "horde": fuzz_horde,
        "reddit": fuzz_reddit,
        "ssi": fuzz_ssi,
        "cleaner": fuzz_cleaner,
        "prompt": fuzz_prompt,
        "card": fuzz_card,
        "ini": fuzz_ini,
    }
)
