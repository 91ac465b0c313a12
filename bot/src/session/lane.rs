//! The pace of one chat. Telegram's FAQ: about one message a second in a chat, 20 a minute in a group.

use std::time::Duration;

use crate::message::ChatId;

/// Messages at once and time for one more, in a private chat.
const PRIVATE: (u32, Duration) = (5, Duration::from_secs(1));
/// The same in a group.
const GROUP: (u32, Duration) = (10, Duration::from_secs(3));
/// First and longest wait before a chat that could not be written to is tried again.
const CLOSED: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(15 * 60));
/// How long after it was used last a chat is forgotten: more than the longest wait.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60 * 60);

/// Permits that come back with time.
#[derive(Debug)]
pub(super) struct Bucket {
    size: u32,
    every: Duration,
    /// When it is, or was, full again.
    full_at: Duration,
}

impl Bucket {
    pub(super) const fn new(size: u32, every: Duration) -> Self {
        Self { size, every, full_at: Duration::ZERO }
    }

    /// How long until there is a permit.
    pub(super) fn wait(&self, now: Duration) -> Duration {
        let missing = self.full_at.saturating_sub(now);
        (missing + self.every).saturating_sub(self.every * self.size)
    }

    /// Takes a permit that [`Self::wait`] said is there.
    pub(super) fn take(&mut self, now: Duration) {
        self.full_at = self.full_at.max(now) + self.every;
    }
}

/// What one chat can take.
#[derive(Debug)]
pub(super) struct Lane {
    bucket: Bucket,
    /// One call at a time, so that what is seen is in order.
    is_busy: bool,
    not_before: Duration,
    /// How long was waited last for a chat that cannot be written to; `None` while it can.
    closed: Option<Duration>,
}

impl Lane {
    pub(super) const fn new(chat: ChatId) -> Self {
        let (size, every) = if chat.0 > 0 { PRIVATE } else { GROUP };
        Self { bucket: Bucket::new(size, every), is_busy: false, not_before: Duration::ZERO, closed: None }
    }

    pub(super) fn is_free(&self, now: Duration) -> bool {
        self.free_at(now).is_some_and(|at| at <= now)
    }

    /// When the next call may go; `None` while one is under way.
    pub(super) fn free_at(&self, now: Duration) -> Option<Duration> {
        (!self.is_busy).then(|| self.not_before.max(now + self.bucket.wait(now)))
    }

    pub(super) fn take(&mut self, now: Duration) {
        self.bucket.take(now);
        self.is_busy = true;
    }

    pub(super) const fn done(&mut self) {
        self.is_busy = false;
    }

    pub(super) fn wait_until(&mut self, at: Duration) {
        self.not_before = self.not_before.max(at);
    }

    pub(super) fn closed(&mut self, now: Duration) {
        let wait = self.closed.map_or(CLOSED.0, |last| (last * 2).min(CLOSED.1));
        self.closed = Some(wait);
        self.wait_until(now + wait);
    }

    pub(super) const fn opened(&mut self) {
        self.closed = None;
    }

    /// It can be written to after all.
    pub(super) const fn heard(&mut self) {
        self.closed = None;
        self.not_before = Duration::ZERO;
    }

    /// Whether nothing was sent there for so long that it need not be known.
    pub(super) fn is_long_idle(&self, now: Duration) -> bool {
        !self.is_busy && self.not_before.max(self.bucket.full_at) + FORGOTTEN_AFTER < now
    }

    pub(super) const fn is_closed(&self) -> bool {
        self.closed.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_size_at_once_and_then_one_at_a_time() {
        let mut bucket = Bucket::new(3, Duration::from_secs(2));
        let now = Duration::from_secs(100);
        for _ in 0..3 {
            assert_eq!(bucket.wait(now), Duration::ZERO);
            bucket.take(now);
        }
        assert_eq!(bucket.wait(now), Duration::from_secs(2));
        let later = now + Duration::from_secs(2);
        assert_eq!(bucket.wait(later), Duration::ZERO);
        bucket.take(later);
        assert_eq!(bucket.wait(later), Duration::from_secs(2));
        assert_eq!(bucket.wait(later + Duration::from_secs(60)), Duration::ZERO);
    }

    #[test]
    fn a_closed_chat_is_tried_less_and_less_and_opens_at_once() {
        let mut lane = Lane::new(ChatId(7));
        let mut now = Duration::from_secs(5);
        let mut waits = vec![];
        for _ in 0..6 {
            lane.take(now);
            lane.done();
            lane.closed(now);
            let at = lane.free_at(now).expect("no call is under way");
            waits.push((at - now).as_secs());
            now = at;
        }
        assert_eq!(waits, [60, 120, 240, 480, 900, 900]);
        lane.opened();
        assert!(!lane.is_closed());
    }
}
