//! A server that answers with the very bytes that a test gives it, and takes down what it was asked as it stood on the wire.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// One request; the lines of its head are as they came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) lines: Vec<String>,
    pub(crate) body: String,
}

impl Asked {
    /// The value of a header, whose name is compared letter by letter.
    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self
            .lines
            .iter()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        found.unwrap_or("")
    }
}

/// A server on loopback, which closes each connection after its answer.
pub(crate) struct Rough {
    url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Rough {
    /// `answer` gets the request and how many came to the same path before it.
    pub(crate) fn start<A: AsRef<[u8]>>(
        answer: impl Fn(&Asked, usize) -> A + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let answer =
            Arc::new(move |asked: &Asked, before: usize| answer(asked, before).as_ref().to_vec());
        let shared = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (asked, answer) = (Arc::clone(&shared), Arc::clone(&answer));
                std::thread::spawn(move || serve(&stream, &asked, &*answer));
            }
        });
        Self { url, asked }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// What came to this path.
    pub(crate) fn asked(&self, path: &str) -> Vec<Asked> {
        self.asked
            .lock()
            .unwrap()
            .iter()
            .filter(|asked| asked.path == path)
            .cloned()
            .collect()
    }
}

fn serve(
    mut stream: &TcpStream,
    asked: &Mutex<Vec<Asked>>,
    answer: &dyn Fn(&Asked, usize) -> Vec<u8>,
) {
    let Some(request) = read(stream) else { return };
    let before = {
        let mut asked = asked.lock().unwrap();
        asked.push(request.clone());
        asked
            .iter()
            .filter(|earlier| earlier.path == request.path)
            .count()
            - 1
    };
    let _ = stream.write_all(&answer(&request, before));
}

fn read(stream: &TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(stream);
    let mut request = Asked::default();
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    line.split_whitespace()
        .nth(1)?
        .clone_into(&mut request.path);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.trim_end() {
            "" => break,
            line => request.lines.push(line.to_owned()),
        }
    }
    let length = request.lines.iter().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.parse().ok())
            .flatten()
    });
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    request.body = String::from_utf8(body).ok()?;
    Some(request)
}

/// A whole answer; `head` are further lines, each with its end.
pub(crate) fn answer(status: u16, head: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} X\r\n{head}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}
