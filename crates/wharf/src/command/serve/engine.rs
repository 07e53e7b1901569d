//! `wharf serve engine`: Docker's clients, with wharf behind them.
//!
//! It listens where `--listen` says, several times if need be, or on what systemd hands over.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use listenfd::ListenFd;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use wharf_server::Server;
use wharf_server::engine::{refusal, router};
use wharf_server::listen::Listening;
use wharf_server::listen::tls::{Acceptor, Files};
use wharf_server::listen::unix::{self, Bound, DEFAULT_GROUP};
use wharf_server::serve::Limits;

use crate::command::info;
use crate::context::Context;
use crate::exit::{Failure, Result};
use crate::print::print;
use crate::runtime;

/// Where clients find it if nobody says otherwise.
const DEFAULT_SOCKET: &str = "unix:///run/wharf/wharf.sock";

/// What systemd hands over.
const FROM_SYSTEMD: &str = "fd://";

/// The arguments.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A name of this machine that clients may use over tcp:// on loopback, besides localhost; may be given several
    /// times
    #[arg(long, value_name = "list")]
    allow_host: Vec<String>,
    /// The group that may use the socket, where there is such a group
    #[arg(long, value_name = "string", default_value = DEFAULT_GROUP)]
    group: String,
    /// Where to listen: unix://PATH, tcp://HOST:PORT or fd://; may be given several times (default
    /// "unix:///run/wharf/wharf.sock")
    #[arg(long, value_name = "list")]
    listen: Vec<String>,
    /// The server's certificate, for tcp://
    #[arg(long, value_name = "string")]
    tls_cert: Option<PathBuf>,
    /// The authorities that clients' certificates are from
    #[arg(long, value_name = "string")]
    tls_client_ca: Option<PathBuf>,
    /// The server's key
    #[arg(long, value_name = "string")]
    tls_key: Option<PathBuf>,
    /// None are taken.
    #[arg(hide = true)]
    rest: Vec<String>,
}

/// A place to listen, and its name for people.
struct Place {
    name: String,
    listening: Listening,
    /// The socket's file goes with it.
    _bound: Option<Bound>,
}

/// Runs it.
pub(crate) fn run(context: &Context, arguments: &Arguments) -> Result<()> {
    context.usage.exactly(&arguments.rest, 0)?;
    let tls = tls(arguments)?;
    let names = super::host_names(&arguments.allow_host)?;
    let limits = super::within_open_files(Limits::default());
    let engine = Arc::new(context.engine()?);
    let host = info::host(context)?;
    let root = host.root.clone();
    let server = Server::new(router(engine, host))
        .with_form(refusal)
        .with_names(names)
        .with_limits(limits);
    runtime::server(async {
        let places = places(arguments, tls.as_ref()).await?;
        let told_to_end = runtime::told_to_end()?;
        for place in &places {
            print(&format!("serving {root} on {}\n", place.name))?;
        }
        let (end, ended) = watch::channel(false);
        let mut servers = tokio::task::JoinSet::new();
        for place in places {
            let (server, mut ended) = (server.clone(), ended.clone());
            servers.spawn(async move {
                let end = async move { drop(ended.wait_for(|ended| *ended).await) };
                server.run(place.listening, end).await;
                drop(place._bound);
            });
        }
        told_to_end.await;
        tracing::info!("told to end: requests in progress have ten seconds");
        end.send_replace(true);
        while servers.join_next().await.is_some() {}
        Ok(())
    })
}

/// Certificates go together, or there are none.
fn tls(arguments: &Arguments) -> Result<Option<Acceptor>> {
    let given = (
        &arguments.tls_cert,
        &arguments.tls_key,
        &arguments.tls_client_ca,
    );
    match given {
        (None, None, None) => Ok(None),
        (Some(certificate), Some(key), Some(client_authorities)) => {
            let files = Files {
                certificate: certificate.clone(),
                key: key.clone(),
                client_authorities: client_authorities.clone(),
            };
            let acceptor = Acceptor::new(&files);
            acceptor
                .map(Some)
                .map_err(|error| Failure::error(error.to_string()))
        }
        _ => Err(Failure::with_hint(
            "--tls-cert, --tls-key and --tls-client-ca belong together",
            "without the authorities of clients' certificates, whoever reaches the port may do everything",
        )),
    }
}

