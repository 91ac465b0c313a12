"""A Bot API server that nobody here wrote, for tests/system/telegram.sh: telemelya (PyPI), as it is, behind this bridge.

    bridge.py store PORT            the store: what telemelya takes for Redis, from fakeredis; outlives restarts of the rest
    bridge.py api PORT STORE_PORT   the Bot API and telemelya's own interface for tests, on http://127.0.0.1:PORT

What a bot is told about messages, edits and presses, and the record of what it did, are telemelya's. The bridge itself

- starts telemelya's application without its lifespan, which would insist on MinIO; media therefore do not work;
- takes method names in any case, as Telegram does, and answers 404 to those that neither of the two knows;
- has getUpdates, which telemelya lacks: telemelya's delivery by webhook goes into a queue of the bridge, in the store, with
  update ids of the bridge that count up. It knows offset, limit, timeout (at most 50 s) and allowed_updates, and answers
  409 to a poll when another one begins;
- has setMyCommands and getChat, which telemelya lacks, and getMe, getWebhookInfo and deleteWebhook of its own: telemelya's
  getMe lacks fields, and the webhook is the bridge's.

Known to differ from Telegram: any token is good, no 429, no check of callback_data, of markup, of ids of presses or of edits
that change nothing; every chat is private; the message inside a press has neither text nor keyboard.
"""

import asyncio
import json
import os
import sys

if len(sys.argv) == 4:
    # Read by telemelya when it is imported. An edit of a message that it does not know is refused.
    os.environ.update(REDIS_URL=f"redis://127.0.0.1:{sys.argv[3]}/0", STRICT_EDIT="true")

import fakeredis
import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse
from telemelya.server.app import app as telemelya
from telemelya.server.bot_api import DEFAULT_BOT_INFO, router
from telemelya.server.state import state_manager

LONGEST_POLL = 50
KNOWN = {route.path.rsplit("/", 1)[-1].lower(): route.path.rsplit("/", 1)[-1] for route in router.routes}


def done(result):
    return JSONResponse({"ok": True, "result": result})


def refused(code, description):
    return JSONResponse({"ok": False, "error_code": code, "description": description}, status_code=code)


class Queue:
    """Updates of one bot that it has not confirmed yet."""

    def __init__(self, token):
        self.key = f"bridge:updates:{token}"
        self.changed = asyncio.Condition()
        self.polls = 0

    async def put(self, update):
        update["update_id"] = 1000 + await state_manager.redis.incr(f"{self.key}:id")
        await state_manager.redis.rpush(self.key, json.dumps(update))
        async with self.changed:
            self.changed.notify_all()

    async def unconfirmed(self, offset):
        updates = [json.loads(update) for update in await state_manager.redis.lrange(self.key, 0, -1)]
        confirmed = sum(update["update_id"] < offset for update in updates)
        if confirmed:
            await state_manager.redis.ltrim(self.key, confirmed, -1)
        return updates[confirmed:]

    async def poll(self, offset, limit, timeout, allowed):
        """What is there, or comes within `timeout` seconds; None when another poll began meanwhile."""
        async with self.changed:
            self.polls += 1
            own = self.polls
            self.changed.notify_all()
        end = asyncio.get_running_loop().time() + timeout
        while True:
            async with self.changed:
                updates = await self.unconfirmed(offset)
                if self.polls != own:
                    return None
                wanted = [update for update in updates if not allowed or any(kind in update for kind in allowed)]
                left = end - asyncio.get_running_loop().time()
                if wanted or left <= 0:
                    return wanted[:limit]
                try:
                    await asyncio.wait_for(self.changed.wait(), left)
                except asyncio.TimeoutError:
                    pass


class Bridge:
    def __init__(self, port):
        self.port = port
        self.queues = {}

    def queue(self, token):
        return self.queues.setdefault(token, Queue(token))

    async def __call__(self, scope, receive, send):
        answer = await self.answer(scope, receive) if scope["type"] == "http" else None
        await (answer or telemelya)(scope, receive, send)

    async def answer(self, scope, receive):
        """The bridge's own answer, or None and a scope that telemelya understands."""
        parts = scope["path"].split("/")
        if len(parts) != 3 or not parts[1].startswith(("bot", "deliver")):
            return None
        if parts[1] == "deliver":
            await self.queue(parts[2]).put(await Request(scope, receive).json())
            return done(True)
        method = parts[2].lower()
        own = getattr(self, f"do_{method}", None)
        if own is not None:
            body = await Request(scope, receive).body()
            return await own(parts[1].removeprefix("bot"), json.loads(body or b"{}"))
        if method not in KNOWN:
            return refused(404, "Not Found")
        scope["path"] = f"/{parts[1]}/{KNOWN[method]}"
        scope["raw_path"] = scope["path"].encode()
        return None

    async def do_getupdates(self, token, body):
        await state_manager.set_webhook(token, f"http://127.0.0.1:{self.port}/deliver/{token}")
        timeout = min(body.get("timeout", 0), LONGEST_POLL)
        polled = await self.queue(token).poll(
            body.get("offset", 0), body.get("limit", 100), timeout, body.get("allowed_updates")
        )
        if polled is None:
            return refused(409, "Conflict: terminated by other getUpdates request")
        return done(polled)

    async def do_getme(self, token, body):
        lacking = {"can_connect_to_business": False, "has_main_web_app": False, "has_topics_enabled": False,
                   "allows_users_to_create_topics": False, "can_manage_bots": False}
        return done(lacking | DEFAULT_BOT_INFO)

    async def do_getchat(self, token, body):
        chat = {"id": int(body["chat_id"]), "type": "private", "first_name": "TestUser", "accent_color_id": 0,
                "max_reaction_count": 11, "accepted_gift_types": dict.fromkeys(
                    ["unlimited_gifts", "limited_gifts", "unique_gifts", "premium_subscription",
                     "gifts_from_channels"], False)}
        return done(chat)

    async def do_setmycommands(self, token, body):
        return done(True)

    async def do_getwebhookinfo(self, token, body):
        return done({"url": "", "has_custom_certificate": False, "pending_update_count": 0})

    async def do_deletewebhook(self, token, body):
        return done(True)


async def serve(port):
    await state_manager.connect()
    config = uvicorn.Config(Bridge(port), host="127.0.0.1", port=port, lifespan="off", log_level="warning",
                            timeout_graceful_shutdown=1)
    await uvicorn.Server(config).serve()


if __name__ == "__main__":
    role, number = sys.argv[1], int(sys.argv[2])
    if role == "store":
        fakeredis.TcpFakeServer(("127.0.0.1", number), server_type="redis").serve_forever()
    else:
        asyncio.run(serve(number))
