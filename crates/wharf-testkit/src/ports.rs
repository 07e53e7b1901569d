//! Ports on loopback.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

/// The first port with four digits that is not the one of registries in general.
const FIRST: u16 = 5001;
/// The last port with four digits.
const LAST: u16 = 9999;

/// Binds a free port of loopback.
///
/// # Panics
/// If there is none.
pub fn any() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port")
}

/// Binds a port of loopback.
///
/// # Panics
/// If it is taken.
pub fn exactly(address: SocketAddr) -> TcpListener {
    match TcpListener::bind(address) {
        Ok(listener) => listener,
        Err(error) => panic!("cannot listen on {address}: {error}"),
    }
}

/// Binds a free port of four digits, so that `127.0.0.1:5000` has as many letters as this one.
///
/// # Panics
/// If all are taken.
pub fn four_digits() -> TcpListener {
    // Tests that run side by side, in threads and in processes, start at different places.
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let count = LAST - FIRST + 1;
    let process = u16::try_from(std::process::id() % u32::from(count)).unwrap_or(0);
    for _ in 0..count {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let offset = (u32::from(process) * 97 + u32::from(step)) % u32::from(count);
        let port = FIRST + u16::try_from(offset).unwrap_or(0);
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            return listener;
        }
    }
    panic!("no port between {FIRST} and {LAST} is free");
}

/// The number of a port of four digits on which nobody listens, now.
///
/// # Panics
/// If all are taken.
pub fn closed() -> u16 {
    let listener = four_digits();
    listener
        .local_addr()
        .expect("a listener has an address")
        .port()
}
