//! Going away without anybody noticing: clients are told one after the other, so that the next server is not run over,
//! and each goes on here until it is ready there (clause `drain.handover`).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// How much time a server gives its clients; what is `None` goes by how many there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DrainOptions {
    /// Over how long the clients are told. By default 10 ms for each, but at least 250 ms and at most 20 s.
    pub window: Option<Duration>,
    /// After how long those that are still here are sent away. By default 5 s after the window.
    pub deadline: Option<Duration>,
    /// How long a client whose session another server has by now may take to leave by itself. By default 1 s.
    pub leaving: Duration,
    /// How long the work behind answers may go on when all clients are gone. Only a log that outlives this process gives
    /// anybody something of it.
    pub answers: Duration,
    /// Where clients are asked to go, as a WebSocket URL.
    pub alternate: Option<String>,
}

impl Default for DrainOptions {
    fn default() -> Self {
        Self {
            window: None,
            deadline: None,
            leaving: Duration::from_secs(1),
            answers: Duration::from_secs(30),
            alternate: None,
        }
    }
}

/// A drain that has begun.
#[derive(Debug)]
pub(crate) struct Drain {
    began: Instant,
    window: Duration,
    connections: usize,
    told: AtomicUsize,
    /// When the last is sent away.
    pub(crate) deadline: Instant,
}

impl Drain {
    /// Begins now, with so many connections.
    pub(crate) fn begin(options: &DrainOptions, connections: usize) -> Self {
        const EACH: Duration = Duration::from_millis(10);
        const WINDOW: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(20));
        const AFTER: Duration = Duration::from_secs(5);
        let count = u32::try_from(connections).unwrap_or(u32::MAX);
        let scaled = || EACH.saturating_mul(count).clamp(WINDOW.0, WINDOW.1);
        let window = options.window.unwrap_or_else(scaled);
        let began = Instant::now();
        let deadline = began + options.deadline.unwrap_or(window + AFTER);
        // Nobody is told after the end.
        let window = window.min(deadline - began);
        Self { began, window, connections: connections.max(1), told: AtomicUsize::new(0), deadline }
    }

    /// When the next connection that asks is told: each has its own part of the window.
    pub(crate) fn slot(&self) -> Instant {
        let number = self.told.fetch_add(1, Ordering::Relaxed).min(self.connections);
        self.began + self.window.mul_f64(number as f64 / self.connections as f64)
    }

    /// Within how long after that it is to dial: its own part of the window, and not so soon that many meet in one tick.
    pub(crate) fn reconnect_after(&self) -> (Duration, Duration) {
        const AT_MOST: Duration = Duration::from_millis(500);
        let part = self.window.div_f64(self.connections as f64);
        (Duration::ZERO, part.clamp(self.window.min(Duration::from_millis(50)), AT_MOST))
    }

    /// Over how long clients are told.
    pub(crate) fn window(&self) -> Duration {
        self.window
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn connections_are_told_one_after_the_other_over_the_window() {
        let drain = Drain::begin(&DrainOptions::default(), 100);
        assert_eq!(drain.window(), Duration::from_secs(1));
        assert_eq!(drain.deadline - Instant::now(), Duration::from_secs(6));
        let slots: Vec<Duration> = (0..100).map(|_| drain.slot() - Instant::now()).collect();
        assert_eq!(slots[0], Duration::ZERO);
        assert!(slots.windows(2).all(|pair| pair[0] < pair[1]), "{slots:?}");
        assert!(slots[99] < Duration::from_secs(1));
        // One that was not counted is not left out.
        assert_eq!(drain.slot() - Instant::now(), Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn the_window_scales_within_bounds_and_ends_before_the_deadline() {
        let window = |options: &DrainOptions, connections| Drain::begin(options, connections).window();
        assert_eq!(window(&DrainOptions::default(), 0), Duration::from_millis(250));
        assert_eq!(window(&DrainOptions::default(), 1 << 20), Duration::from_secs(20));
        let short = DrainOptions { deadline: Some(Duration::from_secs(1)), ..DrainOptions::default() };
        assert_eq!(window(&short, 1 << 20), Duration::from_secs(1));
        let none = DrainOptions { window: Some(Duration::ZERO), ..DrainOptions::default() };
        let drain = Drain::begin(&none, 9);
        assert_eq!((drain.slot(), drain.reconnect_after()), (Instant::now(), (Duration::ZERO, Duration::ZERO)));
    }
}
