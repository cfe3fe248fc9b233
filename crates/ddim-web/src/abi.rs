//! What the module exports and imports: numbers, and the bytes that they point to. `assets/worker.js` is the other side.
//!
//! A call hands over bytes that were written into [`ddim_alloc`]'s memory; whoever takes them frees them. What is given back is lent: it is copied before the
//! import returns.
#![allow(unsafe_code)]

use crate::calls::{Given, answer};
use std::path::Path;
use std::sync::Once;

#[link(wasm_import_module = "ddim")]
unsafe extern "C" {
    /// Seconds since some moment.
    safe fn now() -> f64;
    /// Whether whoever waits has asked for an end: 0 or 1.
    safe fn stopped() -> u32;
    /// Hands over bytes: 0 an event, 1 an image, 2 an array, 3 the answer, 4 what a panic said.
    fn give(what: u32, bytes: *const u8, len: usize);
}

fn hand_over(what: u32, bytes: &[u8]) {
    // SAFETY: the other side reads these `len` bytes before it returns, and keeps no pointer to them.
    unsafe { give(what, bytes.as_ptr(), bytes.len()) }
}

/// What the engine wants of its surroundings, before anything else.
fn prepare() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        ddim_engine::set_clock(|| now());
        // What follows a panic is a trap without words.
        std::panic::set_hook(Box::new(|panic| hand_over(4, panic.to_string().as_bytes())));
    });
}

/// Zeroed memory for `len` bytes, to be written and handed to [`ddim_put`] or [`ddim_call`].
#[unsafe(no_mangle)]
extern "C" fn ddim_alloc(len: usize) -> *mut u8 {
    prepare();
    Box::into_raw(vec![0_u8; len].into_boxed_slice()).cast::<u8>()
}

/// Takes back what [`ddim_alloc`] gave.
///
/// # Safety
/// `at` came from `ddim_alloc(len)`, with this very `len`, and is not used again.
unsafe fn taken(at: *mut u8, len: usize) -> Box<[u8]> {
    // SAFETY: as the caller says; a box of `len` bytes is what `ddim_alloc` made of one.
    unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(at, len)) }
}

/// Puts a file into memory under a name, UTF-8: the weights of a model, `emoji/unet/diffusion_pytorch_model.safetensors`.
///
/// # Safety
/// Both came from [`ddim_alloc`] with these lengths, and are not used again.
#[unsafe(no_mangle)]
unsafe extern "C" fn ddim_put(name: *mut u8, name_len: usize, bytes: *mut u8, len: usize) {
    // SAFETY: as the caller says of both.
    let (name, bytes) = unsafe { (taken(name, name_len), taken(bytes, len)) };
    ddim_engine::memory::put(Path::new(&*String::from_utf8_lossy(&name)), &bytes);
}

/// Answers a call, through the imports.
///
/// # Safety
/// `call` came from [`ddim_alloc`] with this length, and is not used again.
#[unsafe(no_mangle)]
unsafe extern "C" fn ddim_call(call: *mut u8, len: usize) {
    // SAFETY: as the caller says.
    let call = unsafe { taken(call, len) };
    let mut give = |what, bytes: &[u8]| {
        let what = match what {
            Given::Event => 0,
            Given::Image => 1,
            Given::Array => 2,
            Given::Answer => 3,
        };
        hand_over(what, bytes);
    };
    answer(&call, &mut give, &|| stopped() != 0);
}
