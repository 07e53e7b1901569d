//! Connections end in order, and a registry that is only to be read is.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;

use futures_util::StreamExt as _;
use reqwest::{Body, Client};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use wharf_core::Digest;
use wharf_server::registry::{Options, router};
use wharf_testkit::MemoryBackend;

async fn start(options: Options) -> (String, oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (stop, stopped) = oneshot::channel();
    let router = router(Arc::new(MemoryBackend::new()), options);
    let shutdown = async { stopped.await.unwrap() };
    (
        url,
        stop,
        tokio::spawn(wharf_server::serve(listener, router, shutdown)),
    )
}

#[tokio::test]
async fn answers_requests_in_progress_before_it_ends() {
    let (url, stop, served) = start(Options::default()).await;
    let client = Client::builder().no_proxy().build().unwrap();
    // A connection that idles must not keep the server up.
    client
        .get(format!("{url}/v2/"))
        .send()
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();

    let (send, receive) = mpsc::channel::<Result<&[u8], String>>(1);
    let body = futures_util::stream::unfold(receive, |mut receive| async {
        let chunk = receive.recv().await?;
        Some((chunk, receive))
    });
    let digest = Digest::of(b"first and last");
    let post = client
        .post(format!("{url}/v2/team/app/blobs/uploads/?digest={digest}"))
        .body(Body::wrap_stream(body.boxed()));
    let answer = tokio::spawn(post.send());
    send.send(Ok(b"first ")).await.unwrap();
    // The channel holds one chunk: when this is in, the connection has taken the first.
    send.send(Ok(b"and ")).await.unwrap();
    stop.send(()).unwrap();
    send.send(Ok(b"last")).await.unwrap();
    drop(send);
    assert_eq!(answer.await.unwrap().unwrap().status(), 201);
    served.await.unwrap();
    assert!(client.get(format!("{url}/v2/")).send().await.is_err());
}

#[tokio::test]
async fn refuses_what_its_options_do_not_allow() {
    let (url, _stop, _served) = start(Options {
        push: false,
        delete: false,
    })
    .await;
    let client = Client::builder().no_proxy().build().unwrap();
    let digest = Digest::of(b"");
    for (request, path) in [
        (
            client.post(format!("{url}/v2/a/blobs/uploads/")),
            "an upload",
        ),
        (
            client.put(format!("{url}/v2/a/manifests/1")).body("{}"),
            "a manifest",
        ),
        (
            client.delete(format!("{url}/v2/a/blobs/{digest}")),
            "a deletion",
        ),
    ] {
        assert_eq!(request.send().await.unwrap().status(), 405, "{path}");
    }
    let response = client
        .get(format!("{url}/v2/a/tags/list"))
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 404);
}
