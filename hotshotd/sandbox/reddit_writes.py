"""What can be written to the local Reddit: comments, posts, pictures, marks and messages."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace

from hotshotd.sandbox.forum import Account, Forum, Refusal, Submission, forbidden, not_found
from hotshotd.sandbox.http import Part, Request, Response, Route, json_response, text_response
from hotshotd.sandbox.reddit_answers import Action, UserAction, as_user, refused
from hotshotd.sandbox.reddit_json import Json, Shapes, things


class Writes:
    """The writing endpoints. `uploads` holds the pictures by their key."""

    def __init__(self, forum: Forum, shapes: Shapes, *, base_url: Callable[[], str]) -> None:
        self.forum = forum
        self.uploads: dict[str, Part] = {}
        self._shapes = shapes
        self._base_url = base_url

    def routes(self) -> list[tuple[str, Action]]:
        """Give the paths that are posted to, and what answers them."""
        actions: list[tuple[str, UserAction]] = [
            ("/api/comment", self._comment),
            ("/api/submit", self._submit),
            ("/api/media/asset.json", self._lease),
            ("/api/editusertext", self._edit),
            ("/api/del", self._delete),
            ("/api/read_message", self._read_message),
            ("/api/read_all_messages", self._read_all),
            ("/api/block_user", self._block_user),
            ("/api/block", self._block_author),
            ("/api/compose", self._compose),
        ]
        return [(path, as_user(self.forum, action)) for path, action in actions]

    def upload_routes(self) -> list[Route]:
        """Give the stand-in for S3: open to everybody, as a presigned address is."""
        return [Route("POST", "/__s3", self._upload), Route("GET", "/__s3/{key:path}", self._picture)]

    def _comment(self, request: Request, account: Account) -> Response:
        target, text = request.form.get("thing_id", ""), request.form.get("text", "")
        if target.startswith("t4_"):
            sent = self.forum.answer_message(account.name, target, text)
            return json_response(things([self._shapes.message(sent, is_new=False)]))
        return json_response(things([self._shapes.comment(self.forum.comment(account.name, target, text))]))

    def _submit(self, request: Request, account: Account) -> Response:
        form = request.form
        kind = form.get("kind", "")
        if kind not in ("self", "link", "image"):
            raise Refusal("INVALID_OPTION", "that option is not valid", fieldname="kind")
        post = self.forum.submit(
            account.name, form.get("sr", ""), form.get("title", ""), form.get("text", ""),
            self._address(kind, form.get("url", "")), is_picture=kind == "image",
            flair_id=form.get("flair_id"), over_18=_is_true(form.get("nsfw")), spoiler=_is_true(form.get("spoiler")),
            sends_replies=_is_true(form.get("sendreplies", "true")),
        )  # fmt: skip
        return json_response({"json": {"errors": [], "data": self._submitted(kind, post)}})

    def _address(self, kind: str, url: str) -> str | None:
        if kind == "self":
            return None
        if kind == "image":
            key = url.partition("/__s3/")[2]
            if key not in self.uploads:
                raise Refusal("BAD_URL", "that upload is not known", fieldname="url")
            return f"{self._base_url()}/__s3/{key}"
        if not url.startswith(("http://", "https://")):
            raise Refusal("NO_URL" if not url else "BAD_URL", "you should check that url", fieldname="url")
        return url

    def _submitted(self, kind: str, post: Submission) -> Json:
        profile = f"{self._base_url()}/user/{post.author}/submitted/"
        if kind == "image":
            return {"websocket_url": None, "user_submitted_page": profile}
        address = self._base_url() + post.permalink
        return {"id": post.id, "name": post.fullname, "url": address, "drafts_count": 0}

    def _lease(self, request: Request, _account: Account) -> Response:
        suffix = request.form.get("filepath", "").rpartition(".")[2][:8] or "bin"
        number = secrets.token_hex(6)
        fields = {"key": f"rte_images/{number}.{suffix}", "Content-Type": request.form.get("mimetype", "")}
        lease = {
            # PRAW puts "https:" before it: a loopback client must send that as plain http.
            "action": self._base_url().removeprefix("http:") + "/__s3",
            "fields": [{"name": name, "value": value} for name, value in fields.items()],
        }
        asset = {"asset_id": number, "processing_state": "incomplete", "payload": {"filepath": fields["key"]}}
        return json_response({"args": lease, "asset": {**asset, "websocket_url": None}})

    def _upload(self, request: Request) -> Response:
        parts = request.parts()
        if "key" not in parts or "file" not in parts:
            error = "<Error><Code>InvalidArgument</Code><Message>key and file are needed</Message></Error>"
            return text_response(error, status=400, content_type="application/xml")
        key = parts["key"].text
        kind = parts["Content-Type"].text if "Content-Type" in parts else parts["file"].content_type
        self.uploads[key] = replace(parts["file"], content_type=kind)
        answer = f"<PostResponse><Key>{key}</Key></PostResponse>"
        return text_response(answer, status=201, content_type="application/xml")

    def _picture(self, request: Request) -> Response:
        part = self.uploads.get(request.variables["key"])
        return Response(200, part.data, part.content_type) if part else refused(not_found())

    def _own(self, account: Account, fullname: str) -> str:
        thing = self.forum.thing(fullname)
        if thing is None:
            raise not_found()
        if thing.author.casefold() != account.name.casefold():
            raise forbidden()
        return fullname

    def _edit(self, request: Request, account: Account) -> Response:
        name = self._own(account, request.form.get("thing_id", ""))
        changed = self.forum.edit(name, request.form.get("text", ""))
        return json_response(things([self._shapes.thing(changed, viewer=account.name)]))

    def _delete(self, request: Request, account: Account) -> Response:
        self.forum.delete(self._own(account, request.form.get("id", "")))
        return json_response({})

    def _read_message(self, request: Request, account: Account) -> Response:
        self.forum.mark_read(account.name, tuple(request.form.get("id", "").split(",")))
        return json_response({})

    def _read_all(self, _request: Request, account: Account) -> Response:
        self.forum.mark_read(account.name)
        return Response(202)

    def _block_user(self, request: Request, account: Account) -> Response:
        self.forum.block(account.name, request.params.get("name") or request.form.get("name", ""))
        return json_response({})

    def _block_author(self, request: Request, account: Account) -> Response:
        thing = self.forum.thing(request.form.get("id", ""))
        if thing is None:
            raise not_found()
        self.forum.block(account.name, thing.author)
        return json_response({})

    def _compose(self, request: Request, account: Account) -> Response:
        form = request.form
        self.forum.send(account.name, form.get("to", ""), form.get("subject", ""), form.get("text", ""))
        return json_response({"json": {"errors": []}})


def _is_true(value: str | None) -> bool:
    return (value or "").casefold() == "true"
