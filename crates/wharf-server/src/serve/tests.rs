//! Crowds of clients that do nothing, and the ones who come after them. The clock stands still but for what the
//! server waits for.

use axum::body::Bytes;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::*;

/// What a connection holds between its two ends, in bytes.
const PIPE: usize = 1024;

/// More than a connection holds.
const LARGE: usize = 1 << 20;

const LIMITS: Limits = Limits {
    connections: 4,
    waiting: 2,
    place_time: Duration::from_secs(1),
    head_time: Duration::from_secs(60),
    head: 16 * 1024,
    taking: Duration::from_secs(60),
    sending: Duration::from_secs(300),
    crowded: Duration::from_secs(5),
};

/// Connections out of a channel.
struct Pipes(mpsc::UnboundedReceiver<DuplexStream>);

impl Listener for Pipes {
    type Io = DuplexStream;
    type Addr = ();

    async fn accept(&mut self) -> (DuplexStream, ()) {
        match self.0.recv().await {
            Some(stream) => (stream, ()),
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Place for Pipes {
    fn admission(&self) -> Admission {
        Admission::over_tcp(([127, 0, 0, 1], 2375).into())
    }
}

struct Running {
    clients: mpsc::UnboundedSender<DuplexStream>,
    end: Option<oneshot::Sender<()>>,
    served: JoinHandle<()>,
}

impl Running {
    fn start() -> Self {
        let (clients, pipes) = mpsc::unbounded_channel();
        let (end, ended) = oneshot::channel::<()>();
        let server = Server::new(Router::new().fallback(answer)).with_limits(LIMITS);
        let served = tokio::spawn(server.run(Pipes(pipes), async { drop(ended.await) }));
        Self {
            clients,
            end: Some(end),
            served,
        }
    }

    fn connect(&self) -> DuplexStream {
        let (client, server) = duplex(PIPE);
        self.clients.send(server).unwrap();
        client
    }

    async fn send(&self, request: &str) -> DuplexStream {
        let mut client = self.connect();
        client.write_all(request.as_bytes()).await.unwrap();
        client
    }

    async fn ask(&self, path: &str) -> String {
        rest(self.send(&get(path)).await).await
    }
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
}

async fn rest(mut client: DuplexStream) -> String {
    let mut all = Vec::new();
    // A connection that breaks has ended, too.
    drop(client.read_to_end(&mut all).await);
    String::from_utf8(all).unwrap()
}

async fn answer(request: Request) -> Response<Body> {
    match request.uri().path() {
        "/large" => Bytes::from(vec![b'x'; LARGE]).into_response(),
        "/never" => std::future::pending().await,
        "/body" => match axum::body::to_bytes(request.into_body(), LARGE).await {
            Ok(body) => body.into_response(),
            Err(error) => (StatusCode::REQUEST_TIMEOUT, error.to_string()).into_response(),
        },
        _ => "OK".into_response(),
    }
}

#[tokio::test(start_paused = true)]
async fn who_takes_nothing_loses_the_connection() {
    let running = Running::start();
    let start = Instant::now();
    for path in ["/large", "/large?again"] {
        let mut client = running.send(&get(path)).await;
        let mut some = [0; 16];
        client.read_exact(&mut some).await.unwrap();
        // The rest of a minute later only what was in the pipe is there.
        tokio::time::sleep(LIMITS.taking + Duration::from_secs(1)).await;
        assert!(rest(client).await.len() <= 2 * PIPE);
    }
    assert!(start.elapsed() < 3 * LIMITS.taking);
    // Who takes a little every few seconds gets all of it.
    let mut client = running.send(&get("/large")).await;
    let (mut all, mut piece) = (0, vec![0; 64 * 1024]);
    loop {
        match client.read(&mut piece).await.unwrap() {
            0 => break,
            some => all += some,
        }
        tokio::time::sleep(Duration::from_millis(900)).await;
    }
    assert!(all > LARGE);
}

#[tokio::test(start_paused = true)]
async fn who_takes_a_byte_now_and_then_loses_it_too() {
    let running = Running::start();
    let mut client = running.send(&get("/large")).await;
    let start = Instant::now();
    let mut taken = 0;
    while client.read_u8().await.is_ok() {
        taken += 1;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(
        taken < LARGE && start.elapsed() < Duration::from_secs(3600),
        "{taken}"
    );
}

#[tokio::test(start_paused = true)]
async fn who_sends_half_a_request_is_not_waited_for_without_end() {
    let running = Running::start();
    let post = "POST /body HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n";
    for body in [
        "Content-Length: 10\r\n\r\nhalf",
        "Content-Length: 9007199254740993\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "Transfer-Encoding: chunked\r\n\r\n4;name=value\r\nha",
    ] {
        let start = Instant::now();
        let answer = rest(running.send(&format!("{post}{body}")).await).await;
        assert!(answer.starts_with("HTTP/1.1 408"), "{body}: {answer}");
        assert!(start.elapsed() >= LIMITS.sending && start.elapsed() < 2 * LIMITS.sending);
    }
    // A byte now and then does not do.
    let mut client = running
        .send(&format!("{post}Content-Length: 100000\r\n\r\n"))
        .await;
    let start = Instant::now();
    while client.write_all(b"x").await.is_ok() {
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert!(start.elapsed() < 3 * LIMITS.sending);
    }
    // And a head has a minute.
    for head in ["", "G", "GET / HTTP/1.1\r\nHost: localhost\r\nX-"] {
        let start = Instant::now();
        drop(rest(running.send(head).await).await);
        assert!(
            start.elapsed() <= LIMITS.head_time + Duration::from_secs(1),
            "{head}"
        );
    }
}

/// Everybody in a full house does this, and somebody else asks. Returns the answers to the ones that come then, and
/// after how long the first was a good one.
async fn crowd_of(request: &str) -> (Vec<String>, Duration) {
    let running = Running::start();
    let mut crowd = Vec::new();
    for _ in 0..2 * LIMITS.connections {
        crowd.push(running.send(request).await);
    }
    let (start, mut answers) = (Instant::now(), Vec::new());
    loop {
        let answer = running.ask("/").await;
        let good = answer.starts_with("HTTP/1.1 200");
        answers.push(answer);
        if good || start.elapsed() > Duration::from_secs(60) {
            return (answers, start.elapsed());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_has_not_asked_yet_makes_room_at_once() {
    for request in [
        "",
        "G",
        "GET /large HTTP/1.1\r\nHost: localhost\r\nX-Y: ",
        "\r\n",
    ] {
        let (answers, took) = crowd_of(request).await;
        assert_eq!(answers.len(), 1, "{request:?}: {answers:?}");
        assert!(took < LIMITS.place_time, "{request:?}: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_does_not_go_on_makes_room_soon_and_everybody_gets_an_answer() {
    let body = "Host: localhost\r\nContent-Length: 1000\r\n\r\nhalf";
    for request in [
        get("/large"),
        format!("POST /body HTTP/1.1\r\n{body}"),
        // Two of them, one behind the other.
        get("/large").replace("Connection: close\r\n", "").repeat(2),
    ] {
        let (answers, took) = crowd_of(&request).await;
        let (last, before) = answers.split_last().unwrap();
        assert!(last.starts_with("HTTP/1.1 200"), "{last}");
        for answer in before {
            assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
            assert!(answer.contains("Retry-After: 5\r\n"), "{answer}");
        }
        assert!(took < 3 * LIMITS.crowded, "{request}: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_house_at_work_refuses_in_time() {
    let running = Running::start();
    let mut at_work = Vec::new();
    for _ in 0..LIMITS.connections {
        at_work.push(running.send(&get("/never")).await);
    }
    let start = Instant::now();
    let mut asked = Vec::new();
    for _ in 0..20 {
        asked.push(running.send(&get("/")).await);
    }
    for client in asked {
        assert!(rest(client).await.starts_with("HTTP/1.1 503"));
    }
    // Two at a time wait for a second each.
    assert!(
        start.elapsed() < Duration::from_secs(15),
        "{:?}",
        start.elapsed()
    );
    at_work.pop();
    assert!(running.ask("/").await.starts_with("HTTP/1.1 200"));
    // Those who wait for a place and say nothing do not keep the next one out for long.
    let silent: Vec<_> = (0..LIMITS.connections + 8)
        .map(|_| running.connect())
        .collect();
    let start = Instant::now();
    let answer = running.ask("/").await;
    assert!(answer.starts_with("HTTP/1.1"), "{answer}");
    assert!(
        start.elapsed() < Duration::from_secs(60),
        "{:?}",
        start.elapsed()
    );
    drop(silent);
}

#[tokio::test(start_paused = true)]
async fn the_end_waits_for_nobody_who_waits() {
    let mut running = Running::start();
    let mut crowd = Vec::new();
    for path in ["/never", "/large", "/large", "/never", "/", "/"] {
        crowd.push(running.send(&get(path)).await);
    }
    tokio::task::yield_now().await;
    let start = Instant::now();
    drop(running.end.take());
    running.served.await.unwrap();
    assert!(start.elapsed() <= GRACE + Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_is_told_so_and_the_connection_ends() {
    let running = Running::start();
    let body = "x".repeat(4 * PIPE);
    for (head, status) in [
        ("POST / HTTP/1.1\r\nHost: evil.example\r\n", 403),
        (
            "POST / HTTP/1.1\r\nHost: localhost\r\nOrigin: null\r\n",
            403,
        ),
        (
            "POST / HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n",
            400,
        ),
        ("POST / HTTP/1.1\r\n", 400),
        (
            "POST http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n",
            403,
        ),
    ] {
        let request = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
        let answer = rest(running.send(&request).await).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{head}: {answer}"
        );
        assert!(answer.contains("Connection: close\r\n"), "{answer}");
    }
    assert!(running.ask("/").await.starts_with("HTTP/1.1 200"));
}

#[test]
fn fewer_files_mean_fewer_connections() {
    for files in [0, 1, 16, 64, 256, 1024, 4096, u64::MAX] {
        let limits = Limits::default().for_open_files(files);
        assert!(limits.connections >= 1 && limits.waiting >= 1, "{files}");
        assert!(limits.connections <= CONNECTIONS_MAX && limits.waiting <= WAITING_MAX);
        let all = (limits.connections + limits.waiting) as u64;
        assert!(files < 16 || all <= files / 2 + 1, "{files}: {all}");
    }
}
