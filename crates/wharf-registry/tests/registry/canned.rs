//! A server that says exactly what a test wants it to say.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread;

use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};
use wharf_core::Reference;

type Answer = dyn Fn(&Asked) -> Vec<u8> + Send + Sync;

/// A request, as it came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    /// `GET /v2/ HTTP/1.1`
    pub(crate) line: String,
    /// In lower case, as a whole: `range: bytes=0-1`.
    pub(crate) headers: Vec<String>,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let prefix = format!("{name}: ");
        self.headers
            .iter()
            .find_map(|header| header.strip_prefix(&prefix))
    }

    pub(crate) fn path(&self) -> &str {
        self.line.split(' ').nth(1).unwrap_or_default()
    }
}

/// One request per connection; ends with the test's process.
pub(crate) struct Canned {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Canned {
    pub(crate) fn start(answer: impl Fn(&Asked) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::start_with(None, answer)
    }

    /// With TLS, if there is a configuration for it.
    pub(crate) fn start_with(
        tls: Option<Arc<ServerConfig>>,
        answer: impl Fn(&Asked) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (log, answer): (_, Arc<Answer>) = (Arc::clone(&asked), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (log, answer, tls) = (Arc::clone(&log), Arc::clone(&answer), tls.clone());
                thread::spawn(move || match tls {
                    None => serve(stream, &log, &*answer),
                    Some(tls) => {
                        let connection = ServerConnection::new(tls).unwrap();
                        serve(StreamOwned::new(connection, stream), &log, &*answer);
                    }
                });
            }
        });
        Self { address, asked }
    }

    pub(crate) fn reference(&self, name: &str) -> Reference {
        format!("{}/{name}", self.address).parse().unwrap()
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// The requests that are not the question which scheme is spoken.
    pub(crate) fn paths(&self) -> Vec<String> {
        let all = self.asked();
        let paths = all.iter().map(|asked| asked.path().to_owned());
        paths.filter(|path| path != "/v2/").collect()
    }
}

fn serve(stream: impl Read + Write, log: &Mutex<Vec<Asked>>, answer: &Answer) {
    let mut stream = BufReader::new(stream);
    let mut asked = Asked::default();
    let mut line = String::new();
    while stream.read_line(&mut line).is_ok_and(|read| read > 2) {
        let text = line.trim_end();
        if asked.line.is_empty() {
            asked.line = text.to_owned();
        } else {
            let (name, value) = text.split_once(':').unwrap_or((text, ""));
            asked
                .headers
                .push(format!("{}: {}", name.to_lowercase(), value.trim()));
        }
        line.clear();
    }
    if asked.line.is_empty() {
        return;
    }
    // An answer to what was not read would break the connection.
    let length = asked
        .header("content-length")
        .and_then(|text| text.parse().ok());
    drop(std::io::copy(
        &mut stream.by_ref().take(length.unwrap_or(0)),
        &mut std::io::sink(),
    ));
    log.lock().unwrap().push(asked.clone());
    let mut stream = stream.into_inner();
    // A client that hangs up has its reasons.
    drop(stream.write_all(&answer(&asked)));
    drop(stream.flush());
}

/// An answer with a body.
pub(crate) fn answer(status: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    let length = format!("Content-Length: {}", body.len());
    let mut all = raw(status, &[headers, &[&length]].concat());
    all.extend_from_slice(body);
    all
}

/// An answer without a length; the body may follow.
pub(crate) fn raw(status: &str, headers: &[&str]) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status}\r\nConnection: close\r\n");
    for header in headers {
        text.push_str(header);
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    text.into_bytes()
}
