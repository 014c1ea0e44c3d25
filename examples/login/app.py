"""A noticeboard: guests read, users post, and admins take down what others posted.

pbweb serve examples.login.app:portal
"""

from __future__ import annotations

import secrets
import time
from pathlib import Path

import jwt

import pbweb as pb
from pbweb.checkers import AllowAnonymousAccess, FilePasswordDB, TokenChecker

ADMINS = {"carol"}
NOTICES = 20  # on the board; the oldest goes
LENGTH = 200  # characters of a notice
SECRET = secrets.token_hex(32)  # of the tokens: those of an earlier process are no good
US = "pbweb's noticeboard"


class NotYours(pb.Error):
    """Only who posted a notice, and admins, may take it down."""


class Notice(pb.Viewable):
    """On the board. Each avatar holds a view of it that is its own, and cannot be another's."""

    def __init__(self, board: Board, author: str, text: str) -> None:
        self.board = board
        self.author = author
        self.text = text

    def view_takeDown(self, perspective: Guest) -> None:
        if perspective.name != self.author and perspective.name not in ADMINS:
            raise NotYours(f"{self.author} posted this, and you are {perspective.name}")
        self.board.take_down(self)


class Board:
    """All notices, and all avatars that look at them."""

    def __init__(self) -> None:
        self.notices = [Notice(self, "carol", "Whoever has a name may post here.")]
        self.avatars: set[Guest] = set()

    def post(self, author: str, text: str) -> None:
        self.notices = [*self.notices, Notice(self, author, text)][-NOTICES:]
        self.show()

    def take_down(self, notice: Notice) -> None:
        self.notices = [other for other in self.notices if other is not notice]
        self.show()

    def show(self) -> None:
        for avatar in self.avatars:
            avatar.tell("show", self.listed())

    def listed(self) -> list[dict[str, object]]:
        return [
            {"notice": notice, "author": notice.author, "text": notice.text}
            for notice in self.notices
        ]


class Guest(pb.Avatar):
    """What anybody may do. The mind is an object of the page's, which is told what changes."""

    def __init__(self, board: Board, name: str, mind: pb.RemoteReference | None) -> None:
        self.board = board
        self.name = name
        self.mind = mind
        board.avatars.add(self)

    def perspective_whoami(self) -> str:
        return self.name

    def perspective_read(self) -> list[dict[str, object]]:
        return self.board.listed()

    def tell(self, name: str, *args: object) -> None:
        """A page that has gone meanwhile is told nothing."""
        if self.mind is not None and not self.mind.isDead():
            self.mind.callRemoteOnly(name, *args)

    def logout(self) -> None:
        """Called once: the page let go of the avatar, or went, or its token has expired."""
        self.board.avatars.discard(self)
        self.tell("loggedOut")


class User(Guest):
    """Has a name that was proved."""

    def perspective_post(self, text: str) -> None:
        if not text.strip():
            raise pb.Error("there is nothing in it")
        self.board.post(self.name, text.strip()[:LENGTH])

    def perspective_getToken(self, seconds: int) -> str:
        """With this the user can log in, or renew a login, without the password."""
        claims = {"sub": self.name, "aud": US, "iss": US, "exp": time.time() + min(seconds, 3600)}
        return jwt.encode(claims, SECRET, "HS256")


class Realm:
    """Gives each who has proved a name an avatar, and each who has not another."""

    def __init__(self) -> None:
        self.board = Board()

    def requestAvatar(
        self, avatarId: str | tuple[()], mind: pb.RemoteReference | None, interface: object
    ) -> tuple[object, Guest, object]:
        if isinstance(avatarId, str):
            avatar: Guest = User(self.board, avatarId, mind)
        else:
            avatar = Guest(self.board, "a guest", mind)
        return interface, avatar, avatar.logout


portal = pb.Portal(
    Realm(),
    [
        FilePasswordDB(Path(__file__).with_name("passwords")),
        TokenChecker(SECRET, algorithms=["HS256"], audience=US, issuer=US),
        AllowAnonymousAccess(),
    ],
)
