//! Work that is done on all cores at once.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Runs `work` for each of `count` numbers, on all cores. Whoever is done with one takes the next.
pub(crate) fn spread(count: usize, work: impl Fn(usize) + Sync) {
    let next = AtomicUsize::new(0);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    work(number);
                }
            });
        }
    });
}
