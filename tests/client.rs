//! `nightlatch seal` and `nightlatch unseal` against a server that answers as it is told to.

use std::net::SocketAddr;
use std::process::Output;
use std::sync::{Arc, Mutex};

use nightlatch::wire::stubs::kms_service_server::{KmsService, KmsServiceServer};
use nightlatch::wire::stubs::{Request as Question, Response as Answer};
use tonic::{Code, Request, Response, Status};

const NODE: &str = "12345678-9ABC-4def-8123-456789abcdef";

/// Puts "sealed:" before what it seals and takes it away again, after it has given the answers it was told to give.
#[derive(Clone, Default)]
struct Scripted {
    first: Arc<Mutex<Vec<Result<Vec<u8>, Status>>>>,
    calls: Arc<Mutex<Vec<(String, bool)>>>,
}

impl Scripted {
    fn answer(
        &self,
        question: &Request<Question>,
        otherwise: impl FnOnce(&[u8]) -> Vec<u8>,
    ) -> Result<Response<Answer>, Status> {
        let has_deadline = question.metadata().contains_key("grpc-timeout");
        let Question { node_uuid, data } = question.get_ref();
        self.calls.lock().expect("unpoisoned").push((node_uuid.clone(), has_deadline));
        let told = self.first.lock().expect("unpoisoned").pop();
        let data = told.unwrap_or_else(|| Ok(otherwise(data)))?;
        Ok(Response::new(Answer { data }))
    }
}

#[tonic::async_trait]
impl KmsService for Scripted {
    async fn seal(&self, question: Request<Question>) -> Result<Response<Answer>, Status> {
        self.answer(&question, |data| [b"sealed:", data].concat())
    }

    async fn unseal(&self, question: Request<Question>) -> Result<Response<Answer>, Status> {
        self.answer(&question, |blob| blob.strip_prefix(b"sealed:").unwrap_or_default().to_vec())
    }
}

async fn listen(server: &Scripted) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let incoming = tonic::transport::server::TcpIncoming::from(listener);
    let service = KmsServiceServer::new(server.clone());
    tokio::spawn(tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming));
    address
}

async fn nightlatch(command: &str, address: SocketAddr, more: &[&str], data: &[u8]) -> Output {
    let mut program = assert_cmd::Command::new(env!("CARGO_BIN_EXE_nightlatch"));
    program.args([command, "--node", NODE, "--endpoint", &format!("grpc://{address}")]).args(more).write_stdin(data);
    tokio::task::spawn_blocking(move || program.output().expect("the program starts")).await.expect("no panic")
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).expect("text")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sealed_can_be_unsealed() {
    let server = Scripted::default();
    let address = listen(&server).await;
    let secret = [0xA5; 32];

    let sealed = nightlatch("seal", address, &[], &secret).await;
    assert_eq!((sealed.status.code(), stderr(&sealed)), (Some(0), ""));
    assert_eq!(sealed.stdout, [b"sealed:".as_slice(), &secret].concat());
    let unsealed = nightlatch("unseal", address, &[], &sealed.stdout).await;
    assert_eq!(unsealed.stdout, secret);

    let calls = server.calls.lock().expect("unpoisoned");
    assert_eq!(
        *calls,
        [(NODE.to_owned(), true), (NODE.to_owned(), true)],
        "the UUID as it was written, and a deadline"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn base64_goes_in_and_out() {
    let address = listen(&Scripted::default()).await;
    let sealed = nightlatch("seal", address, &["--base64"], b"aGVs\nbG8=\n").await;
    assert_eq!(sealed.stdout, b"c2VhbGVkOmhlbGxv\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_with_the_answer_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let address = listen(&Scripted::default()).await;
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("blob");
    let out = ["--out", path.to_str().expect("text")];
    let sealed = nightlatch("seal", address, &out, b"hello").await;
    assert_eq!((sealed.status.code(), sealed.stdout.len()), (Some(0), 0), "{}", stderr(&sealed));
    assert_eq!(std::fs::read(&path).expect("written"), b"sealed:hello");
    assert_eq!(path.metadata().expect("there").permissions().mode() & 0o777, 0o600);

    let again = nightlatch("seal", address, &out, b"other").await;
    assert_eq!(again.status.code(), Some(73));
    assert_eq!(std::fs::read(&path).expect("left alone"), b"sealed:hello");
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_have_their_exit_codes() {
    for (code, exit, hint) in [
        (Code::Unavailable, 75, "--wait"),
        (Code::ResourceExhausted, 75, "again"),
        (Code::PermissionDenied, 77, "configuration"),
        (Code::InvalidArgument, 65, "belong together"),
        (Code::Internal, 70, "log"),
    ] {
        let server = Scripted::default();
        server.first.lock().expect("unpoisoned").push(Err(Status::new(code, "because \u{1b}[2J")));
        let address = listen(&server).await;
        let refused = nightlatch("unseal", address, &[], b"sealed:hello").await;
        assert_eq!((refused.status.code(), refused.stdout.len()), (Some(exit), 0), "{code:?}");
        let text = stderr(&refused);
        assert!(text.starts_with("nightlatch: error: ") && text.contains("because \\u{1b}[2J"), "{text}");
        assert!(text.lines().any(|line| line.starts_with("nightlatch: hint: ") && line.contains(hint)), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn waits_for_an_approval() {
    let server = Scripted::default();
    server.first.lock().expect("unpoisoned").push(Err(Status::unavailable("waiting for approval K7Q2 (1)")));
    let address = listen(&server).await;
    let unsealed = nightlatch("unseal", address, &["--wait", "1m"], b"sealed:hello").await;
    assert_eq!((unsealed.status.code(), unsealed.stdout.as_slice()), (Some(0), b"hello".as_slice()));
    assert_eq!(stderr(&unsealed), "nightlatch: waiting for approval K7Q2\n");
}

/// Talos would store it, and never open the disk again.
#[tokio::test(flavor = "multi_thread")]
async fn an_empty_answer_is_none() {
    let server = Scripted::default();
    server.first.lock().expect("unpoisoned").push(Ok(vec![]));
    let address = listen(&server).await;
    let sealed = nightlatch("seal", address, &[], b"hello").await;
    assert_eq!(sealed.status.code(), Some(65), "{}", stderr(&sealed));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_key_server_is_said_to_be_none() {
    use tokio::io::AsyncWriteExt;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let _gone = connection.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let refused = nightlatch("seal", address, &[], b"hello").await;
    assert_eq!(refused.status.code(), Some(69), "{}", stderr(&refused));
    assert!(stderr(&refused).contains("nightlatch: hint: "), "{}", stderr(&refused));
}
