use std::cell::{Cell, RefCell};
use std::io;

use super::directory::Step;

/// Where the next save fails, and which steps were taken.
#[derive(Debug, Default)]
pub(super) struct Faults {
    pub(super) fail_before: Cell<Option<Step>>,
    pub(super) taken: RefCell<Vec<Step>>,
}

impl Faults {
    pub(super) fn before(&self, step: Step) -> io::Result<()> {
        if self.fail_before.get() == Some(step) {
            return Err(io::Error::other("a fault that the test put there"));
        }
        self.taken.borrow_mut().push(step);
        Ok(())
    }
}
