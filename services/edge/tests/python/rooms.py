"""httpx-sse in a room of the edge that the driver (tests/rooms_clients.rs) keeps: python rooms.py '{"url": …, "room": …}'

Says where it is as JSON objects, one a line, and waits for a line after each; ends with {"at": "passed"} or "failed".
"""

import json
import queue
import re
import sys
import threading
import traceback
from urllib.parse import quote

import httpx
from httpx_sse import SSEError, connect_sse

# Above what a busy machine with two cores needs for any single step.
PATIENCE_S = 30


def bearer(token):
    return {"Authorization": f"Bearer {token}"} if token else {}


class Listener(threading.Thread):
    """The loop that everybody writes around httpx-sse, which reads one stream: it comes back with Last-Event-ID."""

    def __init__(self, url, token=None):
        super().__init__(daemon=True)
        self.url = url
        self.token = token
        self.told = queue.Queue()
        self.left = threading.Event()
        self.retry_ms = None
        self.last_id = ""

    def run(self):
        with httpx.Client(timeout=httpx.Timeout(10, read=None)) as client:
            while not self.left.is_set():
                try:
                    self.listen(client)
                except httpx.HTTPStatusError as refusal:
                    # An edge that is starting or full says 503, and is asked again.
                    if refusal.response.status_code < 500:
                        self.told.put(("status", refusal.response.status_code))
                        return
                except (httpx.TransportError, SSEError):
                    pass
                self.left.wait((self.retry_ms or 3_000) / 1_000)

    def listen(self, client):
        headers = bearer(self.token) | ({"Last-Event-ID": self.last_id} if self.last_id else {})
        with connect_sse(client, "GET", self.url, headers=headers) as source:
            source.response.raise_for_status()
            for event in source.iter_sse():
                self.retry_ms = event.retry or self.retry_ms
                self.last_id = event.id or self.last_id
                # A retry by itself, or a comment, comes as an event without data.
                if event.data:
                    self.told.put((event.event, (json.loads(event.data), event.id)))

    def take(self, kind):
        while True:
            told, value = self.told.get(timeout=PATIENCE_S)
            assert told in (kind, "subscribed"), (told, value)
            if told == kind:
                return value

    def leave(self):
        self.left.set()


def driver(at, **more):
    print(json.dumps({"at": at, **more}), flush=True)
    line = sys.stdin.readline()
    return json.loads(line) if line else sys.exit(1)


def converse(plan):
    place = lambda base, room: f"{base}/rooms/{quote(room, safe='')}/events"
    listener = Listener(place(plan["url"], plan["room"]))
    listener.start()
    subscribed, _ = listener.take("subscribed")
    assert subscribed["room"] == plan["room"] and "recovered" not in subscribed, subscribed
    assert re.fullmatch(r"\d+-(-1|\d+)-[0-9a-f]{8}", subscribed["position"]), subscribed
    expect = driver("listening")["expect"]
    while expect:
        messages = []
        for _ in range(expect):
            message, token = listener.take("message")
            replayed = message.get("replayed", False)
            base64 = message.get("body_base64")
            messages.append({"id": message["id"], "body": message.get("body"), "base64": base64, "replayed": replayed, "token": token})
        expect = driver("heard", messages=messages)["expect"]
    assert not [told for told, _ in list(listener.told.queue) if told == "message"], "nothing twice"
    assert 500 <= listener.retry_ms <= 30_000, listener.retry_ms
    listener.leave()

    token = plan["token"]
    for status, room, shown in ((401, plan["room"], None), (401, plan["room"], f"{token}x"), (403, plan["other"], token)):
        stranger = Listener(place(plan["guarded"], room), shown)
        stranger.start()
        assert stranger.take("status") == status, status
    friend = Listener(place(plan["guarded"], plan["room"]), token)
    friend.start()
    assert friend.take("subscribed")[0]["room"] == plan["room"]
    friend.leave()


def main():
    try:
        converse(json.loads(sys.argv[1]))
        print(json.dumps({"at": "passed"}), flush=True)
    except BaseException:
        print(json.dumps({"at": "failed", "why": traceback.format_exc()}), flush=True)


main()
