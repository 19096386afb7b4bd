//! `POST /v1/match/bulk`: a stream of values or items in, a stream of matches out.
//!
//! A task of its own for each request reads the body as it arrives, has parts of it matched on
//! blocking threads, and hands the answer to the connection. It reads on while a part is matched, and
//! stops reading when it holds a part's worth or when the caller does not read the answer: the socket
//! then tells the caller to wait. So a request of any length holds a few megabytes, unless nearly everything matches.
//!
//! **A caller may send all before it reads anything** as long as the answer is shorter than
//! [`answer::WAITING_MAX_BYTES`] (87,000 binary matches: a value without one takes no byte); a caller
//! who expects more must read while it sends, or the two wait for each other until the connection is
//! closed for not being read.
//!
//! What is wrong is told with a status as long as nothing was answered, that is until the first part
//! was matched; later at the end of the answer, in its own form.

pub(super) mod answer;
mod lines;
mod values;

use super::access::Caller;
use super::budget::Slot;
use super::request::{RequestId, read_query};
use super::{Api, ApiError};
use crate::service::{BulkState, MatchAsk, Service, ServiceError};
use crate::tokens::Scope;
use answer::{Answer, Gone, Piece, body_of};
use axum::Extension;
use axum::body::{Body, BodyDataStream, Bytes, HttpBody as _};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use futures::StreamExt as _;
use hashpact_protocol::api::{
    BULK_ITEMS_MAX, BULK_LINES_TYPE, BULK_VALUES_TYPE, BulkQuery, ErrorBody, MatchItem, MatchLimits,
};
use std::time::{Duration, Instant};

/// How long a first item waits for more to be matched together with.
const LINGER: Duration = Duration::from_millis(20);
/// What a body must bring in the time of one request, as long as the node waits for it: 1,024 values.
pub(super) const PROGRESS_MIN_BYTES: usize = 32 * 1024;
/// Items of a first part. Later ones grow while they take less than [`PART_SHORT`] and shrink when
/// they take more than [`PART_LONG`], because nothing can stop one and others wait for it.
const PART_ITEMS_FIRST: usize = 64;
const PART_SHORT: Duration = Duration::from_millis(300);
const PART_LONG: Duration = Duration::from_millis(1_200);
/// How long the rest of a body is passed over after an error, so that the caller gets to read it.
const PASS_OVER: Duration = Duration::from_secs(1);

/// One form of bulk request and answer.
trait Form: Clone + Send + Sync + 'static {
    /// Media type of the answer.
    const ANSWER_TYPE: &'static str;
    /// Most items of a part.
    const PART_ITEMS_MAX: usize;
    /// Most bytes of the request that are held beside the part that is being matched.
    const HELD_MAX_BYTES: usize;

    /// Length and number of the whole items at the front of `bytes`, at most `items_max`; `ended` says
    /// that nothing follows.
    fn whole(&self, bytes: &[u8], items_max: usize, ended: bool) -> (usize, usize);

    /// Matches whole items. Blocks.
    fn answer(&self, service: &Service, bytes: &[u8], before: &Totals) -> Part;

    /// What comes before everything else.
    ///
    /// # Errors
    /// A state that this form cannot tell.
    fn head(&self, state: &BulkState) -> Result<Vec<u8>, ApiError>;

    /// The end of a whole answer.
    fn end(&self, totals: &Totals, state: &BulkState) -> Vec<u8>;

    /// The end of one that broke off.
    fn broken(&self, error: &ApiError, totals: &Totals) -> Vec<u8>;

    /// What is wrong with bytes that are no whole item, although nothing follows or too much came.
    fn not_whole(&self, totals: &Totals, bytes: usize) -> ApiError;
}

/// What was answered so far.
#[derive(Debug, Clone, Default)]
struct Totals {
    items: u64,
    /// Lines read, of a form that has lines.
    lines: u64,
    matched: u64,
    /// The first part that was answered while the node was not complete.
    incomplete: Option<BulkState>,
    /// The view that the answer began with.
    view: String,
}

