//! What Telegram answers, and what that means: pure.
//!
//! teloxide-core knows errors by their whole text. Telegram changes such texts (it writes `query ID is invalid` where
//! teloxide-core has `query id is invalid`), so here the status decides, and of the text no more than is needed to tell
//! apart what has the same status.

use std::time::Duration;

use serde_json::Value;

use crate::message::{ChatId, Failure};

/// Longest `description` that is told, in characters.
const MAX_DESCRIPTION: usize = 200;
/// Longest wait that is believed: sums with it must stay within what a clock can tell.
const MAX_WAIT: Duration = Duration::from_secs(24 * 60 * 60);
/// The wait when Telegram asks for one and does not say how long.
const DEFAULT_WAIT: Duration = Duration::from_secs(5);

/// One answer of the Bot API.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Reply {
    /// It did it: `result`.
    Done(Value),
    /// The message is already as an edit would make it.
    NotModified,
    /// It did not.
    Failed(Failure),
}

impl Reply {
    /// Reads an answer with the HTTP status `status`.
    pub(super) fn read(status: u16, body: &[u8]) -> Self {
        if (500..600).contains(&status) {
            return Self::Failed(away(format!("it has an error of its own (HTTP {status})")));
        }
        match serde_json::from_slice::<Value>(body) {
            Ok(Value::Object(mut reply)) => match reply.get("ok") {
                Some(Value::Bool(true)) => reply
                    .remove("result")
                    .map_or_else(|| Self::Failed(away("its answer has no result".into())), Self::Done),
                Some(Value::Bool(false)) => refused(status, &Value::Object(reply)),
                _ => Self::Failed(not_an_answer(status)),
            },
            _ => Self::Failed(not_an_answer(status)),
        }
    }
}

/// Something else than the Bot API answered: a proxy, a captive portal, the wrong address. What it said is not told, as
/// nobody knows what stands in it.
fn not_an_answer(status: u16) -> Failure {
    away(format!("what answered is not the Bot API (HTTP {status})"))
}

fn away(what: String) -> Failure {
    Failure::Away(what)
}

/// `{"ok": false, "error_code": …, "description": …, "parameters": …}`.
fn refused(status: u16, reply: &Value) -> Reply {
    let code = reply.get("error_code").and_then(Value::as_u64).unwrap_or_else(|| u64::from(status));
    let description = reply.get("description").and_then(Value::as_str).unwrap_or_default();
    let parameter = |name| reply.get("parameters").and_then(|parameters| parameters.get(name));
    if let Some(to) = parameter("migrate_to_chat_id").and_then(Value::as_i64) {
        return Reply::Failed(Failure::Migrated(ChatId(to)));
    }
    let wait = parameter("retry_after").and_then(Value::as_u64).map(Duration::from_secs);
    if code == 429 || wait.is_some() {
        return Reply::Failed(Failure::Wait(wait.unwrap_or(DEFAULT_WAIT).min(MAX_WAIT)));
    }
    let told = printable(description);
    let says = |texts: &[&str]| {
        let description = description.to_ascii_lowercase();
        texts.iter().any(|text| description.contains(text))
    };
    if says(NOT_MODIFIED) {
        return Reply::NotModified;
    }
    Reply::Failed(match code {
        // Before 401: older servers say so of a chat.
        _ if says(CHAT_CLOSED) => Failure::ChatClosed(told),
        401 => Failure::Token,
        // A method that an older server does not know is `Not Found: method not found`.
        404 if description.eq_ignore_ascii_case("not found") => Failure::Token,
        403 => Failure::ChatClosed(told),
        409 => Failure::Conflict,
        500.. => away(format!("it has an error of its own ({code})")),
        _ if says(GONE) => Failure::Gone(told),
        _ => Failure::Refused(told),
    })
}

const NOT_MODIFIED: &[&str] = &["message is not modified"];

const CHAT_CLOSED: &[&str] = &[
    "bot was blocked",
    "bot was kicked",
    "bot is not a member",
    "bot can't initiate conversation",
    "bot can't send messages to",
    "chat not found",
    "chat_restricted",
    "chat_write_forbidden",
    "group is deactivated",
    "have no rights to send",
    "need administrator rights",
    "not enough rights to send",
    "peer_id_invalid",
    "user is deactivated",
    "user not found",
];

const GONE: &[&str] = &[
    "message can't be edited",
    "message identifier is not specified",
    "message to edit not found",
    "message_id_invalid",
    "query is too old",
    "query_id_invalid",
];

