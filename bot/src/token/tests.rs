use super::*;

const SECRET: &str = "AbCdEfGhIjKlMnOpQrStUvWxYz012345-_6";

fn line() -> String {
    format!("123456789:{SECRET}")
}

fn parse(text: &str) -> Option<Token> {
    Token::parse(&Zeroizing::new(text.to_owned()))
}

#[test]
fn a_token_is_what_it_was_read_from() {
    assert!(parse(&line()).is_some_and(|token| token.expose() == line()));
}

#[test]
fn what_does_not_look_like_a_token_is_refused() {
    for text in [
        String::new(),
        "\n".into(),
        SECRET.into(),
        format!(":{SECRET}"),
        format!("12a456:{SECRET}"),
        format!("123456:{}", &SECRET[..29]),
        format!("123456:{SECRET}{SECRET}"),
        format!("123456:{SECRET}/"),
        format!("123456:{}", SECRET.replace('-', "%")),
        format!(" {}", line()),
        format!("{} ", line()),
        format!("{}\n\n", line()),
        format!("{}\n{}", line(), line()),
        format!("{}{}", line(), "\n".repeat(200)),
        format!("123456789:{}é", &SECRET[..34]),
    ] {
        assert!(parse(&text).is_none(), "{text:?}");
    }
}
