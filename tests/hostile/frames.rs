//! HTTP/2 (RFC 9113) written and read by hand: no library misbehaves on request.

/// What every connection begins with.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Kinds of frames.
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

/// Flags of frames.
pub(crate) const ACK: u8 = 1;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// A setting.
pub(crate) const INITIAL_WINDOW_SIZE: u16 = 4;

/// One frame, which says of its length what is true.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short payload");
    [&length.to_be_bytes()[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The beginning of a connection with this one setting, or none.
pub(crate) fn opening(setting: Option<(u16, u32)>) -> Vec<u8> {
    let setting = setting.map(|(name, value)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat());
    [PREFACE, &frame(SETTINGS, 0, 0, &setting.unwrap_or_default())].concat()
}

/// A header that is not to be remembered (RFC 7541, 6.2.2).
pub(crate) fn header(name: &str, value: &str) -> Vec<u8> {
    [&[0], string(name).as_slice(), &string(value)].concat()
}

/// A string of at most 16 KiB as it is (RFC 7541, 5.1 and 5.2).
fn string(text: &str) -> Vec<u8> {
    let length = text.len();
    let mut bytes = match u8::try_from(length) {
        Ok(length) if length < 127 => vec![length],
        _ => {
            let rest = length - 127;
            vec![127, 0x80 | u8::try_from(rest & 127).expect("7 bits"), u8::try_from(rest >> 7).expect("16 KiB")]
        }
    };
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

/// The headers of an Unseal.
pub(crate) fn call_headers() -> Vec<u8> {
    headers_of("/sidero.kms.KMSService/Unseal")
}

fn headers_of(path: &str) -> Vec<u8> {
    [
        // `:method: POST` and `:scheme: http`, of the static table.
        vec![0x83, 0x86],
        header(":path", path),
        header(":authority", "nightlatch"),
        header("content-type", "application/grpc"),
        header("te", "trailers"),
    ]
    .concat()
}

/// A message of gRPC with this claim and data: a flag, the length, then the fields of protobuf.
pub(crate) fn message(node: &str, data: &[u8]) -> Vec<u8> {
    let field = |tag: u8, bytes: &[u8]| [&[tag, u8::try_from(bytes.len()).expect("short")], bytes].concat();
    let fields = [field(0x0A, node.as_bytes()), field(0x12, data)].concat();
    let length = u32::try_from(fields.len()).expect("short");
    [&[0][..], &length.to_be_bytes(), &fields].concat()
}

/// A whole Unseal on `stream`.
pub(crate) fn call(stream: u32, node: &str, data: &[u8]) -> Vec<u8> {
    let headers = frame(HEADERS, END_HEADERS, stream, &call_headers());
    [headers, frame(DATA, END_STREAM, stream, &message(node, data))].concat()
}

/// A whole Seal on `stream`.
pub(crate) fn seal(stream: u32, node: &str, secret: &[u8]) -> Vec<u8> {
    let headers = frame(HEADERS, END_HEADERS, stream, &headers_of("/sidero.kms.KMSService/Seal"));
    [headers, frame(DATA, END_STREAM, stream, &message(node, secret))].concat()
}

/// The end of `stream`, because nobody wants it any more (CANCEL).
pub(crate) fn reset(stream: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())
}

/// A frame that was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) length: usize,
}

/// The frames at the beginning of `bytes`, which keeps what is not whole yet.
pub(crate) fn take(bytes: &mut Vec<u8>) -> Vec<Received> {
    let mut frames = vec![];
    while let [a, b, c, kind, flags, s, t, u, v, rest @ ..] = bytes.as_slice() {
        let length = usize::try_from(u32::from_be_bytes([0, *a, *b, *c])).expect("24 bits");
        if rest.len() < length {
            break;
        }
        let stream = u32::from_be_bytes([*s, *t, *u, *v]);
        frames.push(Received { kind: *kind, flags: *flags, stream, length });
        bytes.drain(..9 + length);
    }
    frames
}