/// What a part of a request came to.
struct Part {
    answer: Vec<u8>,
    items: u64,
    lines: u64,
    matched: u64,
    /// What it was answered from.
    state: BulkState,
    /// What is wrong with the item after the last one that was answered.
    fault: Option<ApiError>,
}

/// Why a request ends early.
enum Stop {
    Fault(ApiError),
    Gone,
}

impl From<Gone> for Stop {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

impl From<ServiceError> for Stop {
    fn from(error: ServiceError) -> Self {
        Self::Fault(error.into())
    }
}

/// Are these known? A body of 32-byte PDQ values, or of one match item a line, of any length; the answer
/// comes while the body is still being sent.
#[utoipa::path(post, path = "/v1/match/bulk", tag = "lookup", security(("token" = ["lookup"])), params(BulkQuery),
    request_body(content((Vec<u8> = "application/octet-stream"), (MatchItem = "application/x-ndjson"))),
    responses((status = 200, content((Vec<u8> = "application/vnd.hashpact.matches"), (hashpact_protocol::api::BulkLine = "application/x-ndjson"))),
        (status = "4XX", body = ErrorBody), (status = "5XX", body = ErrorBody)))]
pub(super) async fn match_bulk(
    State(api): State<Api>,
    Extension(id): Extension<RequestId>,
    query: Result<Query<BulkQuery>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    match read_ask(&api, id, query, &headers, body.size_hint().exact()) {
        Ok((caller, Asked::Values(form), slot)) => {
            Request::new(&api, caller, form, body, slot).answered().await
        }
        Ok((caller, Asked::Lines(form), slot)) => {
            Request::new(&api, caller, form, body, slot).answered().await
        }
        Err(error) => {
            // Who is still sending would otherwise find a closed connection instead of the reason.
            tokio::spawn(pass_over(body.into_data_stream()));
            Err(error)
        }
    }
}

/// What is asked for, by the form of the body.
enum Asked {
    Values(values::Values),
    Lines(lines::Lines),
}

/// Who asks for what: everything but the body.
fn read_ask(
    api: &Api,
    id: RequestId,
    query: Result<Query<BulkQuery>, QueryRejection>,
    headers: &HeaderMap,
    length: Option<u64>,
) -> Result<(Caller, Asked, Slot), ApiError> {
    let caller = api.allow_payloads(headers, &[Scope::Lookup])?;
    let query = read_query(query)?;
    let distance = query.pdq_distance(&MatchLimits::default())?;
    let ask = MatchAsk { lists: query.lists()?, distance, ..MatchAsk::default() };
    api.service.check_lists(&ask)?;
    let asked = match super::body::media_type(headers).as_str() {
        BULK_VALUES_TYPE => {
            let radius = api.service.radius(&ask);
            let form = values::Values::new(ask, radius);
            form.check_length(length)?;
            Asked::Values(form)
        }
        BULK_LINES_TYPE => Asked::Lines(lines::Lines::new(ask, id)),
        other => {
            let wanted = format!("{BULK_VALUES_TYPE} or {BULK_LINES_TYPE}");
            return Err(super::body::unsupported(&wanted, other));
        }
    };
    let slot = api.bulk.enter(caller.id)?;
    Ok((caller, asked, slot))
}

/// Reads what comes, for a while.
async fn pass_over(mut body: BodyDataStream) {
    let rest = async { while let Some(Ok(_)) = body.next().await {} };
    let _ = tokio::time::timeout(PASS_OVER, rest).await;
}

/// One request while it is read.
struct Request<F> {
    service: Service,
    api: Api,
    caller: Caller,
    form: F,
    body: BodyDataStream,
    timeout: Duration,
    /// Bytes that arrived and are not yet part of a part.
    held: Vec<u8>,
    ended: bool,
    /// Why the body ended without being whole.
    fault: Option<ApiError>,
    part_items: usize,
    /// A second's worth of what the caller may look up: so it waits often and never long.
    paced_items_max: usize,
    pace: Pace,
    totals: Totals,
    _slot: Slot,
}