/// What Telegram said, fit for a line of the journal.
fn printable(description: &str) -> String {
    let shown = |character: char| if character.is_control() { ' ' } else { character };
    description.chars().take(MAX_DESCRIPTION).map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn error(code: u16, description: &str) -> Failure {
        let body = serde_json::json!({"ok": false, "error_code": code, "description": description});
        failure(Reply::read(code, body.to_string().as_bytes()))
    }

    fn failure(reply: Reply) -> Failure {
        match reply {
            Reply::Failed(failure) => failure,
            other => panic!("this is no failure: {other:?}"),
        }
    }

    #[test]
    fn each_refusal_is_of_the_class_that_says_what_to_do() {
        let closed = |text: &str| Failure::ChatClosed(text.into());
        let gone = |text: &str| Failure::Gone(text.into());
        let refused = |text: &str| Failure::Refused(text.into());
        for (code, text) in [
            (403, "Forbidden: bot was blocked by the user"),
            (403, "Forbidden: bot was kicked from the supergroup chat"),
            (403, "Forbidden: something new"),
            (401, "Unauthorized: bot was kicked from a chat"),
            (400, "Bad Request: chat not found"),
            (400, "Bad Request: PEER_ID_INVALID"),
            (400, "Bad Request: not enough rights to send text messages to the chat"),
        ] {
            assert_eq!(error(code, text), closed(text));
        }
        for text in [
            "Bad Request: message to edit not found",
            "Bad Request: message can't be edited",
            "Bad Request: MESSAGE_ID_INVALID",
            "Bad Request: query is too old and response timeout expired or query ID is invalid",
        ] {
            assert_eq!(error(400, text), gone(text));
        }
        for (code, text) in [
            (400, "Bad Request: can't parse entities: x"),
            (400, "Bad Request: BUTTON_DATA_INVALID"),
            (400, ""),
            (404, "Not Found: method not found"),
            (418, "I know nothing of this"),
        ] {
            assert_eq!(error(code, text), refused(text));
        }
        for (code, text, expected) in [
            (401, "Unauthorized", Failure::Token),
            (401, "Unauthorized: invalid token specified", Failure::Token),
            (404, "Not Found", Failure::Token),
            (409, "Conflict: terminated by other getUpdates request; make sure", Failure::Conflict),
            (409, "Conflict: can't use getUpdates method while webhook is active", Failure::Conflict),
            (429, "Too Many Requests: retry later", Failure::Wait(DEFAULT_WAIT)),
        ] {
            assert_eq!(error(code, text), expected, "{code} {text}");
        }
    }

    #[test]
    fn the_parameters_decide_before_the_text() {
        let migrated = br#"{"ok":false,"error_code":400,"description":"x","parameters":{"migrate_to_chat_id":-1001}}"#;
        assert_eq!(failure(Reply::read(400, migrated)), Failure::Migrated(ChatId(-1001)));
        let wait = br#"{"ok":false,"error_code":429,"description":"x","parameters":{"retry_after":17}}"#;
        assert_eq!(failure(Reply::read(429, wait)), Failure::Wait(Duration::from_secs(17)));
    }

    #[test]
    fn a_wait_without_end_is_not_believed() {
        let wait = br#"{"ok":false,"error_code":429,"parameters":{"retry_after":18446744073709551615}}"#;
        assert_eq!(failure(Reply::read(429, wait)), Failure::Wait(MAX_WAIT));
    }

    #[test]
    fn what_is_already_so_is_told_apart() {
        let body = br#"{"ok":false,"error_code":400,"description":"Bad Request: message is not modified: specified"}"#;
        assert_eq!(Reply::read(400, body), Reply::NotModified);
    }

    #[test]
    fn what_is_no_answer_of_the_bot_api_is_away_and_never_told() {
        let bodies: [&[u8]; 9] = [
            b"",
            b"null",
            b"[]",
            b"{}",
            b"{\"ok\":1}",
            b"{\"ok\":true}",
            b"{\"ok\":true,\"result\"",
            b"\xff",
            b"<html>hotel login</html>",
        ];
        for body in bodies {
            for status in [200, 302, 400, 401, 404, 409, 429, 502] {
                let told = failure(Reply::read(status, body)).to_string();
                assert!(told.starts_with("Telegram cannot be reached: "), "{status}: {told}");
                assert!(!told.contains("hotel"), "{told}");
            }
        }
        let error = br#"{"ok":false,"error_code":502,"description":"Bad Gateway"}"#;
        for status in [200, 502] {
            assert!(matches!(failure(Reply::read(status, error)), Failure::Away(_)), "{status}");
        }
        let done = br#"{"ok":true,"result":true}"#;
        assert!(matches!(failure(Reply::read(502, done)), Failure::Away(_)), "it says both");
    }

    #[test]
    fn a_long_description_with_control_characters_is_fit_for_a_line() {
        let told = error(400, &"a\n\u{1b}[31m".repeat(1000)).to_string();
        assert!(told.chars().count() < 250 && !told.chars().any(char::is_control), "{told:?}");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(status in 100u16..600, body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _read = Reply::read(status, &body);
        }
    }
}
