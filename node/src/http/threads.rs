//! Threads of their own for HTTP.
//!
//! Peers' messages are decrypted, unpacked, checked and written on the other threads, a megabyte at a time; a
//! look-up that shared them would wait behind that. Here it waits behind other requests only, and the
//! system gives threads that mostly wait their turn at once.

use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

/// How long requests that are still worked on may take when the node ends.
const ENDING: Duration = Duration::from_secs(5);

/// The threads; joined when dropped.
#[derive(Debug)]
pub struct HttpThreads(Option<Runtime>);

impl HttpThreads {
    /// As many as there are processors.
    ///
    /// # Errors
    /// The system gives no threads.
    pub fn start() -> std::io::Result<Self> {
        Ok(Self(Some(Builder::new_multi_thread().thread_name("http").enable_all().build()?)))
    }

    /// Works on them. Sockets belong to the threads on which they are bound.
    pub fn spawn<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        self.0.as_ref().expect("there until dropped").spawn(work)
    }
}

impl Drop for HttpThreads {
    /// What the threads hold of the database must be let go before the process ends.
    fn drop(&mut self) {
        let Some(runtime) = self.0.take() else { return };
        // Another thread, because a runtime must not be waited for on one that belongs to a runtime.
        let ended = std::thread::spawn(move || runtime.shutdown_timeout(ENDING));
        let _ = ended.join();
    }
}
