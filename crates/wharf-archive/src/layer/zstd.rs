//! zstd (RFC 8878), fed with bytes: every frame is read, the ones to be skipped are skipped, and
//! nothing but zeros may follow.

use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation as _, OutBuffer};

use super::OUTPUT;
use super::fault::Fault;
use super::gate::Pass;
use super::limits::WINDOW_LOG_MAX;
use super::seek::{Kept, Point};

/// The beginning of a frame.
pub(super) const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// The beginning of a frame that is skipped, behind a first byte of 0x50 to 0x5f.
pub(super) const SKIPPABLE: [u8; 3] = [0x2a, 0x4d, 0x18];

/// How the library says that a window is too large. It has no other way to tell.
const WINDOW_TOO_LARGE: &str = "Frame requires too much memory for decoding";

/// How far points are from each other at least, in bytes of the archive: they need no window, so there can
/// be more of them than of gzip's, and frames are small where somebody wants to read single ones.
const INTERVAL: u64 = 1 << 20;

/// Reads zstd.
pub(super) struct Unzstd {
    decoder: Decoder<'static>,
    output: Box<[u8]>,
    /// Is a frame begun and not ended?
    within: bool,
    /// Zeros have begun behind the last frame.
    zeros: bool,
    /// How many bytes came before, and how many were given.
    position: (u64, u64),
    /// The beginnings of frames, if they are wanted. The first one needs none.
    frames: Option<Kept>,
    /// The right to hold a window.
    _pass: Pass,
}

impl Unzstd {
    /// With `marking`, it remembers points to unpack from.
    pub(super) fn new(pass: Pass, marking: bool) -> Result<Self, Fault> {
        Ok(Self {
            decoder: decoder().map_err(fault)?,
            output: vec![0; OUTPUT].into(),
            within: false,
            zeros: false,
            position: (0, 0),
            frames: marking.then(|| Kept::new(INTERVAL)),
            _pass: pass,
        })
    }

    /// The points, once everything has passed.
    pub(super) fn points(&mut self) -> Vec<Point> {
        self.frames.as_mut().map(Kept::take).unwrap_or_default()
    }

    /// Takes the next bytes, and gives `output` what they hold.
    pub(super) fn write(
        &mut self,
        input: &[u8],
        output: &mut impl FnMut(&[u8]) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        if self.zeros || self.ended() && input.first() == Some(&0) {
            self.zeros = true;
            let only = input.iter().all(|&b| b == 0);
            return if only {
                Ok(())
            } else {
                Err(Fault::Behind("zstd"))
            };
        }
        let mut input = InBuffer::around(input);
        loop {
            let before = input.pos();
            let mut space = OutBuffer::around(&mut self.output[..]);
            let hint = self.decoder.run(&mut input, &mut space).map_err(fault)?;
            let given = space.pos();
            // Without progress the hint is about the next frame, which need not come.
            if input.pos() > before || given > 0 {
                if !self.within {
                    self.frame_begins();
                }
                self.within = hint != 0;
                self.position.0 += (input.pos() - before) as u64;
                self.position.1 += given as u64;
            }
            let rest = &input.src[input.pos()..];
            if self.ended() && rest.first() == Some(&0) {
                output(&self.output[..given])?;
                return self.write(rest, output);
            }
            output(&self.output[..given])?;
            // A full output may have more behind it, even when no input is left.
            if input.pos() == input.src.len() && given < self.output.len() {
                return Ok(());
            }
        }
    }

    /// Tells whether a frame has ended and none has begun.
    const fn ended(&self) -> bool {
        !self.within && self.position.0 > 0
    }

    /// A frame has begun where the last bytes that were read end.
    fn frame_begins(&mut self) {
        let (packed, unpacked) = self.position;
        if let Some(frames) = self.frames.as_mut().filter(|kept| kept.wants(unpacked)) {
            frames.push(Point {
                packed,
                unpacked,
                zstd: true,
                bits: 0,
                byte: 0,
                window: Vec::new(),
            });
        }
    }

    /// The last frame must be complete.
    pub(super) fn finish(&self) -> Result<(), Fault> {
        if self.within {
            Err(Fault::Truncated("its zstd data"))
        } else {
            Ok(())
        }
    }
}

/// A decoder that takes no larger window than there may be.
pub(super) fn decoder() -> std::io::Result<Decoder<'static>> {
    let mut decoder = Decoder::new()?;
    decoder.set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX))?;
    Ok(decoder)
}

fn fault(error: std::io::Error) -> Fault {
    let text = error.to_string();
    if text.contains(WINDOW_TOO_LARGE) {
        return Fault::Window;
    }
    let mut text = text;
    text.get_mut(..1).map(str::make_ascii_lowercase);
    Fault::Zstd(text)
}
