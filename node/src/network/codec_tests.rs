//! The codec over bytes in memory.

use super::*;
use crate::network::budget::{Counter, Fault};
use hashpact_protocol::keys::SecretKey;
use libp2p::futures::io::Cursor;
use libp2p::request_response::Codec as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::mpsc;

struct Bench {
    codec: SyncCodec,
    account: Arc<Account>,
    faults: mpsc::Receiver<Fault>,
}

fn bench(max_bytes: usize) -> Bench {
    let (sender, faults) = mpsc::channel(4);
    let total = Arc::new(Counter::new(max_bytes));
    let account = Arc::new(Account {
        peer: SecretKey::from_seed([1; 32]).public(),
        inbound: Direction::new(max_bytes, Arc::clone(&total)),
        outbound: Direction::new(max_bytes, total),
        faults: sender,
    });
    let opening = Arc::new(Opening::default());
    let original = SyncCodec::new(Arc::clone(&opening));
    let codec = opening.with(Arc::clone(&account), || original.clone());
    Bench { codec, account, faults }
}

fn framed(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).expect("short");
    [length.to_be_bytes().as_slice(), bytes].concat()
}

/// Gives out its bytes one at a time, then stays silent or ends.
struct Trickle {
    bytes: std::vec::IntoIter<u8>,
    ends: bool,
}

impl AsyncRead for Trickle {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match self.bytes.next() {
            Some(byte) => {
                buffer[0] = byte;
                Poll::Ready(Ok(1))
            }
            None if self.ends => Poll::Ready(Ok(0)),
            None => Poll::Pending,
        }
    }
}

#[tokio::test]
async fn messages_survive_any_chunking_and_are_charged_while_they_live() {
    let Bench { mut codec, account, .. } = bench(1 << 20);
    let mut wire_bytes = Cursor::new(Vec::new());
    let bytes = wire::encode_request(&Request::Heads).expect("valid");
    let hold = Hold::of(&account.outbound, bytes.len()).expect("fits");
    let parcel = Parcel::Outgoing { bytes, hold: Some(hold) };
    codec.write_request(&PROTOCOL, &mut wire_bytes, parcel).await.expect("memory takes it");
    assert_eq!(account.outbound.held_bytes(), 0, "given back once it is written");
    assert_eq!(wire_bytes.get_ref(), &framed(&[1]), "SPEC §10: length, then the message");

    let mut trickle = Trickle { bytes: wire_bytes.into_inner().into_iter(), ends: true };
    let read = codec.read_request(&PROTOCOL, &mut trickle).await.expect("valid");
    let Parcel::Incoming { message, hold } = read else { panic!("read parcels are incoming") };
    assert_eq!(message, Request::Heads);
    assert_eq!(account.inbound.held_bytes(), 1);
    drop(hold);
    assert_eq!(account.inbound.held_bytes(), 0);
}

/// Reads a response from `bytes` and gives the error's text, the reported fault and whether it counts
/// as malformed.
async fn refused(max_bytes: usize, bytes: Vec<u8>) -> (String, Option<(&'static str, bool)>, bool) {
    let Bench { mut codec, account, mut faults } = bench(max_bytes);
    let error = codec.read_response(&PROTOCOL, &mut Cursor::new(bytes)).await.expect_err("must be refused");
    assert_eq!(account.inbound.held_bytes(), 0, "a refused message holds nothing");
    let fault = faults.try_recv().ok().map(|fault| (fault.rule, fault.is_deliberate));
    let frame = error.get_ref().and_then(|inner| inner.downcast_ref::<FrameError>());
    let is_malformed = frame.is_some_and(FrameError::is_malformed);
    (error.to_string(), fault, is_malformed)
}

#[tokio::test]
async fn every_broken_rule_has_its_label() {
    let over = u32::try_from(WIRE_RESPONSE_MAX_BYTES).expect("fits") + 1;
    let (text, fault, is_malformed) = refused(1 << 20, over.to_be_bytes().to_vec()).await;
    assert!(text.contains("2097153") && text.contains("2097152"), "{text}");
    assert_eq!((fault, is_malformed), (Some(("frame_too_long", true)), true));

    let (_, fault, is_malformed) = refused(1 << 20, u32::MAX.to_be_bytes().to_vec()).await;
    assert_eq!((fault, is_malformed), (Some(("frame_too_long", true)), true));

    let ack = wire::encode_response(&Response::Ack).expect("valid");
    let (_, fault, is_malformed) = refused(1 << 20, [framed(&ack), vec![0]].concat()).await;
    assert_eq!((fault, is_malformed), (Some(("frame_trailing_bytes", true)), true));

    let (_, fault, is_malformed) = refused(1 << 20, framed(&[0xee; 40])).await;
    assert_eq!((fault, is_malformed), (Some(("message_malformed", true)), true));

    let (_, fault, is_malformed) = refused(1 << 20, framed(&[])).await;
    assert_eq!((fault, is_malformed), (Some(("message_malformed", true)), true));

    let mut cut = framed(&[2; 40]);
    cut.truncate(20);
    let (text, fault, is_malformed) = refused(1 << 20, cut).await;
    assert!(text.contains("16 of 40"), "{text}");
    assert_eq!((fault, is_malformed), (Some(("frame_truncated", false)), false));

    let (_, fault, _) = refused(1 << 20, vec![0, 0]).await;
    assert_eq!(fault, Some(("frame_truncated", false)));

    let (_, fault, is_malformed) = refused(1 << 20, Vec::new()).await;
    assert_eq!((fault, is_malformed), (None, false), "silence breaks no rule");

    let (_, fault, is_malformed) = refused(30_000, framed(&vec![2; 40_000])).await;
    assert_eq!((fault, is_malformed), (Some(("bytes_in_flight", false)), false));
}

#[tokio::test]
async fn an_announcement_alone_holds_one_small_buffer() {
    let Bench { mut codec, account, .. } = bench(64 << 20);
    let protocol = PROTOCOL;
    let announced = u32::try_from(WIRE_RESPONSE_MAX_BYTES).expect("fits");
    let mut silent = Trickle { bytes: announced.to_be_bytes().to_vec().into_iter(), ends: false };
    {
        let mut reading = std::pin::pin!(codec.read_response(&protocol, &mut silent));
        let mut context = Context::from_waker(std::task::Waker::noop());
        assert!(reading.as_mut().poll(&mut context).is_pending());
        assert_eq!(account.inbound.held_bytes(), FIRST_RESERVE_BYTES);
    }
    assert_eq!(account.inbound.held_bytes(), 0, "and nothing once the request timed out");

    // What is held stays within twice what came.
    let came = 100_000;
    let bytes = [announced.to_be_bytes().to_vec(), vec![0; came]].concat();
    let mut silent = Trickle { bytes: bytes.into_iter(), ends: false };
    let mut reading = std::pin::pin!(codec.read_response(&protocol, &mut silent));
    let mut context = Context::from_waker(std::task::Waker::noop());
    assert!(reading.as_mut().poll(&mut context).is_pending());
    assert!((came..=2 * came).contains(&account.inbound.held_bytes()));
}

#[tokio::test]
async fn a_codec_without_a_connection_reads_nothing() {
    let mut codec = SyncCodec::new(Arc::new(Opening::default())).clone();
    let error = codec.read_request(&PROTOCOL, &mut Cursor::new(framed(&[1]))).await.expect_err("no account");
    assert!(error.to_string().contains("no connection"), "{error}");
}