impl<F: Form> Request<F> {
    fn new(api: &Api, caller: Caller, form: F, body: Body, slot: Slot) -> Self {
        let paced = caller.items_per_s().unwrap_or(u64::MAX);
        Self {
            service: api.service.clone(),
            api: api.clone(),
            caller,
            paced_items_max: usize::try_from(paced).unwrap_or(usize::MAX),
            form,
            body: body.into_data_stream(),
            timeout: api.timeout,
            held: Vec::new(),
            ended: false,
            fault: None,
            part_items: PART_ITEMS_FIRST,
            pace: Pace::default(),
            totals: Totals::default(),
            _slot: slot,
        }
    }

    /// Starts the task; returns when there is something to say.
    async fn answered(self) -> Result<Response, ApiError> {
        let (answer, mut pieces) = Answer::new();
        tokio::spawn(self.run(answer));
        let first = match pieces.recv().await {
            Some(Piece::Refused(error)) => return Err(error),
            Some(first) => first,
            None => return Err(ServiceError::Stopping.into()),
        };
        Ok(([(CONTENT_TYPE, F::ANSWER_TYPE)], body_of(first, pieces)).into_response())
    }

    async fn run(mut self, mut answer: Answer) {
        // A caller that went away shows only here while the node waits for its body.
        let caller = answer.sender();
        let stopped = tokio::select! {
            pumped = self.pump(&mut answer) => pumped.err(),
            () = caller.closed() => Some(Stop::Gone),
        };
        drop(caller);
        let error = match stopped {
            None => {
                let _ = answer.end().await;
                return;
            }
            Some(Stop::Gone) => return,
            Some(Stop::Fault(error)) => error,
        };
        tracing::debug!(code = error.code, items = self.totals.items, "a bulk look-up broke off");
        let told = if answer.begun {
            match answer.send(self.form.broken(&error, &self.totals)).await {
                Ok(()) => answer.end().await,
                Err(gone) => Err(gone),
            }
        } else {
            answer.refuse(error).await
        };
        if told.is_ok() && !self.ended {
            pass_over(self.body).await;
        }
    }

    /// Reads, matches and answers to the end of the body.
    async fn pump(&mut self, answer: &mut Answer) -> Result<(), Stop> {
        loop {
            self.fill().await;
            // The end of a body that broke off is not the end of an item.
            let ended = self.ended && self.fault.is_none();
            if self.ended && !answer.begun {
                self.check_end(ended)?;
            }
            let (length, items) =
                self.form.whole(&self.held, self.part_items.min(self.paced_items_max), ended);
            if items == 0 {
                break;
            }
            if self.totals.items + items as u64 > BULK_ITEMS_MAX {
                let message = format!("more than {BULK_ITEMS_MAX} items in one request");
                return Err(Stop::Fault(ApiError::new(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "too_many_items",
                    message,
                )));
            }
            self.api.pace_items(&self.caller, items).await.map_err(Stop::Fault)?;
            let rest = self.held.split_off(length);
            let bytes = std::mem::replace(&mut self.held, rest);
            let part = self.matched(bytes, items).await?;
            self.tell(part, answer).await?;
        }
        self.check_end(true)?;
        let state = self.service.bulk_state();
        self.begin(&state, answer).await?;
        Ok(answer.send(self.form.end(&self.totals, &state)).await?)
    }

    /// Whether what is held ends as a body must. Asked as soon as the end is there, so that a short body
    /// that is wrong at its end is refused as a whole.
    fn check_end(&mut self, ended: bool) -> Result<(), Stop> {
        if let Some(error) = self.fault.take() {
            return Err(Stop::Fault(error));
        }
        let (length, items) = self.form.whole(&self.held, usize::MAX, ended);
        if length == self.held.len() {
            return Ok(());
        }
        let totals = Totals { items: self.totals.items + items as u64, ..self.totals.clone() };
        Err(Stop::Fault(self.form.not_whole(&totals, self.held.len() - length)))
    }

