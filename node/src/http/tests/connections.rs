//! The server behind a real socket: how many connections, how long they may be silent.

use super::*;
use crate::config::Config;
use crate::http::Server;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;

/// Serves the node's router on a free port until the sender is dropped or sends true.
async fn serve(node: &Fixture, http: &str) -> (SocketAddr, watch::Sender<bool>, tokio::task::JoinHandle<()>) {
    let text = format!("member = \"north\"\ndata_dir = \".\"\n[http]\nlisten = \"127.0.0.1:0\"\n{http}");
    let config = Config::parse(&text, Path::new(".")).expect("a valid configuration");
    let server = Server::bind_router(&config, node.router()).await.expect("a free port");
    let address = server.address();
    let (stop, stopped) = watch::channel(false);
    (address, stop, tokio::spawn(server.serve(stopped)))
}

async fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.expect("the server listens")
}

/// Asks for the health and returns the head of the answer.
async fn ask(stream: &mut TcpStream) -> String {
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("sent");
    let mut answer = Vec::new();
    while !answer.ends_with(b"ok\n") {
        let mut buffer = [0; 1_024];
        let read = stream.read(&mut buffer).await.expect("readable");
        if read == 0 {
            break;
        }
        answer.extend_from_slice(&buffer[..read]);
    }
    String::from_utf8(answer).expect("text")
}

#[tokio::test]
async fn connections_beyond_the_bound_are_told_and_closed() {
    let node = Fixture::new();
    let (address, _stop, _server) = serve(&node, "connections_max = 2").await;
    let (mut first, mut second) = (connect(address).await, connect(address).await);
    assert!(ask(&mut first).await.starts_with("HTTP/1.1 200"));
    assert!(ask(&mut second).await.starts_with("HTTP/1.1 200"));
    let mut third = connect(address).await;
    let answer = ask(&mut third).await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("retry-after: 1\r\n"), "{answer}");
    let (_, body) = answer.split_once("\r\n\r\n").expect("head and body");
    let body: Value = serde_json::from_str(body).expect("JSON");
    assert_eq!(body["error"]["code"], "overloaded");
    assert!(ask(&mut first).await.starts_with("HTTP/1.1 200"), "those that are served stay");
    drop(second);
    let since = Instant::now();
    loop {
        let mut again = connect(address).await;
        if ask(&mut again).await.starts_with("HTTP/1.1 200") {
            break;
        }
        assert!(since.elapsed() < Duration::from_secs(10), "the place is not given back");
    }
}

#[tokio::test]
async fn silent_and_half_sent_heads_are_closed_in_time() {
    let node = Fixture::new();
    let (address, _stop, _server) = serve(&node, "timeout_ms = 200").await;
    for head in [&b""[..], b"POST /v1/match HT"] {
        let mut stream = connect(address).await;
        stream.write_all(head).await.expect("sent");
        let since = Instant::now();
        let mut answer = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await;
        assert!(read.is_ok(), "the connection stays open");
        assert!(since.elapsed() >= Duration::from_millis(190), "{:?}", since.elapsed());
    }
}

#[tokio::test]
async fn stopping_ends_idle_connections() {
    let node = Fixture::new();
    let (address, stop, server) = serve(&node, "").await;
    let mut stream = connect(address).await;
    assert!(ask(&mut stream).await.starts_with("HTTP/1.1 200"));
    stop.send(true).expect("it is served");
    tokio::time::timeout(Duration::from_secs(10), server).await.expect("in time").expect("no panic");
    assert_eq!(stream.read(&mut [0; 8]).await.expect("closed in order"), 0);
    assert!(TcpStream::connect(address).await.is_err());
}
