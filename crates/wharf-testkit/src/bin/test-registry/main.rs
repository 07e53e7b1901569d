//! The test registry, the token service and the TLS proxy as a program, for scripts:
//!
//!     test-registry registry --fixtures --fault blobs:chance=0.1:any --seed 7
//!     test-registry token-service --user user:secret --certificate token.crt
//!     test-registry tls-proxy --upstream 127.0.0.1:5000 --certs-d certs.d
//!     test-registry certificates --folder tls
//!
//! It prints its address, `127.0.0.1:5123`, as its first line, and serves until it is killed.

mod arguments;
mod fault;

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use wharf_testkit::certs::{Authority, Flaw};
use wharf_testkit::fixtures::Layout;
use wharf_testkit::images::samples;
use wharf_testkit::token::TokenSettings;
use wharf_testkit::{Auth, TestRegistry, Tls, TlsProxy, TokenService, ports};

use arguments::Arguments;

const HELP: &str = "\
test-registry registry [OPTIONS]       a registry in memory
    --listen HOST:PORT                 where; any free port otherwise
    --four-digits                      a free port of four digits
    --layout DIR                       with the images of this OCI layout
    --fixtures                         with the images of the recorded scenarios
    --sample                           with a small image, team/app:1
    --fault ON:WHEN:HOW                fails; may be repeated, the first that fits decides
    --seed N                           decides what happens by chance
    --basic USER:PASSWORD              asks for a password
    --token USER:PASSWORD              asks for tokens, and gives them for a password
    --anonymous                        gives tokens to pull to everybody
    --token-uses N                     a token is good for so many requests
    --tls valid|expired|wrong-host     speaks TLS
    --client-certificates              asks for client certificates
    --certs-d DIR                      writes what clients must know of it
test-registry token-service [OPTIONS]  a token service alone
    --listen, --user USER:PASSWORD, --anonymous
    --certificate FILE                 writes the certificate that registries verify tokens with
test-registry tls-proxy [OPTIONS]      TLS in front of a registry
    --upstream HOST:PORT
    --listen, --tls, --client-certificates, --certs-d
test-registry certificates [OPTIONS]   certificates for a server on loopback
    --folder DIR                       writes ca.crt, server.{cert,key}, expired.{cert,key},
                                       wrong-host.{cert,key}, client.{cert,key}
A fault is ON:WHEN:HOW.
    ON     any | blobs | manifests | tokens | PART-OF-A-PATH
    WHEN   always | times=N | after=N | chance=0.25
    HOW    cut=N | stall=N | hangup | status=N | retry-after=SECONDS | flip=N | longer=N | shorter=N
           no-ranges | range-not-satisfiable | wrong-range | wrong-digest | content-type=TYPE
           redirect | unauthorized | slow=BYTES-PER-MILLISECOND | any
";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            // If even that cannot be written, the exit code still tells.
            drop(writeln!(
                std::io::stderr(),
                "test-registry: {reason}\n\n{HELP}"
            ));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let mut words = std::env::args().skip(1);
    let what = words.next().unwrap_or_default();
    let mut arguments = Arguments::new(words);
    match what.as_str() {
        "registry" => {
            let registry = registry(&mut arguments)?;
            arguments.finish()?;
            announce(&registry.host())?;
            forever()
        }
        "token-service" => token_service(arguments),
        "tls-proxy" => {
            let proxy = tls_proxy(&mut arguments)?;
            arguments.finish()?;
            announce(&proxy.host())?;
            forever()
        }
        "certificates" => certificates(arguments),
        _ => Err("say what to be".into()),
    }
}

fn registry(arguments: &mut Arguments) -> Result<TestRegistry, String> {
    let mut builder = TestRegistry::builder().auth(auth(arguments)?);
    if arguments.flag("--four-digits") {
        builder = builder.four_digit_port();
    }
    if let Some(address) = arguments.parsed::<SocketAddr>("--listen")? {
        builder = builder.address(address);
    }
    if let Some(tls) = tls(arguments)? {
        builder = builder.tls(tls);
    }
    if let Some(seed) = arguments.parsed("--seed")? {
        builder = builder.seed(seed);
    }
    let registry = builder.start();
    if let Some(folder) = arguments.value("--layout")? {
        let layout = Layout::read_folder(&PathBuf::from(&folder));
        layout
            .map_err(|error| format!("{folder}: {error}"))?
            .push_all(&registry);
    }
    if arguments.flag("--fixtures") {
        Layout::of_the_scenarios().push_all(&registry);
    }
    if arguments.flag("--sample") {
        registry.push("team/app:1", &samples::small());
    }
    while let Some(text) = arguments.value("--fault")? {
        let (on, when, fault) = fault::parse(&text)?;
        registry.fault(on, when, fault);
    }
    if let Some(folder) = arguments.value("--certs-d")? {
        let written = registry.write_certs_d(&PathBuf::from(&folder));
        written.map_err(|error| format!("{folder}: {error}"))?;
    }
    Ok(registry)
}

