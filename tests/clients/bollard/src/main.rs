//! bollard does with an engine what its users do: `wharf-client-bollard SOCKET REGISTRY LOCKED`
//!
//! The story and its facts are those of ../README.md; the engine's store is empty before and after. Every
//! step says `ok: …`; the first one that gets something else ends the program.

mod checks;
mod story;

use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bollard::models::{EventMessage, EventMessageTypeEnum};
use bollard::query_parameters::EventsOptionsBuilder;
use bollard::{API_DEFAULT_VERSION, Docker};
use checks::{Outcome, same};
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use story::Story;

/// How long a request may take.
const TIMEOUT_SECONDS: u64 = 60;

/// How long the engine has for the last event.
const EVENTS_MAX: Duration = Duration::from_secs(20);

/// How often somebody looks whether it has come.
const PAUSE: Duration = Duration::from_millis(10);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("FAILED: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [socket, registry, locked] = arguments.as_slice() else {
        return Err("usage: wharf-client-bollard SOCKET REGISTRY LOCKED".into());
    };
    let docker = Docker::connect_with_unix(socket, TIMEOUT_SECONDS, API_DEFAULT_VERSION)?;
    let docker = docker.negotiate_version().await?;
    let began = now();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let listening = tokio::spawn({
        let (events, heard) = (events(&docker, None), Arc::clone(&heard));
        events.for_each(move |event| {
            heard.lock().expect("nobody panics with it").push(event);
            std::future::ready(())
        })
    });
    // The request is on its way before the first step's.
    tokio::task::yield_now().await;

    let mut story = Story::new(docker.clone(), registry, locked);
    story.tell().await?;

    // The last event may still be on its way; what has happened so far can be asked for again.
    let past: Vec<EventMessage> = events(&docker, Some((began, now()))).try_collect().await?;
    same("the events of the past", &actions(&past), &story.happened)?;
    let deadline = Instant::now() + EVENTS_MAX;
    let count = || heard.lock().expect("nobody panics with it").len();
    while count() < story.happened.len() && Instant::now() < deadline {
        tokio::time::sleep(PAUSE).await;
    }
    listening.abort();
    let heard = std::mem::take(&mut *heard.lock().expect("nobody panics with it"));
    let heard = heard.into_iter().collect::<Result<Vec<_>, _>>()?;
    same("the events", &actions(&heard), &story.happened)?;
    for event in &heard {
        same(
            "an event's type",
            &event.typ,
            &Some(EventMessageTypeEnum::IMAGE),
        )?;
    }
    println!("ok: events: {}", heard.len());
    Ok(())
}

/// Events of images: live ones, or those of a time, in seconds.
fn events(
    docker: &Docker,
    time: Option<(f64, f64)>,
) -> impl Stream<Item = Result<EventMessage, bollard::errors::Error>> + Send + 'static {
    let filters = std::collections::HashMap::from([("type", vec!["image"])]);
    let mut options = EventsOptionsBuilder::default().filters(&filters);
    if let Some((since, until)) = time {
        options = options
            .since(&format!("{since:.6}"))
            .until(&format!("{until:.6}"));
    }
    docker.events(Some(options.build())).boxed()
}

fn actions(events: &[EventMessage]) -> Vec<String> {
    let actions = events.iter().map(|event| event.action.clone());
    actions.map(Option::unwrap_or_default).collect()
}

fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64())
}