    /// Waits until there is a part's worth of whole items, or what there is has waited long enough.
    async fn fill(&mut self) {
        let mut since = None;
        while !self.ended && self.held.len() < F::HELD_MAX_BYTES {
            let (_, items) = self.form.whole(&self.held, self.part_items, false);
            if items >= self.part_items.min(self.paced_items_max) {
                return;
            }
            let now = Instant::now();
            let wait = match items {
                0 => self.pace.left(self.timeout),
                _ => LINGER.saturating_sub(now - *since.get_or_insert(now)),
            };
            let next = tokio::time::timeout(wait, self.body.next()).await;
            self.pace.waited += now.elapsed();
            match next {
                Ok(part) => self.take(part),
                Err(_) if items > 0 => return,
                Err(_) => {}
            }
            if self.pace.is_too_slow(self.timeout) {
                let message = format!(
                    "the body brought less than {PROGRESS_MIN_BYTES} bytes in {} ms",
                    self.timeout.as_millis()
                );
                self.ended = true;
                self.fault = Some(ApiError::new(StatusCode::REQUEST_TIMEOUT, "too_slow", message));
            }
        }
    }

    fn take(&mut self, part: Option<Result<Bytes, axum::Error>>) {
        match part {
            Some(Ok(bytes)) => {
                self.pace.received += bytes.len();
                self.held.extend_from_slice(&bytes);
            }
            Some(Err(_)) => {
                self.ended = true;
                let message = "the body broke off before its end";
                self.fault = Some(ApiError::bad_request("body_broke_off", message));
            }
            None => self.ended = true,
        }
    }

    /// Matches a part and reads on meanwhile.
    async fn matched(&mut self, bytes: Vec<u8>, items: usize) -> Result<Part, ServiceError> {
        let (form, before) = (self.form.clone(), self.totals.clone());
        let service = self.service.clone();
        let work = service.in_bulk(move |service| {
            let started = Instant::now();
            (form.answer(service, &bytes, &before), started.elapsed())
        });
        let mut work = std::pin::pin!(work);
        let (part, took) = loop {
            tokio::select! {
                done = &mut work => break done?,
                part = self.body.next(), if !self.ended && self.held.len() < F::HELD_MAX_BYTES => {
                    self.take(part);
                }
            }
        };
        if took < PART_SHORT && items == self.part_items {
            self.part_items = (self.part_items * 2).min(F::PART_ITEMS_MAX);
        } else if took > PART_LONG {
            self.part_items = (self.part_items / 2).max(1);
        }
        Ok(part)
    }

    async fn tell(&mut self, part: Part, answer: &mut Answer) -> Result<(), Stop> {
        if part.items > 0 || part.fault.is_none() {
            self.begin(&part.state, answer).await?;
        }
        self.totals.items += part.items;
        self.totals.lines += part.lines;
        self.totals.matched += part.matched;
        if part.state.incomplete.is_some() && self.totals.incomplete.is_none() {
            self.totals.incomplete = Some(part.state);
        }
        answer.send(part.answer).await?;
        part.fault.map_or(Ok(()), |error| Err(Stop::Fault(error)))
    }

    /// Sends what comes before everything else, once.
    async fn begin(&mut self, state: &BulkState, answer: &mut Answer) -> Result<(), Stop> {
        if answer.begun {
            return Ok(());
        }
        let head = self.form.head(state).map_err(Stop::Fault)?;
        answer.begun = true;
        self.totals.view.clone_from(&state.as_of.view);
        if state.incomplete.is_some() {
            self.totals.incomplete = Some(state.clone());
        }
        Ok(answer.send(head).await?)
    }
}

/// How fast a body comes while the node waits for it.
#[derive(Debug, Default)]
struct Pace {
    waited: Duration,
    received: usize,
}

impl Pace {
    /// How long to wait at most.
    fn left(&self, timeout: Duration) -> Duration {
        timeout.saturating_sub(self.waited)
    }

    /// Whether a time-out went by that brought too little; otherwise a new one begins.
    fn is_too_slow(&mut self, timeout: Duration) -> bool {
        if self.waited < timeout {
            return false;
        }
        let Pace { received, .. } = std::mem::take(self);
        received < PROGRESS_MIN_BYTES
    }
}
