//! The same service without a decision: same messages, same libraries, same bounds of HTTP/2, same kind of runtime. What
//! it needs is what no server of this protocol can do without.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use nightlatch::listen::tls::Stream;
use nightlatch::listen::{self, Connection};
use nightlatch::peer::Peer;
use nightlatch::wire::stubs::kms_service_server::{KmsService, KmsServiceServer};
use nightlatch::wire::stubs::{Request as KmsRequest, Response as KmsResponse};
use nightlatch::wire::talos::{MAX_CALLS_PER_CONNECTION, MAX_MESSAGE_LEN};
use nightlatch_benches::SECRET_LEN;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use crate::tls;

/// How the echo is to be.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The port on 127.0.0.1
    #[arg(long)]
    port: u16,
    /// Speak TLS, with certificate.pem and key.pem from here
    #[arg(long, value_name = "DIR")]
    tls: Option<PathBuf>,
    /// Run on as many threads as there are processors, where the server has one
    #[arg(long)]
    threads: bool,
}

struct Echo;

#[tonic::async_trait]
impl KmsService for Echo {
    async fn seal(&self, message: Request<KmsRequest>) -> Result<Response<KmsResponse>, Status> {
        Ok(Response::new(KmsResponse { data: message.into_inner().data }))
    }

    /// As many bytes as a secret has.
    async fn unseal(&self, message: Request<KmsRequest>) -> Result<Response<KmsResponse>, Status> {
        let mut data = message.into_inner().data;
        data.truncate(SECRET_LEN);
        Ok(Response::new(KmsResponse { data }))
    }
}

/// Serves until it is killed.
pub fn run(args: &Args) -> Result<()> {
    let mut runtime = if args.threads {
        tokio::runtime::Builder::new_multi_thread()
    } else {
        tokio::runtime::Builder::new_current_thread()
    };
    runtime.enable_all().build()?.block_on(serve(args))
}

async fn serve(args: &Args) -> Result<()> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, args.port))).await?;
    let server = listen::http2(MAX_CALLS_PER_CONNECTION)
        .add_service(KmsServiceServer::new(Echo).max_decoding_message_size(MAX_MESSAGE_LEN));
    match &args.tls {
        None => {
            let (accepted, incoming) = mpsc::channel::<std::io::Result<TcpStream>>(1);
            tokio::spawn(async move {
                while let Ok(stream) = accept(&listener).await {
                    if accepted.send(Ok(stream)).await.is_err() {
                        return;
                    }
                }
            });
            server.serve_with_incoming(ReceiverStream::new(incoming)).await?;
        }
        Some(directory) => {
            let encryption = Arc::new(tls::encryption(directory)?);
            let (accepted, incoming) = mpsc::channel::<std::io::Result<Connection<Stream<TcpStream>, Peer>>>(1);
            tokio::spawn(async move {
                while let Ok(stream) = accept(&listener).await {
                    let Ok(peer) = stream.peer_addr().map(Peer::encrypted) else { continue };
                    let (encryption, accepted) = (Arc::clone(&encryption), accepted.clone());
                    tokio::spawn(async move {
                        if let Ok(stream) = encryption.accept(stream).await {
                            // An error means that the echo ends.
                            drop(accepted.send(Ok(Connection::new(stream, peer))).await);
                        }
                    });
                }
            });
            server.serve_with_incoming(ReceiverStream::new(incoming)).await?;
        }
    }
    Ok(())
}

async fn accept(listener: &TcpListener) -> std::io::Result<TcpStream> {
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
