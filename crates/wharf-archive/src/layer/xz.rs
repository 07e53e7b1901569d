//! xz, fed with bytes: every stream is read, and nothing but zeros may follow.

use std::io::ErrorKind;

use lzma_rust2::{Action, Status, XzStream};

use super::OUTPUT;
use super::fault::Fault;
use super::gate::Pass;
use super::limits::XZ_MEMORY_KIB;

/// The beginning of a stream.
pub(super) const MAGIC: [u8; 6] = [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00];

/// Reads xz.
pub(super) struct Unxz {
    stream: XzStream,
    output: Box<[u8]>,
    state: State,
    /// The right to hold a window.
    _pass: Pass,
}

/// What comes next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// More of a stream.
    Stream,
    /// Another stream, zeros, or the end.
    Behind,
}

impl Unxz {
    pub(super) fn new(pass: Pass) -> Self {
        Self {
            stream: stream(),
            output: vec![0; OUTPUT].into(),
            state: State::Stream,
            _pass: pass,
        }
    }

    /// Takes the next bytes, and gives `output` what they hold.
    pub(super) fn write(
        &mut self,
        mut input: &[u8],
        output: &mut impl FnMut(&[u8]) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        while let Some(&first) = input.first() {
            match (self.state, first) {
                (State::Stream, _) => input = self.inflate(input, output)?,
                (State::Behind, 0) => {
                    let end = input.iter().position(|&b| b != 0);
                    input = &input[end.unwrap_or(input.len())..];
                }
                (State::Behind, first) if first == MAGIC[0] => {
                    self.stream = stream();
                    self.state = State::Stream;
                }
                _ => return Err(Fault::Behind("xz")),
            }
        }
        Ok(())
    }

    /// Gives what is left behind the stream, or nothing.
    fn inflate<'a>(
        &mut self,
        mut input: &'a [u8],
        output: &mut impl FnMut(&[u8]) -> Result<(), Fault>,
    ) -> Result<&'a [u8], Fault> {
        loop {
            let done = self.stream.process(input, &mut self.output, Action::Run);
            let done = done.map_err(|error| match error.kind() {
                ErrorKind::OutOfMemory => Fault::XzMemory,
                _ => Fault::Xz(error.to_string()),
            })?;
            input = &input[done.bytes_consumed..];
            output(&self.output[..done.bytes_produced])?;
            if done.status == Status::StreamEnd {
                self.state = State::Behind;
                return Ok(input);
            }
            // A full output may have more behind it, even when no input is left.
            if input.is_empty() && done.bytes_produced < self.output.len() {
                return Ok(input);
            }
            if done.bytes_consumed + done.bytes_produced == 0 {
                return Err(Fault::Xz("it is not valid".to_owned()));
            }
        }
    }

    /// The last stream must be complete.
    pub(super) const fn finish(&self) -> Result<(), Fault> {
        match self.state {
            State::Stream => Err(Fault::Truncated("its xz data")),
            State::Behind => Ok(()),
        }
    }
}

/// A decoder of one stream, which takes no more memory than there may be.
fn stream() -> XzStream {
    XzStream::new_mem_limit(false, XZ_MEMORY_KIB)
}
