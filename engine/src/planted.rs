//! Mistakes that are made on purpose, so that the simulator can show that it finds them.
//!
//! Each is asked for at the one place where somebody might make it: `planted(Bug::…)`. Without the feature `planted-bugs`
//! the answer is always no, known to the compiler, and nothing of this is left in the program.

/// Lists the mistakes: what is wrong, how it is called, and the name by which it is chosen.
macro_rules! bugs {
    ($($(#[doc = $what:literal])+ $bug:ident = $name:literal,)+) => {
        /// A mistake that can be planted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Bug {
            $($(#[doc = $what])+ $bug,)+
        }

        #[cfg(feature = "planted-bugs")]
        impl Bug {
            /// All of them.
            pub const ALL: &[Bug] = &[$(Bug::$bug),+];

            /// The name by which it is chosen.
            pub fn name(self) -> &'static str {
                match self {
                    $(Bug::$bug => $name,)+
                }
            }
        }
    };
}

bugs! {
    /// A commit is acknowledged before it is synced, and a crash takes it back. The simulated store asks for this one.
    AckBeforeSync = "ack-before-sync",
    /// An effect begins before its attempt is on record.
    EffectBeforeRecord = "effect-before-record",
    /// The loop thinks that it is a tick later than it is when it looks for timers.
    TimerEarly = "timer-early",
    /// A timer that has no row is not held in memory.
    TimerForgotten = "timer-forgotten",
    /// A branch or iteration that is gone leaves its timer row behind.
    TimerLeft = "timer-left",
    /// The idempotency key of an attempt depends on its number.
    KeyChanges = "key-changes",
    /// Who asks for an explicit key that another step holds gets it.
    KeyShared = "key-shared",
    /// A run that begins to wait does not look at what has arrived since it began.
    EventLost = "event-lost",
    /// Only the first of those that wait for an event is told.
    WakeOne = "wake-one",
    /// The losers of a race go on.
    LoserKept = "loser-kept",
    /// An attempt that is given up is not stopped.
    AttemptNotStopped = "attempt-not-stopped",
    /// A run that has ended still listens.
    DoubleFinish = "double-finish",
    /// A cancel request is not looked for after a restart.
    CancelForgotten = "cancel-forgotten",
    /// A child's end does not put the parent into the queue.
    ParentNotWoken = "parent-not-woken",
    /// An attempt that was cut off by a crash is not made again.
    CutOffForgotten = "cut-off-forgotten",
    /// A policy allows one more attempt than it says.
    OneAttemptMore = "one-attempt-more",
    /// The sender's id of an event is not remembered.
    IdNotRemembered = "id-not-remembered",
    /// A schedule is read in UTC, whatever its zone.
    CronInUtc = "cron-in-utc",
    /// What a failed commit was to announce is done all the same.
    FailureIgnored = "failure-ignored",
    /// What comes into the queue while it is being read is not looked for.
    QueueOverlooked = "queue-overlooked",
    /// A run that parks keeps its slot.
    SlotKept = "slot-kept",
    /// Of the runs in a queue, the one with the smallest priority goes first.
    PriorityReversed = "priority-reversed",
    /// A key of `unique` is free again when the `finally` of its run begins.
    UniqueFreed = "unique-freed",
    /// The keys of `idempotency` are not there any more after a restart.
    KeysForgotten = "keys-forgotten",
    /// The window of a `rate_limit` does not slide: it begins with a start, and a new one begins behind its end.
    RateWindowStands = "rate-window-stands",
    /// An invoked run goes before the run that invoked it.
    ChildPruned = "child-pruned",
    /// An event goes that an open run may look for.
    EventPruned = "event-pruned",
    /// How far a pace has come is not written down.
    PaceForgotten = "pace-forgotten",
    /// A run that has stood in line for too long begins all the same.
    LateStart = "late-start",
    /// Of the frames that changed only the first is written.
    FrameNotWritten = "frame-not-written",
}

#[cfg(feature = "planted-bugs")]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Bug>> = const { std::cell::Cell::new(None) };
}

/// Plants a mistake, or none, in every engine that the present thread runs.
#[cfg(feature = "planted-bugs")]
pub fn plant(bug: Option<Bug>) {
    PLANTED.set(bug);
}

/// Whether this mistake is to be made.
#[cfg(feature = "planted-bugs")]
pub fn planted(bug: Bug) -> bool {
    PLANTED.get() == Some(bug)
}

/// Whether this mistake is to be made: never.
#[cfg(not(feature = "planted-bugs"))]
#[inline]
pub(crate) const fn planted(_: Bug) -> bool {
    false
}
