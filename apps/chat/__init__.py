"""A chat: rooms, who is here, what was said, over one WebSocket for each open page.

`greenserve apps.chat:app` runs it alone; `make run` has it under /chat/. `routes` serves the page and the WebSocket,
`visitors` hears what one page says, `rooms` knows who is where and what was said, `protocol` judges what comes in.
`connection.js` keeps the page connected, `script.js` shows what it hears.

Each message is a JSON object with a `type`. What a page says:

    join     room, name, tab, after: the first message, and each change of room. `tab` is a secret of this page, by
             which it takes its old place again when it comes back; `after` the id of the last message that it has of
             this room, 0 for none
    say      text, key: `key` is random, one for each message; one that was heard already is not said twice

and what it hears:

    welcome  room, name, you, people, history, missed, rooms: the answer to join. `name` as it is shown, since one that
             is taken gets a number; `people` are [number, name], `you` is one of the numbers; `history` the messages
             since `after`, of the last 50; `missed` says that there were more
    message  id, name, text, key: said by anyone, oneself too: that is how a page knows that its own has arrived. `id`
             grows, over restarts too: milliseconds since 1970, or one more than the id before
    joined   number, name: someone comes
    left     number, name: someone goes
    rooms    rooms: [name, people] of each, where something has changed; once a second at most
    error    code, text, about, key, retry: why a message was not taken; the connection goes on. `about` is its type and
             `key` its key, where it had these; `retry` the seconds to wait, where it came too fast

The state lives in this process: after a restart the pages still show what they had, and send what was not yet taken.
"""

from .routes import Chat, app

__all__ = ["Chat", "app"]