fn auth(arguments: &mut Arguments) -> Result<Auth, String> {
    if let Some((user, password)) = arguments.pair("--basic")? {
        return Ok(Auth::basic(&user, &password));
    }
    Ok(match token_settings(arguments, "--token")? {
        Some(settings) => Auth::Token(settings),
        None => Auth::None,
    })
}

fn token_settings(arguments: &mut Arguments, user: &str) -> Result<Option<TokenSettings>, String> {
    let user = arguments.pair(user)?;
    let anonymous = arguments.flag("--anonymous");
    let uses = arguments.parsed("--token-uses")?;
    if user.is_none() && !anonymous {
        return Ok(None);
    }
    let (user, password) = user.unwrap_or_else(|| ("nobody".into(), "nothing".into()));
    let settings = TokenSettings::user(&user, &password);
    Ok(Some(TokenSettings {
        anonymous_pull: anonymous,
        uses,
        ..settings
    }))
}

fn tls(arguments: &mut Arguments) -> Result<Option<Tls>, String> {
    let clients = arguments.flag("--client-certificates");
    let flaw = match arguments.value("--tls")?.as_deref() {
        None if !clients => return Ok(None),
        None | Some("valid") => Flaw::None,
        Some("expired") => Flaw::Expired,
        Some("wrong-host") => Flaw::WrongHost,
        Some(other) => return Err(format!("--tls {other} is not known")),
    };
    Ok(Some(Tls { flaw, clients }))
}

fn token_service(mut arguments: Arguments) -> Result<(), String> {
    let settings = token_settings(&mut arguments, "--user")?;
    let settings = settings.ok_or("--user or --anonymous is missing")?;
    let listener = match arguments.parsed::<SocketAddr>("--listen")? {
        Some(address) => ports::exactly(address),
        None => ports::any(),
    };
    let service = Arc::new(TokenService::new(settings));
    if let Some(file) = arguments.value("--certificate")? {
        fs::write(&file, service.certificate()).map_err(|error| format!("{file}: {error}"))?;
    }
    arguments.finish()?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    announce(&address.to_string())?;
    service.serve(listener)
}

fn tls_proxy(arguments: &mut Arguments) -> Result<TlsProxy, String> {
    let upstream = arguments.parsed::<SocketAddr>("--upstream")?;
    let upstream = upstream.ok_or("--upstream is missing")?;
    let listener = match arguments.parsed::<SocketAddr>("--listen")? {
        Some(address) => ports::exactly(address),
        None => ports::any(),
    };
    let proxy = TlsProxy::start_on(listener, upstream, tls(arguments)?.unwrap_or_default());
    if let Some(folder) = arguments.value("--certs-d")? {
        let written = proxy.write_certs_d(&PathBuf::from(&folder));
        written.map_err(|error| format!("{folder}: {error}"))?;
    }
    Ok(proxy)
}

fn certificates(mut arguments: Arguments) -> Result<(), String> {
    let folder = PathBuf::from(arguments.value("--folder")?.ok_or("--folder is missing")?);
    arguments.finish()?;
    let authority = Authority::new("an authority for tests");
    let write = || {
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("ca.crt"), authority.certificate())?;
        authority.server(Flaw::None).write(&folder, "server")?;
        authority.server(Flaw::Expired).write(&folder, "expired")?;
        authority
            .server(Flaw::WrongHost)
            .write(&folder, "wrong-host")?;
        authority
            .client("a client for tests")
            .write(&folder, "client")
    };
    write().map_err(|error: std::io::Error| format!("{}: {error}", folder.display()))
}

/// A script waits for this line.
fn announce(address: &str) -> Result<(), String> {
    let mut out = std::io::stdout();
    let written = writeln!(out, "{address}").and_then(|()| out.flush());
    written.map_err(|error| error.to_string())
}

fn forever() -> ! {
    loop {
        thread::park();
    }
}
