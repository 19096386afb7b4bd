//! The router without a socket, on a real store and a real engine; only the other members are written
//! by the test.

mod access;
mod bulk;
mod changes;
mod connections;
mod description;
pub(crate) mod fixture;
mod governance;
mod kinds;
mod lists;
mod logs;
mod matching;
mod node;
mod pressure;
mod records;
mod refusals;

use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use fixture::{Fixture, Options};
use serde_json::{Value, json};

/// A response, read completely.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    fn ok(self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text());
        self.json()
    }

    /// Checks the one shape of errors and returns the message.
    fn refused(&self, status: u16, code: &str) -> String {
        let body = self.json();
        assert_eq!((self.status.as_u16(), &body["error"]["code"]), (status, &json!(code)), "{body}");
        assert_eq!(body.as_object().map(serde_json::Map::len), Some(1));
        assert_eq!(body["error"].as_object().map(serde_json::Map::len), Some(3));
        let id = self.header("x-request-id").expect("every answer has a request id");
        assert_eq!(body["error"]["request_id"], json!(id));
        assert_eq!(self.header("content-type"), Some("application/json"));
        let message = body["error"]["message"].as_str().expect("a message").to_owned();
        assert!(!message.is_empty());
        message
    }
}

/// A request with this token, if any.
fn request(method: &Method, path: &str, token: Option<&str>, body: Option<&Value>) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    match body {
        Some(body) => request.header("content-type", "application/json").body(Body::from(body.to_string())),
        None => request.body(Body::empty()),
    }
    .expect("a valid request")
}

fn hex(value: &[u8]) -> String {
    hashpact_protocol::digest::hex_encode(value)
}
