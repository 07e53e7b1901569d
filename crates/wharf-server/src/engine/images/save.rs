//! `GET /images/get`, `GET /images/NAME/get`

use std::collections::HashSet;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use wharf_engine::SaveOptions;

use crate::engine::answer::{Failure, Result};
use crate::engine::query::Query;
use crate::engine::version::ApiVersion;
use crate::engine::{Api, body};

const TAR: HeaderValue = HeaderValue::from_static("application/x-tar");

pub(in crate::engine) async fn get(
    api: &Arc<Api>,
    version: &ApiVersion,
    name: Option<String>,
    query: &Query,
) -> Result<Response> {
    let names: Vec<String> = match name {
        Some(name) => vec![name],
        None => query.all("names").map(str::to_owned).collect(),
    };
    let platform = if version.is_before(48) {
        None
    } else {
        query.platform("platform")?
    };
    let (writer, mut written) = body::writer(api.archive().await?);
    let api = Arc::clone(api);
    let saving = tokio::spawn(async move {
        let options = SaveOptions { platform };
        let writer = Box::new(writer);
        api.engine.save(&names, &options, writer).await?;
        let mut told = HashSet::new();
        for name in &names {
            let name = name.clone();
            let found =
                api.rows(move |engine| Box::pin(async move { engine.identify(&name).await }));
            // It was there a moment ago; who has removed it meanwhile wants no event of it.
            if let Ok(image) = found.await
                && told.insert(image.id.clone())
            {
                let id = image.id.as_str();
                api.events.tell("save", id, image.labels, id);
            }
        }
        Ok(())
    });
    // What fails before the first byte has a status of its own.
    let Some(first) = written.recv().await else {
        ended(saving).await?;
        return Ok((StatusCode::OK, [(header::CONTENT_TYPE, TAR)]).into_response());
    };
    let rest = Rest {
        first: Some(first),
        written,
        saving: Some(saving),
    };
    let body = stream::unfold(rest, |mut rest| async move {
        let next = rest.next().await?;
        Some((next, rest))
    });
    let headers = [(header::CONTENT_TYPE, TAR)];
    Ok((StatusCode::OK, headers, Body::from_stream(body)).into_response())
}

async fn ended(saving: JoinHandle<Result<()>>) -> Result<()> {
    match saving.await {
        Ok(result) => result,
        Err(error) => Err(Failure::internal(&error)),
    }
}

/// What is still to be sent. A client that goes away ends the saving.
struct Rest {
    first: Option<Bytes>,
    written: mpsc::Receiver<Bytes>,
    saving: Option<JoinHandle<Result<()>>>,
}

impl Rest {
    /// The next bytes. An archive that fails in the middle breaks off, so that nobody takes it for whole.
    async fn next(&mut self) -> Option<Result<Bytes, std::io::Error>> {
        if let Some(first) = self.first.take() {
            return Some(Ok(first));
        }
        if let Some(bytes) = self.written.recv().await {
            return Some(Ok(bytes));
        }
        let result = ended(self.saving.take()?).await;
        result
            .err()
            .map(|failure| Err(std::io::Error::other(failure.message)))
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        if let Some(saving) = &self.saving {
            saving.abort();
        }
    }
}
