//! zstd (RFC 8878), fed with bytes: every frame is read, the ones to be skipped are skipped, and
//! nothing else may follow.

use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation as _, OutBuffer};

use super::OUTPUT;
use super::fault::Fault;
use super::gate::Pass;
use super::limits::WINDOW_LOG_MAX;

/// The beginning of a frame.
pub(super) const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// The beginning of a frame that is skipped, behind a first byte of 0x50 to 0x5f.
pub(super) const SKIPPABLE: [u8; 3] = [0x2a, 0x4d, 0x18];

/// How the library says that a window is too large. It has no other way to tell.
const WINDOW_TOO_LARGE: &str = "Frame requires too much memory for decoding";

/// Reads zstd.
pub(super) struct Unzstd {
    decoder: Decoder<'static>,
    output: Box<[u8]>,
    /// Is a frame begun and not ended?
    within: bool,
    /// The right to hold a window.
    _pass: Pass,
}

impl Unzstd {
    pub(super) fn new(pass: Pass) -> Result<Self, Fault> {
        let mut decoder = Decoder::new().map_err(fault)?;
        decoder
            .set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX))
            .map_err(fault)?;
        Ok(Self {
            decoder,
            output: vec![0; OUTPUT].into(),
            within: false,
            _pass: pass,
        })
    }

    /// Takes the next bytes, and gives `output` what they hold.
    pub(super) fn write(
        &mut self,
        input: &[u8],
        output: &mut impl FnMut(&[u8]) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let mut input = InBuffer::around(input);
        loop {
            let before = input.pos();
            let mut space = OutBuffer::around(&mut self.output[..]);
            let hint = self.decoder.run(&mut input, &mut space).map_err(fault)?;
            let given = space.pos();
            // Without progress the hint is about the next frame, which need not come.
            if input.pos() > before || given > 0 {
                self.within = hint != 0;
            }
            output(&self.output[..given])?;
            // A full output may have more behind it, even when no input is left.
            if input.pos() == input.src.len() && given < self.output.len() {
                return Ok(());
            }
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

fn fault(error: std::io::Error) -> Fault {
    let text = error.to_string();
    if text.contains(WINDOW_TOO_LARGE) {
        return Fault::Window;
    }
    let mut text = text;
    text.get_mut(..1).map(str::make_ascii_lowercase);
    Fault::Zstd(text)
}
