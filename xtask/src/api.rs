//! Just enough HTTP to talk to an engine's socket: requests one after the other on one connection.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// How long a server may be silent before something is wrong with it.
const SILENCE_MAX: Duration = Duration::from_secs(120);

/// Bounds an answer's body, in bytes: a list of 100,000 names has 2 MB.
const BODY_MAX: u64 = 64 * 1024 * 1024;

/// A client with one connection.
pub(crate) struct Client {
    stream: BufReader<UnixStream>,
}

/// What a server answered.
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: u16,
    /// The body, whole.
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The body's beginning, for messages.
    pub(crate) fn words(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let text: String = text.trim().chars().take(300).collect();
        format!("{} {text}", self.status)
    }
}

impl Client {
    /// Connects to the socket.
    pub(crate) fn connect(socket: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(SILENCE_MAX))?;
        stream.set_write_timeout(Some(SILENCE_MAX))?;
        Ok(Self {
            stream: BufReader::new(stream),
        })
    }

    /// Sends a request, and reads the whole answer.
    pub(crate) fn ask(&mut self, method: &str, path: &str, body: &[u8]) -> io::Result<Answer> {
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nHost: engine\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        request.extend(body);
        self.stream.get_mut().write_all(&request)?;
        let mut line = self.line()?;
        let status = line.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("not HTTP: {line:?}")))?;
        let (mut length, mut chunked) = (0, false);
        loop {
            line = self.line()?;
            let Some((name, value)) = line.split_once(':') else {
                break;
            };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.trim().parse().unwrap_or_default(),
                "transfer-encoding" => chunked = value.trim() == "chunked",
                _ => {}
            }
        }
        let mut body = Vec::new();
        if chunked {
            while self.chunk(&mut body)? {}
        } else {
            self.take(length, &mut body)?;
        }
        Ok(Answer { status, body })
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }

    /// Reads one chunk. Is there another one?
    fn chunk(&mut self, body: &mut Vec<u8>) -> io::Result<bool> {
        let line = self.line()?;
        let size = u64::from_str_radix(&line, 16)
            .map_err(|_| io::Error::other(format!("not a chunk: {line:?}")))?;
        self.take(size, body)?;
        self.line()?;
        Ok(size > 0)
    }

    fn take(&mut self, length: u64, body: &mut Vec<u8>) -> io::Result<()> {
        if body.len() as u64 + length > BODY_MAX {
            return Err(io::Error::other("the answer is too large"));
        }
        let read = self.stream.by_ref().take(length).read_to_end(body)?;
        if (read as u64) < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::thread;

    use super::*;

    fn answers(bytes: &'static [u8]) -> io::Result<Answer> {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("s");
        let listener = UnixListener::bind(&socket).unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 16];
            stream.read_exact(&mut request).unwrap();
            stream.write_all(bytes).unwrap();
            // What is left unread would make the end a reset.
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            stream.read_to_end(&mut Vec::new()).unwrap();
        });
        let answer = Client::connect(&socket).unwrap().ask("GET", "/", b"");
        server.join().unwrap();
        answer
    }

    #[test]
    fn reads_answers_of_both_kinds() {
        let answer = answers(b"HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\nok").unwrap();
        assert_eq!((answer.status, answer.body.as_slice()), (201, &b"ok"[..]));
        let answer = answers(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
        );
        assert_eq!(answer.unwrap().body, b"abc");
    }

    #[test]
    fn an_answer_that_breaks_off_is_an_error() {
        assert!(answers(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok").is_err());
        assert!(
            answers(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n").is_err()
        );
        assert!(answers(b"").is_err());
    }
}
