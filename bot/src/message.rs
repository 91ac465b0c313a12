//! What goes between the session and Telegram, as plain values: chats, people, messages, calls and what came of them.
//! No library's types, so that the session needs none.

use std::time::Duration;

/// A chat of Telegram: positive for the private chat with a person (then it is their user id), negative for groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct ChatId(pub i64);

/// A person (or bot) of Telegram, by number. Names and user names are never looked at: they can be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct UserId(pub i64);

/// A message within its chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct MessageId(pub i32);

/// A press, as far as answering it needs a name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PressId(pub String);

/// A message as it is shown: text in Telegram's HTML, with everything foreign escaped, and rows of buttons.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Message {
    /// Telegram's HTML subset, at most 4,096 characters once parsed.
    pub html: String,
    /// Rows of buttons; none takes the buttons of an edited message away.
    pub buttons: Vec<Vec<Button>>,
}

/// One button of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Button {
    /// What it says.
    pub label: String,
    /// What comes back when it is pressed: docs/spec/telegram.md. 1 to 64 bytes.
    pub data: String,
}

/// What kind of chat something came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChatKind {
    /// Between one person and the bot.
    Private,
    /// A group or supergroup.
    Group,
    /// A channel, or something that this version does not know.
    Other,
}

/// What Telegram tells us. Everything in it is what somebody sent: nothing may be believed but what the session checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// Somebody pressed a button, or sent what looks like it.
    Press {
        /// For the answer.
        id: PressId,
        /// Who pressed.
        from: UserId,
        /// The message that the button is on; absent for old or foreign messages.
        on: Option<(ChatId, ChatKind, MessageId)>,
        /// The button's data; absent for buttons that carry none.
        data: Option<String>,
    },
    /// Somebody wrote.
    Text {
        /// Who; absent when it was written in the name of a group or channel.
        from: Option<UserId>,
        /// Where.
        chat: ChatId,
        /// Where, by kind.
        kind: ChatKind,
        /// What, cut to 256 characters.
        text: String,
    },
    /// A group became a supergroup: Telegram says so in the old chat.
    Migrated {
        /// The id that it had.
        from: ChatId,
        /// The id that it has.
        to: ChatId,
    },
}

/// What Telegram is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// Ends the waiting of whoever pressed. Text of at most 200 characters.
    Answer {
        /// Which press.
        press: PressId,
        /// What they read.
        text: String,
        /// Whether it stays until they put it away.
        alert: bool,
    },
    /// A new message.
    Send {
        /// Where to.
        chat: ChatId,
        /// What.
        message: Message,
        /// Whether the phone stays silent.
        silent: bool,
        /// The message that it answers; sent all the same when that one is gone.
        reply_to: Option<MessageId>,
    },
    /// A message of ours becomes another. It does not ring.
    Edit {
        /// Where it is.
        chat: ChatId,
        /// Which it is.
        id: MessageId,
        /// What it becomes.
        message: Message,
    },
}

/// What a call came to: the new message's id for [`Call::Send`]. An edit that changes nothing is a success.
pub type Told = Result<Option<MessageId>, Failure>;

/// Why Telegram did not do what it was told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// 429: it wants to be left alone for so long.
    #[error("Telegram wants us to wait for {} s", .0.as_secs())]
    Wait(Duration),
    /// No connection, no answer in time, or an error of the server's own. It may have been done all the same.
    #[error("Telegram cannot be reached: {0}")]
    Away(String),
    /// 409: somebody else reads the updates of this bot, or a webhook is set.
    #[error("another program uses this bot's token")]
    Conflict,
    /// 401 or 404 for the bot: the token is not, or no longer, one.
    #[error("Telegram does not accept the token")]
    Token,
    /// The chat cannot be written to: the person blocked the bot or never spoke to it, or the group put it out.
    #[error("the chat cannot be written to: {0}")]
    ChatClosed(String),
    /// The group is a supergroup now, with this id.
    #[error("the group has a new id")]
    Migrated(ChatId),
    /// The message to edit is gone, or cannot be edited any more; the press is too old to be answered.
    #[error("it is too late for this: {0}")]
    Gone(String),
    /// Anything else that it refuses, and that trying again would not change.
    #[error("Telegram refuses: {0}")]
    Refused(String),
}
