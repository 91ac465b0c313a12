"""What a person does on the phone, and sees there, for tests/system/telegram.sh: telemelya's interface for tests.

    phone.py PORT count                             how many calls the bot has made of those that telemelya records
    phone.py PORT prompt AFTER                      waits for a message with buttons: its number, its code, its nonce
    phone.py PORT shared AFTER HOWMANY               waits for a message that shows so many questions: its number, the nonce for all
    phone.py PORT told AFTER PATTERN                waits for a message that matches: its text in one line
    phone.py PORT edited AFTER MESSAGE PATTERN      waits for an edit of this message that matches, and has no buttons
    phone.py PORT answered AFTER                    waits for the answer to a press: its text
    phone.py PORT press LETTER NONCE MESSAGE [FROM [CHAT]]
    phone.py PORT say TEXT

AFTER is a count: only later calls are looked at. It waits for 60 s at most. ALICE and TOKEN come from the environment.
"""

import json
import os
import re
import sys
import time
import urllib.request

PORT, COMMAND, *ARGUMENTS = sys.argv[1:]
ALICE = int(os.environ["ALICE"])
BASE = f"http://127.0.0.1:{PORT}/api/v1/test"
HEADERS = {"Authorization": "Bearer anybody", "Content-Type": "application/json"}


def http(path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{BASE}/{path}", data=data, headers=HEADERS)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def calls(after=0):
    return http("responses")["responses"][after:]


def wait(after, wanted):
    """The first call after so many for which `wanted` gives something."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        for call in calls(int(after)):
            found = wanted(call)
            if found is not None:
                return found
        time.sleep(0.05)
    seen = [(call["method"], call.get("message_id"), call.get("text")) for call in calls(int(after))]
    sys.exit(f"nothing of the kind in 60 s; seen: {seen}")


def buttons(call):
    markup = call["raw"].get("reply_markup") or {}
    return [button["callback_data"] for row in markup.get("inline_keyboard", []) for button in row]


def prompt(call):
    data = buttons(call) if call["method"] == "sendMessage" else []
    if not data:
        return None
    letters = "".join(sorted(one[1] for one in data))
    assert letters == "abdl" and all(len(one) == 24 and one[0] == "1" for one in data), data
    assert len({one[2:] for one in data}) == 1, data
    assert call["raw"].get("protect_content") is True and call["raw"].get("parse_mode") == "HTML", call["raw"]
    code = re.search(r"\b[A-Z][0-9][A-Z][0-9]\b", call["text"])
    return f"{call['message_id']} {code.group() if code else '-'} {data[0][2:]}"


def shared(how_many):
    def matches(call):
        for_all = [one for one in buttons(call) if one.startswith("1A")]
        codes = set(re.findall(r"\b[A-Z][0-9][A-Z][0-9]\b", call["text"] or ""))
        if not for_all or len(codes) != int(how_many):
            return None
        return f"{call['message_id']} {for_all[0][2:]}"

    return matches


def told(pattern):
    def matches(call):
        if call["method"] == "sendMessage" and re.search(pattern, call["text"], re.IGNORECASE | re.DOTALL):
            return call["text"].replace("\n", " / ")
        return None

    return matches


def edited(message, pattern):
    def matches(call):
        is_it = call["method"] == "editMessageText" and call["message_id"] == int(message) and not buttons(call)
        if is_it and re.search(pattern, call["text"], re.IGNORECASE | re.DOTALL):
            return call["text"].replace("\n", " / ")
        return None

    return matches


def answered(call):
    return (call["text"] or "") if call["method"] == "answerCallbackQuery" else None


def update(chat, person, **more):
    who = {"id": person, "first_name": "alice" if person == ALICE else "stranger"}
    http(f"send_update?bot_token={os.environ['TOKEN']}", {"chat_id": chat, "from_user": who, **more})


def press(letter, nonce, message, person=ALICE, chat=None):
    person = int(person)
    update(int(chat or person), person, callback_data=f"1{letter}{nonce}", callback_message_id=int(message))


if COMMAND == "count":
    print(len(calls()))
elif COMMAND == "prompt":
    print(wait(ARGUMENTS[0], prompt))
elif COMMAND == "shared":
    print(wait(ARGUMENTS[0], shared(ARGUMENTS[1])))
elif COMMAND == "told":
    print(wait(ARGUMENTS[0], told(ARGUMENTS[1])))
elif COMMAND == "edited":
    print(wait(ARGUMENTS[0], edited(ARGUMENTS[1], ARGUMENTS[2])))
elif COMMAND == "answered":
    print(wait(ARGUMENTS[0], answered))
elif COMMAND == "press":
    press(*ARGUMENTS)
elif COMMAND == "say":
    update(ALICE, ALICE, text=ARGUMENTS[0])
else:
    sys.exit(__doc__)
