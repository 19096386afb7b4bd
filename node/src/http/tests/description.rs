//! The OpenAPI document against its snapshot, the routes and what the router does.

use super::*;
use crate::http::openapi::openapi;
use crate::tokens::Scope;
use std::collections::BTreeSet;
use std::path::Path;

const SNAPSHOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/vectors/openapi.json");
const SCOPES: [Scope; 3] = [Scope::Lookup, Scope::Contribute, Scope::Audit];

fn document() -> Value {
    serde_json::to_value(openapi()).expect("plain data")
}

/// (method, path) of every operation described.
fn described() -> BTreeSet<(String, String)> {
    let document = document();
    let paths = document["paths"].as_object().expect("paths");
    let operations = paths.iter().flat_map(|(path, item)| {
        item.as_object().expect("an item").keys().map(move |method| (method.clone(), path.clone()))
    });
    operations.collect()
}

#[test]
fn the_document_is_the_one_that_was_reviewed() {
    let now = serde_json::to_string_pretty(&openapi()).expect("plain data") + "\n";
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(Path::new(SNAPSHOT), &now).expect("the snapshot can be written");
    }
    let reviewed = std::fs::read_to_string(SNAPSHOT).expect("tests/vectors/openapi.json");
    let differs = now.lines().zip(reviewed.lines()).position(|(now, reviewed)| now != reviewed);
    assert!(
        now == reviewed,
        "the API's description changed at line {:?}; if that is meant, run with UPDATE_GOLDEN=1 and review the diff",
        differs.map(|line| line + 1)
    );
}

#[test]
fn it_is_openapi_3_1_and_names_the_token() {
    let document = document();
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1.")));
    let token = &document["components"]["securitySchemes"]["token"];
    assert_eq!((&token["type"], &token["scheme"]), (&json!("http"), &json!("bearer")));
}

#[test]
fn every_route_is_described_and_every_description_is_a_route() {
    let source = include_str!("../mod.rs");
    let mut routed = BTreeSet::new();
    for route in source.split(".route(\"").skip(1) {
        let (path, handlers) = route.split_once("\", ").expect("path, then handlers");
        let handlers = handlers.split("\n").next().expect("one line a route");
        for method in ["get", "post", "put", "delete", "patch"] {
            if handlers.contains(&format!("{method}(")) {
                routed.insert((method.to_owned(), path.replace("{*", "{")));
            }
        }
    }
    assert!(routed.len() > 10);
    assert_eq!(routed, described());
}

/// The scopes that a described operation accepts; `None` when it needs no token at all.
fn scopes_described(document: &Value, method: &str, path: &str) -> (bool, BTreeSet<String>) {
    let security = document["paths"][path][method]["security"].as_array().cloned().unwrap_or_default();
    let open = security.is_empty()
        || security.iter().any(|way| way.as_object().is_some_and(serde_json::Map::is_empty));
    let scopes = security.iter().filter_map(|way| way["token"].as_array()).flatten();
    (open, scopes.filter_map(|scope| scope.as_str().map(str::to_owned)).collect())
}

#[tokio::test]
async fn what_is_described_about_tokens_is_what_the_router_does() {
    let document = document();
    let local = Fixture::new();
    let remote = Options { http: "listen = \"0.0.0.0:7410\"\nallow_remote = true", ..Options::default() };
    let remote = Fixture::start(remote, fixture::Stated::default());
    for (method, path) in described() {
        let (open, scopes) = scopes_described(&document, &method, &path);
        let url = path.replace("{id}", &"0".repeat(64)).replace("{member}", "north").replace("{n}", "1");
        let url = url.replace("{path}", "0/000");
        let verb = Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method");
        let body = (verb == Method::POST).then(|| json!({}));
        let without = remote.send(request(&verb, &url, None, body.as_ref())).await;
        if scopes.is_empty() {
            assert!(open && without.status != StatusCode::UNAUTHORIZED, "{method} {path}");
            continue;
        }
        without.refused(401, "unauthorized");
        assert_eq!(without.header("www-authenticate"), Some("Bearer"), "{method} {path}");
        for scope in SCOPES {
            let token = remote.token(scope);
            let answer = remote.send(request(&verb, &url, Some(token), body.as_ref())).await;
            let allowed = answer.status != StatusCode::FORBIDDEN;
            assert_eq!(allowed, scopes.contains(scope.name()), "{method} {path} with scope {}", scope.name());
            if !allowed {
                let message = answer.refused(403, "forbidden");
                assert!(scopes.iter().all(|scope| message.contains(scope)), "{message}");
            }
        }
        let admin = remote.send(request(&verb, &url, Some(remote.token(Scope::Admin)), body.as_ref())).await;
        assert!(admin.status != StatusCode::FORBIDDEN && admin.status != StatusCode::UNAUTHORIZED);
        // "No token" as an alternative depends on the configuration: loopback, or public logs.
        if !open {
            local.send(request(&verb, &url, None, body.as_ref())).await.refused(401, "unauthorized");
        }
    }
}
