"""What surrounds the words of a text: invisible characters, entities, tags, links, pings. Code is left alone."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable

from hotshotd.brain.publishable import CleanRules, Fault, Unpublishable
from hotshotd.brain.textview import INVISIBLE, is_pictograph

_CODE = re.compile(r"```(?s:.*?)(?:```|\Z)|(?<!`)`[^`\n]+`(?!`)|^(?: {4}|\t).*$", re.MULTILINE)
#: Control characters, halves of surrogate pairs, private use, what is no character, and what stands for a lost one.
_CONTROL = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ue000-\uf8ff\ufdd0-\ufdef\ufffd-\uffff\U000f0000-\U0010ffff"
    + "".join(chr(plane << 16 | end) for plane in range(1, 17) for end in (0xFFFE, 0xFFFF))
    + "]"
)
#: Colours and titles of terminals, with the words that steer them.
_ANSI = re.compile("\x1b(?:\\[[0-?]*[ -/]*[@-~]|\\][^\x07\x1b\n]*(?:\x07|\x1b\\\\))")
#: Marks stacked on one letter beyond what any language does.
_STACKED = re.compile(
    "([\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20df]{3})[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20df]+"
)
_NEWLINES = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
#: Emoji that are punctuation or letters by themselves.
_TEXT_EMOJI = "\u203c\u2049\u2139\u3030"
_SPELLED_LINE_ENDS = re.compile(r"(?:\\n[ \t]*){2,}|(?:\\n\s*)+\Z")
_UNSEEN = re.compile(f"[{INVISIBLE}]")
#: Letters whose scripts need joiners: Arabic and Syriac, Indic, Mongolian.
_JOINED = re.compile("[\u0600-\u07bf\u0860-\u08ff\u0900-\u0dff\u1800-\u18af\ufb50-\ufdff\ufe70-\ufefc]")
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_ESCAPED_AMP = re.compile(r"&(?:amp;)+(?=#?\w{1,32};)")
_TAG_NAMES = (
    "a|abbr|address|article|aside|audio|b|big|blockquote|body|br|button|canvas|caption|center|cite|code|col|dd|del|"
    "details|div|dl|dt|em|embed|fieldset|figcaption|figure|font|footer|form|frame|h[1-6]|head|header|hr|html|i|iframe|"
    "img|input|ins|kbd|label|legend|li|link|main|mark|marquee|meta|nav|object|ol|option|p|param|picture|pre|q|s|samp|"
    "script|section|select|small|source|span|strike|strong|style|sub|summary|sup|svg|table|tbody|td|textarea|tfoot|th|"
    "thead|time|title|tr|tt|u|ul|var|video"
)
_BREAK = re.compile(r"<br\s*/?>\n?|</(?:p|div|li|h[1-6]|tr|blockquote)\s*>\n?", re.IGNORECASE)
_SCRIPT = re.compile(r"<(script|style)\b[^<>]*>.*?(?:</\1\s*>|\Z)", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(rf"</?(?:{_TAG_NAMES})(?:\s[^<>\n]*)?/?>|<!--(?s:.*?)-->", re.IGNORECASE)
_MARKED_LINK = re.compile(r"!?\[([^\[\]\n]*)\]\((?:[^()\s]|\([^()\s]*\))+(?:\s+[\"'][^\"'\n]*[\"'])?\)")
_HALF_ADDRESS = re.compile(r"!?\[(?P<words>[^\[\]\n]*)\]\([^()\s]*(?:\([^()\s]*)?\Z")
#: A bracket that opens in the last words, and never closes.
_HALF_WORDS = re.compile(r"(?<=\s)!?\[[^\[\]()\n]{0,120}\Z")
_LINK = re.compile(
    r"\bh(?:tt|xx)ps?:\s?//|\b[a-z][a-z0-9+.-]{1,19}://|\bwww\.\w|\bmailto:|(?<![\w:/\\])//[\w-]+\.\w|[\w.+-]@[\w-]+\.[a-z]{2}"
    r"|[\w-]\.(?:com|net|org|gg|ru|xyz|info|biz|shop|site|online|example)\b(?![\w-])"
    r"|\w\.[a-z]{2,10}/\w",
    re.IGNORECASE,
)
#: `[name]: address` in a line of its own is seen by nobody, and makes links of what is in brackets elsewhere.
_DEFINITION = re.compile(
    r"^ {0,3}\[[^\]\n]+\]:[ \t]*(?:\n[ \t]*)?<?[^\s>]+>?"
    r"(?:[ \t]*(?:\n[ \t]*)?(?:\"[^\"\n]*\"|'[^'\n]*'|\([^)\n]*\)))?[ \t]*$",
    re.MULTILINE,
)
#: Slashes are counted, or a row of them would be looked through from each.
_CALL = r"(?:\\?/){0,4}(?:u(?:\\?/){1,4}|(?<=/)user(?:\\?/){1,4})+(?=[\w-])"
#: A letter of ASCII before it is what keeps Reddit from seeing a name.
_PING = re.compile(rf"(?<![A-Za-z0-9]){_CALL}", re.IGNORECASE)
#: Where links are allowed, what is part of one stays.
_PING_BESIDE_LINKS = re.compile(rf"(?<![A-Za-z0-9./]){_CALL}", re.IGNORECASE)


def normalize_newlines(text: str, _: CleanRules) -> str:
    """Make every kind of line end a newline."""
    return _NEWLINES.sub("\n", text)


def decode_line_ends(text: str, _: CleanRules) -> str:
    r"""Make line ends of what a model spelled out: `\n\n`, or `\n` at the very end. One alone may be a path."""
    return outside_code(text, lambda part: _SPELLED_LINE_ENDS.sub("\n\n", part))


def drop_unseen(text: str, _: CleanRules) -> str:
    """Drop control and zero-width characters (not what joins emoji, or letters that need it) and towers of accents."""
    text = _STACKED.sub(r"\1", _CONTROL.sub("", _ANSI.sub("", text)))
    return _UNSEEN.sub(lambda match: match[0] if _belongs(text, match.start()) else "", text)


def decode_entities(text: str, _: CleanRules) -> str:
    """Decode whole HTML entities, those escaped several times as well."""
    return outside_code(text, lambda part: _ENTITY.sub(_entity, _ESCAPED_AMP.sub("&", part)))


def drop_tags(text: str, _: CleanRules) -> str:
    """Drop HTML tags (a line break becomes one) and what scripts hold; `<3` and `a < b` are no tags."""
    return outside_code(text, lambda part: _TAG.sub("", _BREAK.sub("\n", _SCRIPT.sub("", part))))


def refuse_links(text: str, rules: CleanRules) -> str:
    """Turn `[text](address)` into its text, which reads well; refuse a bare address, which would leave a hole."""
    if rules.allow_links:
        return text
    text = _MARKED_LINK.sub(r"\1", _DEFINITION.sub("", text))
    if _LINK.search(text):
        raise Unpublishable(Fault.LINK)
    return text


def drop_pings(text: str, rules: CleanRules) -> str:
    """Turn `u/name` into `name`: it reads the same and calls nobody."""
    pattern = _PING_BESIDE_LINKS if rules.allow_links else _PING
    return text if rules.allow_mentions else pattern.sub("", text)


def drop_half_link(text: str, _: CleanRules) -> str:
    """Take back a link that was cut off: its words stay where they are complete."""
    hidden = hide_code(text)
    half = _HALF_ADDRESS.search(hidden)
    if half:
        return text[: half.start()] + text[half.start("words") : half.end("words")]
    half = _HALF_WORDS.search(hidden)
    return text[: half.start()].rstrip() if half else text


def hide_code(text: str) -> str:
    """Give a text of the same length in which code is blank."""
    parts, at = [], 0
    for start, end in code_spans(text):
        parts += [text[at:start], re.sub(r"[^\n]", "x", text[start:end])]
        at = end
    return "".join([*parts, text[at:]])


def code_spans(text: str) -> list[tuple[int, int]]:
    """Give where fenced, inline and indented code stands, in order."""
    return [match.span() for match in _CODE.finditer(text)]


def outside_code(text: str, change: Callable[[str], str]) -> str:
    """Apply `change` to what is not code."""
    parts, at = [], 0
    for start, end in code_spans(text):
        parts += [change(text[at:start]), text[start:end]]
        at = end
    return "".join([*parts, change(text[at:])])


def _entity(match: re.Match[str]) -> str:
    # Only whole entities: html.unescape alone would also read `&copy` in the middle of an address.
    return html.unescape(match[0])


def _belongs(text: str, at: int) -> bool:
    char, before, after = text[at], text[at - 1 : at] if at else "", text[at + 1 : at + 2]
    if not before:
        return False
    if char in "\u200c\u200d" and _JOINED.match(before) and _JOINED.match(after):
        return True
    if char == "\u200d":
        return _is_symbol(before) and _is_symbol(after)
    if char in "\ufe0e\ufe0f":
        # `1`, U+FE0F, U+20E3 is a keycap; after a plain digit alone it is noise. In a row they would be a message.
        return (before not in "\ufe0e\ufe0f" and _is_symbol(before)) or before in _TEXT_EMOJI or after == "\u20e3"
    return "\U000e0020" <= char <= "\U000e007f" and _is_flag_tag(text, at)


def _is_symbol(char: str) -> bool:
    return char != "" and (is_pictograph(char) or unicodedata.category(char) in {"Sk", "Sm"} or char == "\ufe0f")


def _is_flag_tag(text: str, at: int) -> bool:
    # Flags of regions are spelled in tags after a black flag.
    start = at
    while start > 0 and at - start < 8 and "\U000e0020" <= text[start - 1] <= "\U000e007f":
        start -= 1
    return start > 0 and text[start - 1] == "\U0001f3f4"
