//! Panics are bugs of ours. One ends the task that it is in; here it is counted, and told in the journal.

use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicU64, Ordering};

/// The hook is one for the whole process, and so is its count.
static COUNT: AtomicU64 = AtomicU64::new(0);

/// What stands for a message that was put together while the program ran.
const WITHHELD: &str = "message not shown: it may quote what somebody sent";

/// Tells of panics in the journal from now on, instead of on standard error.
pub fn install() {
    std::panic::set_hook(Box::new(|panic| {
        COUNT.fetch_add(1, Ordering::Relaxed);
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!("panicked at {place} ({}): a bug, please report it", message(panic));
    }));
}

/// Panics since the start of the process.
#[must_use]
pub fn count() -> u64 {
    COUNT.load(Ordering::Relaxed)
}

/// The message, when it is a constant of the program. One that was formatted holds values, such as the text that was no
/// number or the bytes that were too few, and what they are cannot be known.
fn message<'a>(panic: &'a PanicHookInfo<'_>) -> &'a str {
    panic.payload().downcast_ref::<&'static str>().copied().unwrap_or(WITHHELD)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One test, because the hook is the process's: other tests that panic on purpose only add to the count.
    #[test]
    fn panics_are_counted_and_only_constant_messages_are_told() {
        use std::sync::{Arc, Mutex};
        let told = Arc::new(Mutex::new(Vec::new()));
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new({
            let told = Arc::clone(&told);
            move |panic| {
                if panic.location().is_some_and(|place| place.file().ends_with("panics.rs")) {
                    told.lock().expect("no panic").push(message(panic).to_owned());
                }
            }
        }));
        let secret = std::hint::black_box("hunter2");
        let _constant = std::thread::spawn(|| panic!("a constant")).join();
        let _formatted = std::thread::spawn(move || panic!("not a number: {secret}")).join();
        install();
        let counted = count();
        let _counted = std::thread::spawn(|| panic!("on purpose")).join();
        assert!(count() > counted);
        std::panic::set_hook(before);
        assert_eq!(*told.lock().expect("no panic"), ["a constant", WITHHELD]);
    }
}
