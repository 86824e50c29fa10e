//! The server on loopback.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::TOKEN;

#[derive(Clone, Debug)]
pub(super) enum Script {
    Say(String),
    Hang,
    Drip,
    Endless,
    /// Says so once on each connection, and then hangs up on what comes.
    SayOnce(String),
    Close,
    CutShort,
}

pub(super) struct Server {
    pub(super) url: String,
    requests: Arc<Mutex<Vec<String>>>,
    _task: JoinSet<()>,
}

impl Server {
    pub(super) async fn answering(answer: &str) -> Self {
        Self::start(Script::Say(answer.into())).await
    }

    pub(super) async fn start(script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let mut task = JoinSet::new();
        task.spawn(serve(listener, script, Arc::clone(&requests)));
        Self {
            url,
            requests,
            _task: task,
        }
    }

    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    pub(super) fn only_request(&self) -> String {
        let requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:?}");
        requests[0].clone()
    }
}

async fn serve(listener: TcpListener, script: Script, requests: Arc<Mutex<Vec<String>>>) {
    let mut connections = JoinSet::new();
    while let Ok((mut stream, _)) = listener.accept().await {
        let (script, requests) = (script.clone(), Arc::clone(&requests));
        connections.spawn(async move {
            if let Some(request) = read_request(&mut stream).await {
                requests.lock().unwrap().push(request);
                play(&mut stream, &script).await;
            }
        });
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut seen = Vec::new();
    loop {
        let mut buffer = [0; 4096];
        let read = stream.read(&mut buffer).await.ok().filter(|read| *read > 0);
        if seen.is_empty() && buffer[0] == 0x16 {
            let _ = stream.write_all(b"this is no TLS").await;
            return None;
        }
        seen.extend_from_slice(&buffer[..read?]);
        let text = String::from_utf8_lossy(&seen).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
            return Some(text);
        }
    }
}

async fn play(stream: &mut TcpStream, script: &Script) {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
    match script {
        Script::Say(answer) => drop(stream.write_all(answer.as_bytes()).await),
        Script::Hang => std::future::pending().await,
        Script::Drip => {
            let _ = stream
                .write_all(format!("{head}Content-Length: 100000\r\n\r\n").as_bytes())
                .await;
            while stream.write_all(b" ").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        Script::Endless => {
            let _ = stream
                .write_all(format!("{head}Transfer-Encoding: chunked\r\n\r\n").as_bytes())
                .await;
            while stream
                .write_all(b"10\r\n                \r\n")
                .await
                .is_ok()
            {}
        }
        Script::SayOnce(answer) => {
            let _ = stream.write_all(answer.as_bytes()).await;
            let _unanswered = read_request(stream).await;
        }
        Script::Close => {}
        Script::CutShort => {
            let _ = stream
                .write_all(
                    format!(
                        "{head}Content-Length: 500\r\n\r\n{}",
                        TOKEN.trim_end_matches('}')
                    )
                    .as_bytes(),
                )
                .await;
        }
    }
}

pub(super) fn json(status: u16, headers: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} X\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

/// What a client offers to speak inside TLS (ALPN, RFC 7301); the handshake is not answered.
pub(super) fn offered_protocols(stream: &mut std::net::TcpStream) -> Vec<String> {
    let mut hello = rustls::server::Acceptor::default();
    let accepted = loop {
        hello.read_tls(stream).unwrap();
        if let Ok(Some(accepted)) = hello.accept() {
            break accepted;
        }
    };
    let offered = accepted
        .client_hello()
        .alpn()
        .into_iter()
        .flatten()
        .map(<[u8]>::to_vec)
        .collect::<Vec<_>>();
    offered
        .into_iter()
        .map(|name| String::from_utf8(name).unwrap())
        .collect()
}