async fn places(arguments: &Arguments, tls: Option<&Acceptor>) -> Result<Vec<Place>> {
    let mut systemd = ListenFd::from_env();
    if arguments.listen.is_empty() && systemd.len() == 0 {
        return Ok(vec![at(DEFAULT_SOCKET, arguments, tls).await?]);
    }
    let mut all = Vec::new();
    if arguments.listen.is_empty() || arguments.listen.iter().any(|text| text == FROM_SYSTEMD) {
        all.extend(handed_over(&mut systemd, tls)?);
    }
    for text in arguments.listen.iter().filter(|text| *text != FROM_SYSTEMD) {
        all.push(at(text, arguments, tls).await?);
    }
    Ok(all)
}

/// The sockets that systemd has opened.
fn handed_over(systemd: &mut ListenFd, tls: Option<&Acceptor>) -> Result<Vec<Place>> {
    let cannot = |error: std::io::Error| {
        Failure::error(format!("cannot listen on what systemd hands over: {error}"))
    };
    if systemd.len() == 0 {
        return Err(Failure::with_hint(
            "systemd has handed over no socket",
            "fd:// is for a service with a socket unit: see packaging/systemd",
        ));
    }
    let mut all = Vec::new();
    for number in 0..systemd.len() {
        let listening = if let Ok(Some(listener)) = systemd.take_unix_listener(number) {
            listener.set_nonblocking(true).map_err(cannot)?;
            Listening::Unix(UnixListener::from_std(listener).map_err(cannot)?)
        } else if let Ok(Some(listener)) = systemd.take_tcp_listener(number) {
            listener.set_nonblocking(true).map_err(cannot)?;
            let address = listener.local_addr().map_err(cannot)?;
            over_tcp(
                TcpListener::from_std(listener).map_err(cannot)?,
                address,
                tls,
            )?
        } else {
            continue;
        };
        all.push(Place {
            name: format!("{FROM_SYSTEMD}{number}"),
            listening,
            _bound: None,
        });
    }
    Ok(all)
}

async fn at(text: &str, arguments: &Arguments, tls: Option<&Acceptor>) -> Result<Place> {
    if let Some(path) = text.strip_prefix("unix://") {
        let bound = unix::bind(Path::new(path), &arguments.group);
        let (listener, bound) = bound.map_err(|error| Failure::error(error.to_string()))?;
        return Ok(Place {
            name: text.to_owned(),
            listening: Listening::Unix(listener),
            _bound: Some(bound),
        });
    }
    let Some(address) = text.strip_prefix("tcp://") else {
        return Err(Failure::with_hint(
            format!("cannot listen on {text:?}"),
            "--listen takes unix:///PATH, tcp://HOST:PORT, or fd:// for systemd's sockets",
        ));
    };
    let listener = super::listen(address).await?;
    let address = super::address(&listener)?;
    Ok(Place {
        name: format!("tcp://{address}"),
        listening: over_tcp(listener, address, tls)?,
        _bound: None,
    })
}

/// What can be reached from elsewhere asks for certificates: whoever speaks to the engine may replace and remove
/// every image.
fn over_tcp(
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<&Acceptor>,
) -> Result<Listening> {
    match tls {
        Some(acceptor) => Ok(Listening::Tls(listener, acceptor.clone())),
        None if address.ip().is_loopback() => Ok(Listening::Tcp(listener)),
        None => Err(Failure::with_hint(
            format!(
                "tcp://{address} can be reached by others, and nobody would have to say who they are"
            ),
            "give --tls-cert, --tls-key and --tls-client-ca; or listen on 127.0.0.1 and come by ssh",
        )),
    }
}
