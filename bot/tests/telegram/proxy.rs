//! Proxies, as small as they can be. Whatever they are asked for, they connect to the same place: so a name that only
//! they know works.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The user and password that a proxy wants.
pub(crate) const USER: &str = "alice";
pub(crate) const PASSWORD: &str = "correct horse@battery";
/// The same as a URL has it.
pub(crate) const ENCODED: &str = "correct%20horse%40battery";

#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// HTTP, by CONNECT.
    Http,
    /// RFC 1928, with the user and password of RFC 1929.
    Socks,
}

/// A running proxy. It ends when it is dropped.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Proxy {
    pub(crate) async fn start(kind: Kind, target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let seen = Arc::clone(&seen);
                connections.spawn(async move {
                    // Whoever breaks off is gone.
                    let _served = match kind {
                        Kind::Http => http(stream, target, &seen).await,
                        Kind::Socks => socks(stream, target, &seen).await,
                    };
                });
            }
        });
        Self { address, asked, task }
    }

    /// What it was asked to connect to, by whoever knew the password.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn http(stream: TcpStream, target: SocketAddr, asked: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let (mut first, mut known) = (String::new(), false);
    stream.read_line(&mut first).await?;
    let wanted = base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{PASSWORD}"));
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 || line.trim().is_empty() {
            break;
        }
        known |= line.to_ascii_lowercase().starts_with("proxy-authorization:") && line.contains(&wanted);
    }
    let Some(to) = first.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next()).filter(|_| known) else {
        return stream.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n").await;
    };
    asked.lock().unwrap().push(to.to_owned());
    stream.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await?;
    let mut inner = TcpStream::connect(target).await?;
    copy_bidirectional(&mut stream, &mut inner).await.map(|_| ())
}

async fn socks(mut stream: TcpStream, target: SocketAddr, asked: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut methods = vec![0; usize::from(stream.read_u16().await? & 0xff)];
    stream.read_exact(&mut methods).await?;
    if !methods.contains(&2) {
        return stream.write_all(&[5, 0xff]).await;
    }
    stream.write_all(&[5, 2]).await?;
    stream.read_u8().await?;
    let (user, password) = (string(&mut stream).await?, string(&mut stream).await?);
    if user != USER || password != PASSWORD {
        return stream.write_all(&[1, 1]).await;
    }
    stream.write_all(&[1, 0]).await?;
    let mut request = [0; 4];
    stream.read_exact(&mut request).await?;
    let host = match request[3] {
        1 => std::net::Ipv4Addr::from(stream.read_u32().await?).to_string(),
        3 => string(&mut stream).await?,
        4 => std::net::Ipv6Addr::from(stream.read_u128().await?).to_string(),
        other => panic!("an address of kind {other}"),
    };
    let port = stream.read_u16().await?;
    asked.lock().unwrap().push(format!("{host}:{port}"));
    stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
    let mut inner = TcpStream::connect(target).await?;
    copy_bidirectional(&mut stream, &mut inner).await.map(|_| ())
}

async fn string(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut bytes = vec![0; usize::from(stream.read_u8().await?)];
    stream.read_exact(&mut bytes).await?;
    Ok(String::from_utf8(bytes).expect("text"))
}
