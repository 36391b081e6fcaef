"""stomp.py against the edge that the driver (tests/clients.rs) keeps: python clients.py '{"transport": "websocket", …}'

Says where it is as JSON objects, one a line, and waits for a line after each; ends with {"at": "passed"} or "failed".
"""

import json
import re
import sys
import threading
import time
import traceback
from urllib.parse import urlsplit

import stomp

# Above what a busy machine with two cores needs for any single step.
PATIENCE_S = 30
SIZE = 65_536
BODIES = {
    "greeting": ("text/plain;charset=utf-8", "안녕하세요, 여러분! 👋🏽🎉 grüß dich 👩‍👩‍👧‍👦"),
    "ascii": ("text/plain", "0123456789abcdef" * (SIZE // 16)),
    "korean": ("text/plain;charset=utf-8", "🎉" + "한" * ((SIZE - 4) // 3)),
    "json": ("application/json", '{"type":"TALK","message":"줄\\n바꿈: \\"따옴표\\" \\\\ 🎈"}'),
    "octets": ("application/octet-stream", bytes(range(256)) * (SIZE // 256)),
}
PEER = "나도 들려요 👋"


class Session(stomp.ConnectionListener):
    """One client: what it is told by stomp.py, in order, each thing taken once."""

    def __init__(self, version, url, headers=None, octets=False):
        """`octets`: bodies come as bytes, and any can be sent; by default as text."""
        self.version = version
        self.headers = headers or {}
        self.octets = octets
        self.untaken = []
        self.changed = threading.Condition()
        place = urlsplit(url)
        host = [(place.hostname, place.port)]
        # It does not come back once connected; when asked to, it tries so often, with a pause that grows.
        settings = {"reconnect_attempts_max": 50, "reconnect_sleep_max": 1, "auto_decode": not octets}
        if version != "1.0":
            settings["heartbeats"] = (10_000, 10_000)
        if place.scheme == "ws":
            self.connection = stomp.WSStompConnection(host, ws_path=place.path, **settings)
        else:
            kind = {"1.0": stomp.StompConnection10, "1.1": stomp.StompConnection11, "1.2": stomp.StompConnection12}
            self.connection = kind[version](host, **settings)
        self.connection.set_listener("test", self)

    def connect(self):
        """As its documentation has it: waits for CONNECTED, raises when there is none."""
        self.connection.connect(wait=True, headers=dict(self.headers))

    # What stomp.py calls, on its thread.

    def tell(self, kind, frame=None):
        with self.changed:
            self.untaken.append((kind, frame))
            self.changed.notify_all()

    def on_connected(self, frame):
        self.tell("connected", frame)

    def on_message(self, frame):
        self.tell("message", frame)

    def on_receipt(self, frame):
        self.tell("receipt", frame)

    def on_error(self, frame):
        self.tell("error", frame)

    def on_disconnected(self):
        self.tell("closed")

    # What the test asks.

    def take(self, kind, wanted=lambda frame: True):
        """The first thing of this kind that is wanted and has not been taken; waits for it."""
        deadline = time.monotonic() + PATIENCE_S
        with self.changed:
            while True:
                for at, (told, frame) in enumerate(self.untaken):
                    if told == kind and wanted(frame):
                        del self.untaken[at]
                        return frame
                left = deadline - time.monotonic()
                assert left > 0, f"no {kind} within {PATIENCE_S} s; untaken: {self.left()}"
                self.changed.wait(left)

    def left(self):
        return [(kind, frame and frame.headers) for kind, frame in self.untaken]

    def receipt(self, receipt):
        return self.take("receipt", lambda frame: frame.headers["receipt-id"] == receipt).headers

    def message(self):
        return self.take("message")

    def subscribe(self, destination, subscription, receipt):
        self.connection.subscribe(destination, id=subscription, headers={"receipt": receipt})
        assert self.receipt(receipt)["x-position"]

    def send(self, destination, body, receipt, content_type=None, **headers):
        """SEND that is stored; its message-id."""
        self.connection.send(destination, body, content_type, {"receipt": receipt, **headers})
        stored = self.receipt(receipt)
        assert re.fullmatch(r"\d+-\d+-[0-9a-f]{8}", stored["message-id"]), stored
        assert stored["timestamp"].isdecimal(), stored
        return stored["message-id"]

    def leave(self):
        """DISCONNECT with a receipt, after which stomp.py closes."""
        self.connection.disconnect(receipt="bye")
        self.receipt("bye")
        self.take("closed")
        assert not self.connection.is_connected()


def assert_body(frame, expected):
    body = frame.body.encode() if isinstance(frame.body, str) else frame.body
    expected = expected.encode() if isinstance(expected, str) else expected
    assert body == expected, f"{len(body)} octets, not the {len(expected)} expected: {body[:80]!r}"


def settle(session, room):
    session.connect()
    headers = session.take("connected").headers
    assert headers["version"] == session.version, headers
    assert re.fullmatch(r"\d+,\d+", headers["heart-beat"]) and headers["session"], headers
    session.subscribe(f"/topic/{room}", "room", "room")


def bodies(session, room):
    """All bodies at once; then their receipts, then their messages in the order of sending."""
    # 1.0 has no escapes; stomp.py encodes headers as UTF-8 in all versions.
    colour = "파랑" if session.version == "1.0" else "파랑: \\ 초록"
    names = [name for name in BODIES if name != "octets" or session.octets]
    for name in names:
        content_type, body = BODIES[name]
        session.connection.send(f"/topic/{room}", body, content_type, {"receipt": name, "x-colour": colour})
    stored = [(name, session.receipt(name)["message-id"]) for name in names]
    for name, message_id in stored:
        frame = session.message()
        assert_body(frame, BODIES[name][1])
        headers = frame.headers
        assert headers["message-id"] == message_id, (name, headers, message_id)
        assert headers["content-type"] == BODIES[name][0], headers
        assert headers["x-colour"] == colour, headers
        assert (headers["destination"], headers["subscription"]) == (f"/topic/{room}", "room"), headers
        assert "receipt" not in headers, headers
    return {"stored": stored, "colour": colour}


def alias(session, room):
    """Spring's names for rooms; MESSAGE has the one that was subscribed (M02). Unsubscribed, the room is silent."""
    session.subscribe(f"/sub/chat/{room}", "alias", "alias")
    message_id = session.send(f"/pub/chat/{room}", "다른 방", "other")
    headers = session.message().headers
    assert (headers["destination"], headers["subscription"]) == (f"/sub/chat/{room}", "alias"), headers
    assert headers["message-id"] == message_id, headers
    session.connection.unsubscribe(id="alias", headers={"receipt": "unsubscribe"})
    session.receipt("unsubscribe")
    session.send(f"/pub/chat/{room}", "nobody listens", "nobody")
    session.send(f"/topic/{room}", "after", "after")
    assert_body(session.message(), "after")


def again(session, room, word):
    """The connection is gone; connects anew, as its documentation does it when told that it is disconnected."""
    session.take("closed")
    settle(session, room)
    session.send(f"/topic/{room}", word, word)
    assert_body(session.message(), word)


def refused(session):
    session.connection.subscribe("/topic/price.*", id="pattern", headers={"receipt": "pattern"})
    error = session.take("error")
    assert error.headers["message"] == "no such destination", error.headers
    assert error.headers["x-error-code"] == "404" and error.headers["receipt-id"] == "pattern", error.headers
    assert error.body
    session.take("closed")


def stranger(version, url, wrong):
    """A token that nobody signed: connect(wait=True) does not wait for ever, and the edge closes."""
    session = Session(version, url, {"Authorization": f"Bearer {wrong}"})
    try:
        session.connect()
        raise AssertionError("connected")
    except stomp.exception.ConnectFailedException:
        pass
    error = session.take("error")
    assert error.headers["message"] == "credentials refused" and error.headers["x-error-code"] == "401", error.headers
    assert error.body
    session.take("closed")
    assert session.left() == [], session.left()


def friend(version, url, token, room):
    session = Session(version, url, {"Authorization": f"Bearer {token}"})
    session.connect()
    assert session.take("connected").headers["user-name"] == "ann"
    session.subscribe(f"/topic/{room}", "room", "room")
    session.send(f"/topic/{room}", "me", "me", sender="mallory", Authorization=f"Bearer {token}")
    headers = session.message().headers
    assert headers["sender"] == "ann" and "Authorization" not in headers, headers
    session.leave()


def driver(at, **more):
    print(json.dumps({"at": at, **more}), flush=True)
    if not sys.stdin.readline():
        sys.exit(1)


def dialogue(version, test):
    room = test["room"]
    # Over WebSocket it sends text, whatever it is given.
    if test["transport"] == "tcp":
        session = Session(version, test["url"], octets=True)
        settle(session, "octets")
        bodies(session, "octets")
        session.leave()

    session = Session(version, test["url"])
    settle(session, room)
    driver("said", **bodies(session, room))
    assert_body(session.message(), PEER)
    alias(session, room)
    driver("drain")
    again(session, room, "drained")
    driver("kill")
    again(session, room, "killed")
    refused(session)
    settle(session, room)
    session.leave()
    stranger(version, test["guarded"], test["wrong"])
    friend(version, test["guarded"], test["token"], room)


def main():
    try:
        test = json.loads(sys.argv[1])
        dialogue(test.get("version", "1.2"), test)
        print(json.dumps({"at": "passed"}), flush=True)
    except BaseException:
        print(json.dumps({"at": "failed", "why": traceback.format_exc()}), flush=True)


main()
