//! The API's description, generated from the handlers and shapes.

use axum::Json;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Hashpact node",
        description = "The local API of one consortium member's node. Hashes, labels and statistics only: no endpoint accepts media."
    ),
    paths(
        super::matching::match_signals,
        super::matching::near,
        super::bulk::match_bulk,
        super::models::bases,
        super::models::match_model,
        super::lists::all,
        super::lists::show,
        super::lists::put,
        super::lists::delete,
        super::lists::dry_run,
        super::decisions::mutes,
        super::decisions::mute,
        super::decisions::unmute,
        super::decisions::negatives,
        super::decisions::put_negatives,
        super::decisions::delete_negatives,
        super::decisions::quarantine,
        super::decisions::accept,
        super::decisions::reject,
        super::reports::contradictions,
        super::changes::follow,
        super::changes::snapshot,
        super::records::contribute,
        super::records::list,
        super::records::show,
        super::records::proof,
        super::records::opine,
        super::records::retract,
        super::records::erase,
        super::records::supersede,
        super::ttps::list,
        super::ttps::statistics,
        super::ttps::taxonomy,
        super::ttps::genmeta,
        super::governance::rule,
        super::governance::rulings,
        super::governance::vote,
        super::governance::suspensions,
        super::governance::declare,
        super::governance::incidents,
        super::node::members,
        super::node::logs,
        super::node::status,
        super::audit::export,
        super::admin::backup,
        super::node::healthz,
        super::node::readyz,
        super::node::metrics,
        document,
        super::logs::checkpoint,
        super::logs::tile,
        super::logs::policy,
        super::logs::roster_checkpoint,
        super::logs::roster_tile,
        super::witness::cosigned,
        super::witness::add_checkpoint,
        super::witness::evidence
    ),
    modifiers(&Token)
)]
struct Description;

struct Token;

impl Modify for Token {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    }
}

/// The OpenAPI 3.1 document.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    Description::openapi()
}

/// This description.
#[utoipa::path(get, path = "/openapi.json", tag = "node",
    responses((status = 200, body = serde_json::Value, content_type = "application/json")))]
pub(super) async fn document() -> Json<utoipa::openapi::OpenApi> {
    Json(openapi())
}
