//! A log key that somebody else holds, who does not always answer.

use super::*;
use hashpact_protocol::keys::{RemoteSigner, Signature, Signer};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

struct Elsewhere {
    answers: AtomicBool,
}

impl RemoteSigner for Elsewhere {
    fn sign(&self, message: &[u8]) -> Option<Signature> {
        self.answers.load(Ordering::Relaxed).then(|| key().sign(message))
    }
}

/// A log whose signer answers or not, as told.
fn bench() -> (Bench, Arc<Elsewhere>) {
    let elsewhere = Arc::new(Elsewhere { answers: AtomicBool::new(true) });
    let mut bench = Bench::new();
    bench.own.key = Some(Signer::remote(key().public(), Arc::clone(&elsewhere) as Arc<dyn RemoteSigner>));
    bench.effects();
    (bench, elsewhere)
}

#[test]
fn a_batch_without_a_signature_stays_unseen_until_there_is_one() {
    let (mut bench, elsewhere) = bench();
    elsewhere.answers.store(false, Ordering::Relaxed);
    let request = bench.send(Ask::records(2), NOW_MS);
    let batch = written(&bench.effects()).expect("a batch");
    bench.own.written(&leaves(&batch), &mut bench.out).expect("read back as written");
    assert!(bench.effects().is_empty(), "neither lock nor head nor answer");
    assert_eq!(bench.own.blocked(), Some(WAITING_FOR_SIGNER));
    bench.own.tick(NOW_MS + 500, &mut bench.out);
    assert!(bench.effects().is_empty(), "asked again, in vain");
    // What comes meanwhile waits behind it.
    let waiting = bench.send(Ask::records(1), NOW_MS + 600);
    assert!(written(&bench.effects()).is_none());
    // Another role raised the generation meanwhile: the lock never goes back.
    let raised = bench.own.next_generation();
    bench.own.raise_lock(raised, &mut bench.out);
    bench.effects();
    elsewhere.answers.store(true, Ordering::Relaxed);
    bench.own.tick(NOW_MS + 1_000, &mut bench.out);
    let effects = bench.effects();
    let [Effect::WriteLock { lock, .. }] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!((lock.size, lock.generation), (2, raised));
    SignedCheckpoint::verify(&lock.note, ORIGIN, &key().public()).expect("signed");
    assert_eq!(bench.own.blocked(), None);
    bench.own.lock_written(NOW_MS + 1_000, &mut bench.out).expect("lock under way");
    let effects = bench.effects();
    assert!(matches!(&answers(&effects)[..], [(answered, Ok(_))] if *answered == request));
    let next = written(&effects).expect("the next batch");
    assert_eq!(next.start, 2);
    let answered = answers(&bench.store(&next, NOW_MS + 1_000));
    assert!(matches!(&answered[..], [(answered, Ok(_))] if *answered == waiting));
}
