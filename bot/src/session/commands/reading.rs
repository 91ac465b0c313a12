//! From the words of a message to a command.

use std::net::IpAddr;

/// A command that this version knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    Start,
    Help,
    Status,
    Pending,
    Nodes,
    History,
    Block {
        node: String,
        for_seconds: Option<u32>,
    },
    Unblock {
        node: String,
    },
    Grant {
        whose: Whose,
        for_seconds: Option<u32>,
        uses: Option<u32>,
        /// An address, or nothing.
        from: String,
    },
    Revoke(Whose),
    /// Everything; whether it was said twice.
    Lock {
        is_meant: bool,
    },
    Unlock,
    /// It lacks the node.
    Incomplete,
    Unknown,
}

/// Whose approvals are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Whose {
    Node(String),
    Cluster(String),
    All,
}

impl Whose {
    /// A node's name, `cluster NAME`, or `all`.
    fn parse(words: &[&str]) -> Self {
        match words {
            [cluster, name @ ..] if cluster.eq_ignore_ascii_case("cluster") && !name.is_empty() => {
                Self::Cluster(name.join(" "))
            }
            [all] if all.eq_ignore_ascii_case("all") => Self::All,
            words => Self::Node(words.join(" ")),
        }
    }
}

/// Reads a command; `None` when it is none, or one for another bot.
pub(super) fn parse(text: &str, own_name: Option<&str>) -> Option<Command> {
    let mut words = text.split_whitespace();
    let first = words.next()?.strip_prefix('/')?;
    let (command, for_whom) = first.split_once('@').map_or((first, None), |(command, whom)| (command, Some(whom)));
    if for_whom.is_some_and(|whom| own_name.is_none_or(|own| !own.eq_ignore_ascii_case(whom))) {
        return None;
    }
    let words: Vec<&str> = words.collect();
    Some(match command.to_ascii_lowercase().as_str() {
        "start" => Command::Start,
        "help" => Command::Help,
        "status" => Command::Status,
        "pending" => Command::Pending,
        "nodes" => Command::Nodes,
        "history" => Command::History,
        "block" | "unblock" | "grant" | "revoke" if words.is_empty() => Command::Incomplete,
        "block" => block(&words),
        "grant" => grant(&words),
        "revoke" => Command::Revoke(Whose::parse(&words)),
        "lock" => Command::Lock { is_meant: matches!(&*words, [now] if now.eq_ignore_ascii_case("now")) },
        "unlock" => Command::Unlock,
        "unblock" => Command::Unblock { node: words.join(" ") },
        _ => Command::Unknown,
    })
}

/// A node's name may have blanks, so the time is what comes last, if it reads as one.
fn block(words: &[&str]) -> Command {
    match words.split_last() {
        Some((last, node)) if !node.is_empty() && seconds(last).is_some() => {
            Command::Block { node: node.join(" "), for_seconds: seconds(last) }
        }
        _ => Command::Block { node: words.join(" "), for_seconds: None },
    }
}

/// A length of time that somebody wrote. A bare 0 reads as a time, but is the end of a name.
fn seconds(word: &&str) -> Option<u32> {
    let duration = humantime::parse_duration(word).ok()?;
    u32::try_from(duration.as_secs()).ok().filter(|seconds| *seconds > 0)
}

/// Behind the name stands how long, behind that how often, since a number alone may be the end of a name, and last of all from
/// where.
fn grant(words: &[&str]) -> Command {
    let (words, from) = match words {
        [rest @ .., from, address]
            if !rest.is_empty() && from.eq_ignore_ascii_case("from") && address.parse::<IpAddr>().is_ok() =>
        {
            (rest, (*address).to_owned())
        }
        words => (words, String::new()),
    };
    let (rest, uses) = match words {
        [name @ .., time, uses] if !name.is_empty() && seconds(time).is_some() && uses.parse::<u32>().is_ok() => {
            (words.get(..words.len() - 1).unwrap_or(words), uses.parse().ok())
        }
        words => (words, None),
    };
    let (name, for_seconds) = match rest.split_last() {
        Some((last, name)) if !name.is_empty() && seconds(last).is_some() => (name, seconds(last)),
        _ => (rest, None),
    };
    Command::Grant { whose: Whose::parse(name), for_seconds, uses, from }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_with_the_bots_name_and_without() {
        for text in ["/pending", "/PENDING", "/pending@Night_Bot", "/pending now please"] {
            assert_eq!(parse(text, Some("night_bot")), Some(Command::Pending), "{text}");
        }
        for text in ["", "pending", "/pending@other_bot", "yes", "  "] {
            assert_eq!(parse(text, Some("night_bot")), None, "{text}");
        }
        assert_eq!(parse("/pending@night_bot", None), None, "a bot that does not know its name answers to none");
        assert_eq!(parse("/", None), Some(Command::Unknown));
    }

    #[test]
    fn a_block_takes_a_name_with_blanks_and_a_time() {
        let block = |node: &str, for_seconds| Some(Command::Block { node: node.to_owned(), for_seconds });
        assert_eq!(parse("/block cp-1", None), block("cp-1", None));
        assert_eq!(parse("/block cp-1 2h", None), block("cp-1", Some(7200)));
        assert_eq!(parse("/block rack 2 30m", None), block("rack 2", Some(1800)));
        assert_eq!(parse("/block rack 2", None), block("rack 2", None));
        assert_eq!(parse("/block rack 0", None), block("rack 0", None));
        assert_eq!(parse("/block 2h", None), block("2h", None));
        assert_eq!(parse("/block", None), Some(Command::Incomplete));
        assert_eq!(parse("/unblock rack 2", None), Some(Command::Unblock { node: "rack 2".to_owned() }));
    }
}
