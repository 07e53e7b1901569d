//! bzip2, fed with bytes: every stream is read, and nothing but zeros may follow.

use bzip2::{Decompress, Status};

use super::OUTPUT;
use super::fault::Fault;

/// The beginning of a stream; a digit and the beginning of a block, or of the end of a stream without any, follow.
pub(super) const MAGIC: [u8; 3] = *b"BZh";
pub(super) const BLOCK: [u8; 6] = [0x31, 0x41, 0x59, 0x26, 0x53, 0x59];
pub(super) const END: [u8; 6] = [0x17, 0x72, 0x45, 0x38, 0x50, 0x90];

/// Reads bzip2.
pub(super) struct Bunzip2 {
    /// A stream takes 4 MiB at most.
    stream: Decompress,
    output: Box<[u8]>,
    state: State,
}

/// What comes next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// More of a stream.
    Stream,
    /// Another stream, zeros, or the end.
    Behind,
    /// Zeros.
    Zeros,
}

impl Bunzip2 {
    pub(super) fn new() -> Self {
        Self {
            stream: Decompress::new(false),
            output: vec![0; OUTPUT].into(),
            state: State::Stream,
        }
    }

    /// Takes the next bytes, and gives `output` what they hold.
    pub(super) fn write(
        &mut self,
        mut input: &[u8],
        output: &mut impl FnMut(&[u8]) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        while let Some(first) = input.first() {
            match (self.state, first) {
                (State::Stream, _) => input = self.inflate(input, output)?,
                (State::Behind, b'B') => {
                    self.stream = Decompress::new(false);
                    self.state = State::Stream;
                }
                (State::Behind | State::Zeros, 0) => {
                    self.state = State::Zeros;
                    let end = input.iter().position(|&b| b != 0);
                    input = &input[end.unwrap_or(input.len())..];
                }
                _ => return Err(Fault::Behind("bzip2")),
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
        let difference = |after: u64, before: u64| usize::try_from(after - before).unwrap_or(0);
        loop {
            let before = (self.stream.total_in(), self.stream.total_out());
            let status = self.stream.decompress(input, &mut self.output);
            let status = status.map_err(|_| Fault::Bzip2("it is not valid"))?;
            let taken = difference(self.stream.total_in(), before.0);
            let given = difference(self.stream.total_out(), before.1);
            input = &input[taken..];
            output(&self.output[..given])?;
            match status {
                Status::StreamEnd => {
                    self.state = State::Behind;
                    return Ok(input);
                }
                Status::MemNeeded => return Err(Fault::Bzip2("there is not enough memory")),
                // A full output may have more behind it, even when no input is left.
                _ if given < self.output.len() && input.is_empty() => return Ok(input),
                _ if taken + given == 0 => return Err(Fault::Bzip2("it is not valid")),
                _ => {}
            }
        }
    }

    /// The last stream must be complete.
    pub(super) const fn finish(&self) -> Result<(), Fault> {
        match self.state {
            State::Stream => Err(Fault::Truncated("its bzip2 data")),
            State::Behind | State::Zeros => Ok(()),
        }
    }
}
